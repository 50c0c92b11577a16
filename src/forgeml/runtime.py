"""What torch computes on: device, precision, threads, seeds, memory."""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from forgeml.errors import MachineError
from forgeml.machine import cache_folder, is_set, processor_name
from forgeml.records import Runtime
from forgeml.resources import system_memory

BF16_WORTHWHILE = 1.3
"""How many times faster than fp32 bf16 must be measured before `auto` takes it."""


def choose_runtime(device: str, precision: str) -> Runtime:
    """Settle device and precision from the settings of the same names.

    Raises:
        MachineError: the device asked for is not there.
    """
    chosen_device = choose_device(device)
    chosen_precision, notes = choose_precision(precision, chosen_device)
    return Runtime(chosen_device, chosen_precision, torch.get_num_threads(), notes)


def choose_device(wanted: str) -> str:
    """The device to compute on; `auto` prefers a CUDA GPU, then Apple's, then the processor."""
    present = ["cpu"]
    if torch.backends.mps.is_available():
        present.append("mps")
    if torch.cuda.is_available():
        present += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if wanted == "auto":
        # What `accelerate launch --cpu` sets, and Accelerate goes by.
        if is_set("ACCELERATE_USE_CPU"):
            return "cpu"
        return next(name for name in ("cuda", "mps", "cpu") if name in present)
    if wanted not in present:
        raise MachineError.at(
            "training.device",
            f"{wanted} is not on this machine; found {', '.join(present)}",
            "leave training.device out, or set it to auto or cpu",
        )
    return wanted


def device_names() -> dict[str, str]:
    """The GPUs that torch finds here, each with what it is called."""
    found = {f"cuda:{index}": torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
    return found | ({"mps": "GPU of Apple"} if torch.backends.mps.is_available() else {})


def choose_precision(wanted: str, device: str) -> tuple[str, tuple[str, ...]]:
    """The precision to compute in, and a note where it differs from the one asked for."""
    if wanted == "fp16" and not device.startswith("cuda"):
        instead, _ = choose_precision("auto", device)
        return instead, (f"fp16 needs a CUDA GPU; on this {device} the run uses {instead}",)
    if wanted != "auto":
        return wanted, ()
    if device.startswith("cuda"):
        # Older GPUs only emulate bf16, which is slower than fp32.
        return ("bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"), ()
    if device == "cpu" and bf16_speedup() >= BF16_WORTHWHILE:
        return "bf16", ()
    return "fp32", ()


def bf16_speedup() -> float:
    """How many times faster this processor multiplies matrices in bf16 than in fp32.

    Measured once and kept in the cache folder, so that the choice does not change from run to run on a busy machine.
    """
    record = cache_folder() / "bf16-speedup.json"
    key = f"{processor_name()} torch {torch.__version__} threads {torch.get_num_threads()}"
    known = _read_json(record)
    if key not in known:
        known[key] = round(_measure_bf16_speedup(), 2)
        _write_json(record, known)
    return known[key]


def _measure_bf16_speedup() -> float:
    # Drawn from a generator of its own, so that it makes no difference to a run whether the measurement was known.
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(768, 768, generator=generator)
    inputs = torch.randn(512, 768, generator=generator)
    fp32 = _fastest(lambda: torch.nn.functional.linear(inputs, weights))
    weights, inputs = weights.bfloat16(), inputs.bfloat16()
    bf16 = _fastest(lambda: torch.nn.functional.linear(inputs, weights))
    return fp32 / bf16


def _fastest(work: Callable[[], object], rounds: int = 15) -> float:
    """The shortest of several timings in seconds: noise only ever adds time."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def seed_everything(seed: int) -> None:
    """Start every random generator that weights, dropout or libraries draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def seed_step(seed: int, step: int, rank: int) -> None:
    """Start what a step draws from, the same whenever and after whatever the step is taken.

    Args:
        seed: of the run.
        step: counted from 1.
        rank: of the process; each drops out others.
    """
    torch.manual_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0]))


@dataclass(frozen=True)
class Memory:
    """Memory of a device, in bytes."""

    used: int
    """The most that this process has used so far."""
    total: int


def memory_of(device: str) -> Memory:
    """What this process has used at most of the device's memory; for the processor, of the machine's."""
    if device.startswith("cuda"):
        total = torch.cuda.get_device_properties(device).total_memory
        return Memory(torch.cuda.max_memory_allocated(device), total)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in kibibytes, macOS in bytes.
    used *= 1 if sys.platform == "darwin" else 1024
    there = system_memory()
    return Memory(used, there.total if there else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _read_json(path: Path) -> dict[str, float]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {name: value for name, value in known.items() if isinstance(value, int | float)}


def _write_json(path: Path, values: dict[str, float]) -> None:
    # Without a writable cache the measurement is simply made again next time.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(values, indent=1), encoding="utf-8")
        beside.replace(path)
    except OSError:
        return
