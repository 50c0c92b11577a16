"""The processes of one run: what they tell each other, and what becomes of errors."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from forgeml.errors import ConfigError, DataError, ForgeError, MachineError, ProcessLostError, TrainingError
from forgeml.machine import LOCAL_RANK_VARIABLES
from forgeml.training import processes as module
from forgeml.training.processes import ALONE, Processes, meet, oddities
from together import started, together


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("items", [1, 2, 6, 7])
def test_parts_are_all_items_once(count: int, items: int) -> None:
    """What is its own in the parts of all processes are the items, each once, and all parts are as long."""
    parts = [Processes(rank, count).part(list(range(items))) for rank in range(count)]
    assert sorted(item for part, own in parts for item in part[:own]) == list(range(items))
    assert {len(part) for part, _ in parts} == {-(-items // count)}
    assert all(item == items - 1 for part, own in parts for item in part[own:])


def test_process_that_is_alone_does_all_itself() -> None:
    """Without a launcher there is one process, nothing is sent, and errors are those of the work."""
    with meet("cpu") as processes:
        assert processes is ALONE
        assert processes.main
        assert processes.main_first(lambda told: (told, "done"), lambda result: "told") == (None, "done")
        assert processes.by_main(lambda: 3) == 3
        assert processes.those(False) is processes
        assert processes.total(np.ones(2, np.float32)).tolist() == [1, 1]
        with pytest.raises(ZeroDivisionError):
            processes.by_main(lambda: 1 // 0)
    module.leave()


def _talk() -> dict[str, Any]:
    """Everything that processes can tell each other, as this one has it."""
    with meet("cpu") as processes:
        first = processes.main_first(lambda told: (processes.rank, told), lambda result: {"from": result})
        several = processes.those(processes.rank != 1)
        told = {
            "place": (processes.rank, processes.count, processes.main),
            "first": first,
            "by_main": processes.by_main(lambda: f"rank {processes.rank}"),
            "total": processes.total(np.full(3, processes.rank + 1, np.float32)).tolist(),
            "several": several and (several.rank, several.count, several.by_main(lambda: "hello")),
        }
    # As a second run in the same process.
    with meet("cpu") as processes:
        told["again"] = processes.by_main(lambda: processes.count)
    module.leave()
    return told


def test_processes_tell_each_other() -> None:
    """The main process goes first and tells, sums are those of all, some can form a group, and a second run works."""
    found = together(_talk, count=3)
    assert [told["place"] for told in found] == [(0, 3, True), (1, 3, False), (2, 3, False)]
    assert [told["first"] for told in found] == [(0, None), *((rank, {"from": (0, None)}) for rank in (1, 2))]
    assert [told["by_main"] for told in found] == ["rank 0"] * 3
    assert [told["total"] for told in found] == [[6.0] * 3] * 3
    assert [told["several"] for told in found] == [(0, 2, "hello"), None, (1, 2, "hello")]
    assert [told["again"] for told in found] == [3] * 3


def _failing(rank: int, where: str) -> None:
    """Raise in one process, in the way of the case."""
    with meet("cpu") as processes:

        def work(told: object = None) -> None:
            if processes.rank == rank:
                raise DataError.at("data.dataset", f"wrong in {rank}", "mend it")

        if where == "training":
            raise TrainingError.at("step 1", "not finite", "lower it")
        if where == "by_main":
            processes.by_main(work)
        processes.main_first(work, lambda result: None)


def _errors(cases: list[tuple[int, str]]) -> list[tuple[str, str, bool]]:
    """Kind, words and silence of the error that each case ends with."""
    found = []
    for case in cases:
        try:
            _failing(*case)
        except ForgeError as error:
            found.append((type(error).__name__, str(error), error.told_elsewhere))
    return found


def test_error_of_one_is_raised_in_all_and_said_once() -> None:
    """Whichever process it comes about in, all raise the same, and only that one says it."""
    cases = [(0, "by_main"), (0, "main_first"), (1, "main_first"), (0, "training")]
    found = together(_errors, cases)
    wrong = "data.dataset: wrong in {}\n  fix: mend it"
    not_finite = "step 1: not finite\n  fix: lower it"
    kinds = [("DataError", wrong.format(0)), ("DataError", wrong.format(0)), ("DataError", wrong.format(1))]
    kinds.append(("TrainingError", not_finite))
    assert [[error[:2] for error in errors] for errors in found] == [kinds, kinds]
    assert [error[2] for error in found[0]] == [False, False, True, False]
    assert [error[2] for error in found[1]] == [True, True, False, True]


def _lose_another() -> str:
    """What remains when another process dies."""
    module.SIGNAL_COMES_S = 0.0
    with meet("cpu") as processes:
        if processes.rank == 1:
            os._exit(9)
        with pytest.raises(ProcessLostError) as caught:
            processes.by_main(lambda: None) and processes.total(np.ones(1, np.float32))
            processes.total(np.ones(1, np.float32))
        assert not caught.value.told_elsewhere
        with pytest.raises(RuntimeError, match="something else"), processes.watched():
            raise RuntimeError("something else")
        return str(caught.value)


def test_end_of_another_process_is_an_error() -> None:
    """Nobody waits for a process that has died; what it was is said in words, and other errors stay what they are."""
    with started(_lose_another) as running:
        main, other = running.ended()
        assert other.code == 9
        assert "another of the 2 processes of this run has ended" in main.result


@pytest.mark.parametrize(
    ("variables", "device", "kind", "what"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "cpu", ConfigError, "DeepSpeed is asked for"),
        ({"ACCELERATE_USE_FSDP": "true"}, "cpu", ConfigError, "FSDP 1 is asked for"),
        ({"ACCELERATE_USE_CPU": "True"}, "cuda", ConfigError, "told to use the processor"),
        ({"MASTER_PORT": ""}, "cpu", MachineError, "do not find each other"),
    ],
)
def test_what_cannot_be_is_refused(
    variables: dict[str, str],
    device: str,
    kind: type[ForgeError],
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What Accelerate is asked for and ForgeML does not do ends the run, said once on each machine."""
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module, "PartialState", _no_address)
    with pytest.raises(kind, match=what) as caught, meet(device):
        pass
    assert caught.value.told_elsewhere


def _no_address(**options: Any) -> None:
    raise ValueError("environment variable MASTER_PORT expected, but not set")


@pytest.mark.parametrize(
    ("device", "what"),
    [("mps", "2 processes cannot share"), ("cuda:1", "cuda:1 is set, but 2 processes"), ("cuda", "has no GPU")],
)
def test_each_process_needs_a_device(device: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that the processes of a machine cannot share is refused before they meet."""
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module, "choose_device", lambda wanted: wanted)
    with pytest.raises(ForgeError, match=what) as caught, meet(device):
        pass
    assert not caught.value.told_elsewhere


def test_odd_starts_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Accelerate passes over in silence is said: FSDP without GPUs, and several processes without MPI."""
    assert oddities(ALONE, "cpu") == oddities(Processes(0, 2), "cpu") == []
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert "GPUs only" in oddities(Processes(0, 2), "cpu")[0]
    assert oddities(Processes(0, 2), "cuda") == []
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_PORT", "29500")
    (told,) = oddities(ALONE, "cpu")
    assert "torchrun --nproc-per-node" in told
    assert all(name not in os.environ for name in LOCAL_RANK_VARIABLES)
