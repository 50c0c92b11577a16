"""Device, precision, seeds and versions."""

from __future__ import annotations

import importlib.metadata
import json
import os
import random
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from forgeml import runtime
from forgeml.errors import MachineError, Stopped


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


def test_user_without_a_home_has_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system knows no home folder, the folder for temporary files serves."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert runtime.cache_folder().name == "forgeml"


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


def test_versions_name_what_matters() -> None:
    """Python and the packages that a result depends on are there with their versions."""
    found = runtime.versions()
    assert set(found) == {"python", *runtime.RECORDED_PACKAGES}
    assert found["torch"] == importlib.metadata.version("torch")


def test_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who only predicts need not have all packages."""
    monkeypatch.setattr(runtime, "RECORDED_PACKAGES", ("torch", "no-such-package"))
    assert set(runtime.versions()) == {"python", "torch"}


def test_processor_has_a_name() -> None:
    """The name is never empty on a known system, and its absence is no error."""
    assert runtime.processor_name()


@pytest.mark.usefixtures("stopping")
def test_held_signal_comes_after_the_work() -> None:
    """A signal in the middle lets the work end, and stops the program right after it; then handlers are as before."""
    handlers = [signal.getsignal(number) for number in runtime.STOP_SIGNALS]
    done = []
    with pytest.raises(Stopped), runtime.held_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("work")
    assert done == ["work"]
    assert [signal.getsignal(number) for number in runtime.STOP_SIGNALS] == handlers
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.usefixtures("stopping")
def test_inner_holding_waits_for_the_outer_one() -> None:
    """Held twice, a signal comes when the outer work is done."""
    done = []
    with pytest.raises(Stopped), runtime.held_signals():
        with runtime.held_signals():
            os.kill(os.getpid(), signal.SIGTERM)
        done.append("outer")
    assert done == ["outer"]


@pytest.mark.usefixtures("stopping")
def test_held_signal_is_not_lost_in_an_error() -> None:
    """When the work fails, the signal comes with the error as its context."""
    with pytest.raises(Stopped) as caught, runtime.held_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        raise OSError("full")
    assert isinstance(caught.value.__context__, OSError)


def test_interrupt_is_held_too() -> None:
    """Ctrl-C with Python's own handler becomes KeyboardInterrupt after the work."""
    done = []
    with pytest.raises(KeyboardInterrupt), runtime.held_signals():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("work")
    assert done == ["work"]


def test_other_threads_hold_nothing() -> None:
    """Outside of the main thread, where no handler may be set, the work is done all the same."""
    handler = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with runtime.held_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [handler]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_memory_that_runs_out_is_told_in_words(error: Exception) -> None:
    """Each way in which memory runs out becomes an error of the machine with what happened and what to do."""
    with (
        pytest.raises(MachineError, match="no memory for it") as caught,
        runtime.memory_errors("no memory for it", "take less"),
    ):
        raise error
    assert caught.value.problems[0].fix == "take less"
    assert caught.value.__cause__ is error


def test_real_allocation_that_fails_is_known() -> None:
    """What torch raises when the system refuses memory is taken for that."""
    with pytest.raises(MachineError, match="no memory for it"), runtime.memory_errors("no memory for it", "take less"):
        torch.empty(2**58, dtype=torch.uint8)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("out of memory")])
def test_other_errors_are_not_about_memory(error: Exception) -> None:
    """What is wrong in another way passes as it is."""
    with pytest.raises(type(error)), runtime.memory_errors("no memory", "take less"):
        raise error
