"""Device, precision, seeds and versions."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from forgeml import runtime
from forgeml.errors import MachineError
from forgeml.resources import SystemMemory


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def machine(monkeypatch: pytest.MonkeyPatch, gpus: int = 0, mps: bool = False, bf16: bool = True) -> None:
    """Pretend to be a machine with these devices; bf16 in its GPUs' hardware, while all of them emulate it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16 or including_emulation)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


def measured(monkeypatch: pytest.MonkeyPatch, speedup: float) -> list[float]:
    """Pretend that bf16 is measured to be so much faster; the list grows with each measurement."""
    calls: list[float] = []

    def measure() -> float:
        calls.append(speedup)
        return speedup

    monkeypatch.setattr(runtime, "_measure_bf16_speedup", measure)
    return calls


@pytest.mark.parametrize(
    ("gpus", "mps", "wanted", "chosen"),
    [
        (0, False, "auto", "cpu"),
        (0, True, "auto", "mps"),
        (2, False, "auto", "cuda"),
        (1, True, "auto", "cuda"),
        (2, False, "cuda:1", "cuda:1"),
        (2, False, "cpu", "cpu"),
        (0, True, "mps", "mps"),
    ],
)
def test_device(monkeypatch: pytest.MonkeyPatch, gpus: int, mps: bool, wanted: str, chosen: str) -> None:
    """`auto` takes a CUDA GPU, else Apple's, else the processor; a device by name is taken as it is."""
    machine(monkeypatch, gpus, mps)
    assert runtime.choose_device(wanted) == chosen


def test_launcher_may_ask_for_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """`accelerate launch --cpu` decides where the setting leaves it open, and not otherwise."""
    machine(monkeypatch, 1, False)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    assert runtime.choose_device("auto") == "cpu"
    assert runtime.choose_device("cuda") == "cuda"


@pytest.mark.parametrize(
    ("gpus", "mps", "names"), [(0, False, []), (2, False, ["cuda:0", "cuda:1"]), (0, True, ["mps"])]
)
def test_devices_have_names(monkeypatch: pytest.MonkeyPatch, gpus: int, mps: bool, names: list[str]) -> None:
    """Each GPU that is there, by the name under which it can be chosen."""
    machine(monkeypatch, gpus, mps)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    assert list(runtime.device_names()) == names


def test_memory_is_that_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that may take less than the machine has; and where the system does not say, the machine's counts."""
    monkeypatch.setattr(runtime, "system_memory", lambda: SystemMemory(123, 45, 0, True))
    assert runtime.memory_of("cpu").total == 123
    monkeypatch.setattr(runtime, "system_memory", lambda: None)
    assert runtime.memory_of("cpu").total > runtime.memory_of("cpu").used > 1_000_000


@pytest.mark.parametrize(("gpus", "wanted"), [(0, "cuda"), (2, "cuda:2"), (0, "mps")])
def test_absent_device_is_refused(monkeypatch: pytest.MonkeyPatch, gpus: int, wanted: str) -> None:
    """A device that is not there is refused with those that are."""
    machine(monkeypatch, gpus)
    with pytest.raises(MachineError, match=f"{wanted} is not on this machine; found cpu"):
        runtime.choose_device(wanted)


@pytest.mark.parametrize(
    ("device", "bf16", "speedup", "wanted", "chosen"),
    [
        ("cuda", True, 1.0, "auto", "bf16"),
        ("cuda", False, 1.0, "auto", "fp16"),
        ("cuda:1", True, 1.0, "fp16", "fp16"),
        ("cpu", True, 5.0, "auto", "bf16"),
        ("cpu", True, 1.3, "auto", "bf16"),
        ("cpu", True, 1.29, "auto", "fp32"),
        ("mps", True, 5.0, "auto", "fp32"),
        ("cpu", True, 0.1, "bf16", "bf16"),
        ("cuda", True, 1.0, "fp32", "fp32"),
    ],
)
def test_precision(
    monkeypatch: pytest.MonkeyPatch, device: str, bf16: bool, speedup: float, wanted: str, chosen: str
) -> None:
    """`auto` takes bf16 where the hardware has it and it pays; a precision by name is taken without a note."""
    machine(monkeypatch, gpus=2, bf16=bf16)
    measured(monkeypatch, speedup)
    assert runtime.choose_precision(wanted, device) == (chosen, ())


@pytest.mark.parametrize(
    ("device", "speedup", "chosen"), [("cpu", 5.0, "bf16"), ("cpu", 1.0, "fp32"), ("mps", 1, "fp32")]
)
def test_fp16_needs_a_gpu(monkeypatch: pytest.MonkeyPatch, device: str, speedup: float, chosen: str) -> None:
    """Without a CUDA GPU, fp16 gives way to what `auto` would take, and a note says so."""
    measured(monkeypatch, speedup)
    precision, (note,) = runtime.choose_precision("fp16", device)
    assert precision == chosen
    assert note == f"fp16 needs a CUDA GPU; on this {device} the run uses {chosen}"


def test_runtime_holds_all_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Device, precision, threads and notes go together."""
    machine(monkeypatch)
    measured(monkeypatch, 1.0)
    chosen = runtime.choose_runtime("auto", "fp16")
    assert (chosen.device, chosen.precision, chosen.threads) == ("cpu", "fp32", torch.get_num_threads())
    assert len(chosen.notes) == 1


def test_measurement_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second question is answered from the cache; another number of threads is another question."""
    calls = measured(monkeypatch, 2.3456)
    assert [runtime.bf16_speedup(), runtime.bf16_speedup()] == [2.35, 2.35]
    assert len(calls) == 1
    monkeypatch.setattr(torch, "get_num_threads", lambda: 97)
    runtime.bf16_speedup()
    assert len(calls) == 2


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", '{"a": "fast"}', "[" * 100_000])
def test_damaged_cache_is_ignored(monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    """What cannot be read is measured anew and written whole."""
    calls = measured(monkeypatch, 2.0)
    record = runtime.cache_folder() / "bf16-speedup.json"
    record.parent.mkdir(parents=True)
    record.write_text(content)
    assert [runtime.bf16_speedup(), runtime.bf16_speedup()] == [2.0, 2.0]
    assert len(calls) == 1
    assert list(json.loads(record.read_text()).values()) == [2.0]


def test_entry_that_is_no_number_is_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry under the right name but of the wrong kind is ignored."""
    measured(monkeypatch, 2.0)
    runtime.bf16_speedup()
    record = runtime.cache_folder() / "bf16-speedup.json"
    record.write_text(record.read_text().replace("2.0", '"fast"'))
    assert runtime.bf16_speedup() == 2.0


def test_cache_that_cannot_be_written_is_no_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a writable cache the measurement is made each time."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    calls = measured(monkeypatch, 2.0)
    assert [runtime.bf16_speedup(), runtime.bf16_speedup()] == [2.0, 2.0]
    assert len(calls) == 2


def test_measuring_is_quick_and_draws_nothing() -> None:
    """The real measurement gives a ratio above 0 and leaves torch's random numbers alone."""
    state = torch.random.get_rng_state()
    assert runtime._measure_bf16_speedup() > 0
    assert torch.equal(torch.random.get_rng_state(), state)


def test_seed_starts_every_generator() -> None:
    """After the same seed Python, NumPy and torch draw the same numbers."""
    draws = []
    for _ in range(2):
        runtime.seed_everything(7)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1]
