"""The machine without torch: its processor, the cache folder, signals, memory and versions."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from forgeml import machine
from forgeml.errors import MachineError, Stopped


def test_user_without_a_home_has_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system knows no home folder, the folder for temporary files serves."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert machine.cache_folder().name == "forgeml"


def test_versions_name_what_matters() -> None:
    """Python and the packages that a result depends on are there with their versions."""
    found = machine.versions()
    assert set(found) == {"python", *machine.RECORDED_PACKAGES}
    assert found["torch"] == importlib.metadata.version("torch")


def test_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who only predicts need not have all packages."""
    monkeypatch.setattr(machine, "RECORDED_PACKAGES", ("torch", "no-such-package"))
    assert set(machine.versions()) == {"python", "torch"}


def test_processor_has_a_name() -> None:
    """The name is never empty on a known system, and its absence is no error."""
    assert machine.processor_name()


@pytest.mark.usefixtures("stopping")
def test_held_signal_comes_after_the_work() -> None:
    """A signal in the middle lets the work end, and stops the program right after it; then handlers are as before."""
    handlers = [signal.getsignal(number) for number in machine.STOP_SIGNALS]
    done = []
    with pytest.raises(Stopped), machine.held_signals():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        done.append("work")
    assert done == ["work"]
    assert [signal.getsignal(number) for number in machine.STOP_SIGNALS] == handlers
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.usefixtures("stopping")
def test_inner_holding_waits_for_the_outer_one() -> None:
    """Held twice, a signal comes when the outer work is done."""
    done = []
    with pytest.raises(Stopped), machine.held_signals():
        with machine.held_signals():
            signal.raise_signal(signal.SIGTERM)
        done.append("outer")
    assert done == ["outer"]


@pytest.mark.usefixtures("stopping")
def test_held_signal_is_not_lost_in_an_error() -> None:
    """When the work fails, the signal comes with the error as its context."""
    with pytest.raises(Stopped) as caught, machine.held_signals():
        signal.raise_signal(signal.SIGTERM)
        raise OSError("full")
    assert isinstance(caught.value.__context__, OSError)


def test_interrupt_is_held_too() -> None:
    """Ctrl-C with Python's own handler becomes KeyboardInterrupt after the work."""
    done = []
    with pytest.raises(KeyboardInterrupt), machine.held_signals():
        signal.raise_signal(signal.SIGINT)
        done.append("work")
    assert done == ["work"]


def test_other_threads_hold_nothing() -> None:
    """Outside of the main thread, where no handler may be set, the work is done all the same."""
    handler = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with machine.held_signals():
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
        machine.memory_errors("no memory for it", "take less"),
    ):
        raise error
    assert caught.value.problems[0].fix == "take less"
    assert caught.value.__cause__ is error


def test_real_allocation_that_fails_is_known() -> None:
    """What torch raises when the system refuses memory is taken for that."""
    with pytest.raises(MachineError, match="no memory for it"), machine.memory_errors("no memory for it", "take less"):
        torch.empty(2**58, dtype=torch.uint8)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("out of memory")])
def test_other_errors_are_not_about_memory(error: Exception) -> None:
    """What is wrong in another way passes as it is."""
    with pytest.raises(type(error)), machine.memory_errors("no memory", "take less"):
        raise error


def test_machine_is_described_by_what_engines_depend_on() -> None:
    """The processor, its instructions for short numbers, and how many cores this process may use; always the same."""
    found = machine.describe_machine()
    assert found["processor"] == machine.processor_name()
    assert set(found["instructions"]) <= set(machine.INSTRUCTIONS)
    assert 1 <= found["cores"] <= os.cpu_count()
    assert machine.describe_machine() == found


def test_nothing_heavy_is_imported() -> None:
    """The module is there for whoever predicts without torch."""
    code = "import forgeml.machine, sys; print(*{'torch', 'transformers', 'pyarrow'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, machine.Place()),
        ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, machine.Place(5, 8, 1, launched=True)),
        ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}, machine.Place(launched=True)),
        (
            {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1"},
            machine.Place(1, 2, 1, launched=True),
        ),
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, machine.Place(1, 2, launched=True)),
        ({"RANK": "first", "WORLD_SIZE": ""}, machine.Place()),
    ],
)
def test_place_in_the_run(variables: dict[str, str], place: machine.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchrun and mpirun tell each process where it stands; without a launcher it is alone."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert machine.place_in_run() == place


@pytest.mark.parametrize(("value", "said"), [("true", True), ("1", True), ("False", False), ("", False)])
def test_variable_says_yes(value: str, said: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accelerate writes its answers in words."""
    monkeypatch.setenv("ACCELERATE_USE_FSDP", value)
    assert machine.is_set("ACCELERATE_USE_FSDP") is said
