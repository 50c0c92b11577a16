"""What torch computes on here, and in which precision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from forgeml.doctor.finding import Finding, Subject, Tell, ok, size, warning
from forgeml.runtime import (
    BF16_WORTHWHILE,
    bf16_speedup,
    choose_device,
    choose_precision,
    choose_runtime,
    device_names,
    memory_of,
)

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


def check(subject: Subject, tell: Tell) -> Iterator[Finding]:
    """Devices, what `auto` would take and why, and whether what the configuration asks for is there."""
    device = choose_device("auto")
    names = device_names()
    listed = ", ".join(f"{one} ({name}, {size(memory_of(one).total)})" for one, name in names.items())
    yield ok("device", f"auto takes {device}; found cpu{', ' if listed else ''}{listed}", auto=device, found=names)
    if NVIDIA_DRIVER.exists() and not any(name.startswith("cuda") for name in names):
        text = "there is a driver for NVIDIA GPUs here, and torch finds no GPU"
        yield warning("device", text, "install the build of torch for CUDA, in a version that the driver knows")
    precision, _ = choose_precision("auto", device)
    yield ok("precision", f"auto takes {precision}: {_why(precision, device)}", auto=precision)
    if subject.config:
        asked = subject.config.training
        for note in choose_runtime(asked.device, asked.precision).notes:
            yield warning("precision", note, "set training.precision to auto")


def _why(precision: str, device: str) -> str:
    if device.startswith("cuda"):
        has = "computes in bf16" if precision == "bf16" else "is older than those that compute in bf16"
        return f"this GPU {has}"
    if device == "cpu":
        times = bf16_speedup()
        return f"bf16 was measured to be {times:.2f} times as fast as fp32 here, and is taken from {BF16_WORTHWHILE} on"
    return "it is what all devices of this kind compute in"
