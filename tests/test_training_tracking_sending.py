"""The thread before the store: order, bounds, and what a store that fails does to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from forgeml.training.tracking import sending
from forgeml.training.tracking.records import Ended, Metrics, Params, Record, Tags
from forgeml.training.tracking.sending import Sender, deliver
from forgeml.training.tracking.store import RefusedError

END = Ended("FINISHED", 1)


class _Run:
    """A run in a store of lists."""

    run_id = "r1"

    def __init__(self) -> None:
        self.taken: list[Record] = []
        self.sizes: list[int] = []
        self.away = False
        """Whether every call fails."""
        self.most = 1_000_000
        """Records that are taken at once; a call with more fails."""
        self.hanging = threading.Event()
        self.hanging.set()
        """A call waits for it."""

    def send(self, records: Sequence[Record]) -> None:
        self._call()
        if len(records) > self.most:
            raise OSError("too slow")
        if any("bad" in value for record in records for value in record.values):
            raise RefusedError("bad is no good")
        if any(isinstance(record, Params) and record.values.get("seed") == "changed" for record in records):
            raise RefusedError("no change")
        self.sizes.append(len(records))
        self.taken += records

    def end(self, status: str, time: int) -> None:
        self._call()
        self.taken.append(Tags({"status": status}))

    def _call(self) -> None:
        assert self.hanging.wait(20)
        if self.away:
            raise ConnectionError("nobody there")


def _step(number: int) -> Metrics:
    return Metrics({"loss": 1 / number}, number, number)


@contextmanager
def _sender(run: Any, seconds: float = 5.0) -> Iterator[Sender]:
    """A sender that is open, and finished at the end."""
    sender = Sender(lambda: run, lambda run_id: None)
    sender.start(seconds)
    yield sender
    run.hanging.set()
    sender.finish(END, 5)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("EVERY", 0.05), ("FIRST_PAUSE", 0.01), ("LONGEST_PAUSE", 0.02)):
        monkeypatch.setattr(sending, name, seconds)


def test_all_arrives_in_order_and_in_few_calls() -> None:
    """Records that come while the store rests go together."""
    run = _Run()
    steps = [_step(number) for number in range(1, 301)]
    with _sender(run) as sender:
        for step in steps:
            sender.put([step])
        assert sender.finish(END, 5)
    assert [one for one in run.taken if isinstance(one, Metrics)] == steps
    assert len(run.sizes) <= 6
    assert (sender.closed, sender.waiting) == (END, 0)


def test_status_comes_before_what_still_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who stops a program may not wait for the rest."""
    monkeypatch.setattr(sending, "EVERY", 60.0)
    run = _Run()
    with _sender(run) as sender:
        sender.put([_step(1)])
        assert sender.finish(END, 5)
    assert run.taken == [Tags({"status": "FINISHED"}), _step(1)]


def test_store_that_hangs_holds_nobody_up() -> None:
    """Putting never waits, asking and finishing wait as long as they are told to; what hung arrives if it goes on."""
    run = _Run()
    with _sender(run) as sender:
        run.hanging.clear()
        for number in range(1, 1001):
            sender.put([_step(number)])
        assert sender.ask(lambda run: None).wait(0.05) == "the store has not answered yet"
        assert not sender.finish(END, 0.05)
        assert sender.waiting == 1000
    assert sender.closed is None


def test_opening_that_hangs_holds_nobody_up() -> None:
    """The run is opened later, and what was told meanwhile arrives."""
    run, opened = _Run(), threading.Event()

    def opening() -> Any:
        assert opened.wait(20)
        return run

    sender = Sender(opening, lambda run_id: None)
    sender.start(0.05)
    assert sender.run is None
    sender.put([_step(1)])
    opened.set()
    assert sender.finish(END, 5)
    assert _step(1) in run.taken


def test_opening_is_tried_until_it_succeeds() -> None:
    """The first reason is known at once; the id is told when there is one."""
    run, ids, tries = _Run(), list[str](), 0

    def opening() -> Any:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise ConnectionError(f"nobody there, said by http://me:sesame@host\ntry {tries}")
        return run

    sender = Sender(opening, ids.append)
    sender.start(5)
    assert sender.problem == "nobody there, said by http://*********@host"
    sender.put([_step(1)])
    while not ids:
        time.sleep(0.001)
    assert sender.finish(END, 5)
    assert (ids, sender.problem) == (["r1"], "")


def test_store_that_was_away_gets_all_in_order() -> None:
    """An outage costs no record and changes no order."""
    run = _Run()
    steps = [_step(number) for number in range(1, 31)]
    with _sender(run) as sender:
        for step in steps:
            run.away = 5 < step.step < 25
            sender.put([step])
            time.sleep(0.005)
        assert sender.finish(END, 5)
    assert [one for one in run.taken if isinstance(one, Metrics)] == steps


def test_store_that_is_gone_is_asked_once_more_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even in the longest pause after a failure the end is tried at once, and says what is missing."""
    monkeypatch.setattr(sending, "FIRST_PAUSE", 60.0)
    run = _Run()
    with _sender(run) as sender:
        run.away = True
        sender.put([_step(1)])
        while not sender.problem:
            time.sleep(0.001)
        assert not sender.finish(END, 5)
        assert (sender.waiting, sender.closed) == (1, None)


def test_slow_store_gets_less_at_once() -> None:
    """What is too much for one call arrives in parts."""
    run = _Run()
    with _sender(run) as sender:
        run.hanging.clear()
        sender.put([_step(number) for number in range(1, 101)])
        run.most = 20
        run.hanging.set()
        while sender.waiting:
            time.sleep(0.001)
    assert max(run.sizes) <= 20


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is more than the bound is counted as missing; the journal has it."""
    monkeypatch.setattr(sending, "MOST_WAITING", 50)
    run = _Run()
    with _sender(run) as sender:
        run.away = True
        for number in range(1, 61):
            sender.put([_step(number)])
        assert (len(sender._waiting), sender.waiting) == (50, 60)
        run.away = False
        assert not sender.finish(END, 5)
        assert sender.waiting == 10


def test_task_is_done_after_what_came_before() -> None:
    """A model that is uploaded finds the figures of its run there; a task that fails says why."""
    run, seen = _Run(), list[int]()
    with _sender(run) as sender:
        sender.put([_step(1), _step(2)])
        assert sender.ask(lambda run: seen.append(len(run.taken))).wait(5) == ""
        assert sender.ask(lambda run: 1 / 0).wait(5) == "division by zero"
        run.away = True
        sender.put([_step(3)])
        assert sender.ask(lambda run: seen.append(0)).wait(5) == "nobody there"
    assert seen == [2]


def test_refused_record_is_left_out_and_all_others_arrive() -> None:
    """It is found among many, and alone in its group; the reason is given once for each."""
    run = _Run()
    records: list[Record] = [_step(number) for number in range(1, 20)]
    records[7] = Metrics({"bad": 1.0, "good": 2.0}, 8, 8)
    assert deliver(run, records) == ["bad is no good"]  # type: ignore[arg-type]
    assert sorted(one.step for one in run.taken if isinstance(one, Metrics)) == list(range(1, 20))
    assert Metrics({"good": 2.0}, 8, 8) in run.taken


def test_changed_setting_becomes_a_tag() -> None:
    """MLflow keeps the first value of a parameter; what it is now stands beside it."""
    run = _Run()
    assert deliver(run, [Params({"seed": "changed", "epochs": "3"})]) == []  # type: ignore[arg-type]
    assert run.taken == [Tags({"forgeml.changed.seed": "changed"}), Params({"epochs": "3"})]
    assert deliver(run, []) == []  # type: ignore[arg-type]
