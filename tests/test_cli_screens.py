"""What `forgeml plan` shows, from facts made by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from forgeml.cli.screens import doctor_screen, plan_screen
from forgeml.doctor.finding import Finding
from refusals import assert_says

PLAN: dict[str, Any] = {
    "ready": True,
    "problems": [],
    "warnings": ["training.num_epochs is 200: a lot"],
    "machine": {"device": "cpu", "precision": "fp32", "threads": 2},
    "model": {"name": "some/model", "bytes": 250_000_000, "commit": "a" * 40, "fetched": False, "max_length": 256},
    "data": {
        "name": "some/data",
        "revision": "b" * 40,
        "bytes": 1_500,
        "fetched": True,
        "understood": "one of 8 classes: a, b; from the columns text to label",
        "rows": {"train": 12_000, "validation": 300},
        "balance": {"train": {name: 100 * (place + 1) for place, name in enumerate("abcdefgh")}},
        "duplicates": {
            "inside": {"train": 1_234, "validation": 0},
            "in_train_too": [
                {"split": "validation", "count": 0, "share": 0.0, "samples": ()},
                {"split": "test", "count": 3, "share": 0.015, "samples": ("one [x]", "two")},
            ],
        },
        "notes": ["3 of 200 texts of test (1.5%) also stand in train, such as 'one [x]'", "2 rows are odd"],
    },
    "lengths": {
        "mean": 12.4,
        "share_cut": 0.25,
        "histogram": [{"up_to": 128, "texts": 1_000}, {"up_to": 256, "texts": 0}],
    },
    "steps": {"in_all": 2_250, "in_epoch": 750},
    "disk": {"needed": 1_200_000_000, "free": 90_000_000_000, "checkpoints": 0},
    "memory": {"used": 2_000_000_000, "total": 8_000_000_000},
    "estimate": {"gather": 2.0, "train": 3600.0, "score": 61.0, "save_and_track": 8.0, "seconds": 3671.0},
}


def shown(plan: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    """What stands on the screen; nothing may go to stderr."""
    plan_screen(plan)
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def without(*topics: str) -> dict[str, Any]:
    """The plan without some of its facts."""
    return {name: value for name, value in copy.deepcopy(PLAN).items() if name not in topics}


def test_every_fact_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Sizes and counts are as people read them, and the last line says what is next."""
    said = shown(PLAN, capsys)
    wanted = [
        "note       training.num_epochs is 200: a lot",
        "machine    cpu, fp32, 2 threads",
        "model      some/model, 250.0 MB, cached; reads 256 tokens",
        "data       some/data, 2 kB, just fetched",
        "rows       train 12,000, validation 300",
        "task       one of 8 classes: a, b; from the columns text to label",
        "repeated   train 1,234 texts",
        "leaks      3 texts of test (1.5%) stand in train: one [x]; two",
        "note       2 rows are odd",
        "lengths    12 tokens on average; 25.0% of the texts are cut",
        "steps      2,250, 750 an epoch",
        "disk       1.2 GB needed, 90.0 GB free",
        "memory     2.0 GB used by the longest batch, 8.0 GB there",
        "time       about 1:01:11: training 1:00:00, scoring 1:01, the rest 0:10",
    ]
    assert_says(said, [f"{line}\n" for line in wanted])
    assert said.endswith("ready\n")
    assert said.count("stand in train") == 1


@pytest.mark.parametrize(("near", "doubt"), [(False, ""), (True, ", which may not suffice")])
def test_room_for_checkpoints_and_memory_that_is_foretold(
    near: bool, doubt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the disk, what checkpoints take; of the memory of a processor, what will be needed and what there is."""
    plan = without()
    plan["disk"]["checkpoints"] = 400_000_000
    plan["memory"] |= {"needed": 2_100_000_000, "available": 3_000_000_000, "near": near}
    said = shown(plan, capsys)
    assert "disk       1.2 GB needed (400.0 MB for checkpoints), 90.0 GB free\n" in said
    free = f"about 2.1 GB needed, 3.0 GB of 8.0 GB free{doubt}"
    assert f"memory     {free}; 2.0 GB used by the longest batch\n" in said


def test_doctor_tells_the_worst_last(capsys: pytest.CaptureFixture[str]) -> None:
    """A line each with its state, the fix below, and at the end how many need one."""
    doctor_screen(
        [
            Finding("disk", "problem", "full [x]", "free some"),
            Finding("device", "ok", "auto takes cpu"),
            Finding("lock", "warning", "left", "nothing"),
            Finding("memory", "ok", "plenty"),
        ]
    )
    said = capsys.readouterr()
    assert said.err == ""
    assert [line.rstrip() for line in said.out.splitlines()] == [
        "ok       device        auto takes cpu",
        "ok       memory        plenty",
        "warning  lock          left",
        "                       fix: nothing",
        "problem  disk          full [x]",
        "                       fix: free some",
        "                       1 problem; 1 warning",
    ]
    doctor_screen([Finding("device", "ok", "auto takes cpu")])
    assert capsys.readouterr().out.splitlines()[-1].strip() == "all is well"


def test_many_classes_are_the_most_frequent_and_the_rarest(capsys: pytest.CaptureFixture[str]) -> None:
    """Of many classes the first few and the last are shown, with their shares; of few all of them."""
    assert "classes    h 800 (6.7%), g 700 (5.8%), f 600 (5.0%), e 500 (4.2%), d 400 (3.3%), ..., a 100 (0.8%)\n" in (
        shown(PLAN, capsys)
    )
    plan = without()
    plan["data"]["balance"]["train"] = {"neg": 3_000, "pos": 9_000}
    assert "classes    pos 9,000 (75.0%), neg 3,000 (25.0%)\n" in shown(plan, capsys)
    plan["data"]["balance"]["train"] = {}
    assert "classes" not in shown(plan, capsys).replace("8 classes", "")


def test_histogram_is_in_proportion(capsys: pytest.CaptureFixture[str]) -> None:
    """The fullest bar is the longest, and an empty one has no length."""
    lines = [line.strip() for line in shown(PLAN, capsys).splitlines() if "to   " in line]
    assert lines == [f"to   128  {'█' * 24} 1,000", f"to   256  {' ' * 24} 0"]


@pytest.mark.parametrize(
    ("commit", "fetched", "words"),
    [(None, False, "a local folder"), ("c" * 40, True, "just fetched"), ("c" * 40, False, "cached")],
)
def test_where_the_model_was(commit: str | None, fetched: bool, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A model on this machine, one that has just come, and one that was there."""
    plan = without()
    plan["model"] |= {"commit": commit, "fetched": fetched}
    assert f"250.0 MB, {words}; reads 256 tokens" in shown(plan, capsys)


def test_problems_stand_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Only what could be looked at is told; then how many things are to be fixed, each with its fix."""
    plan = without("model", "lengths", "steps", "disk", "memory", "estimate")
    problems = [{"where": name, "what": "is [wrong]", "fix": "mend it"} for name in ("model.name", "data.dataset")]
    said = shown({**plan, "ready": False, "problems": problems}, capsys)
    assert "ready" not in said
    last = [line.rstrip() for line in said.splitlines()][-5:]
    assert [line.strip() for line in last] == [
        "to fix, 2:",
        "model.name: is [wrong]",
        "fix: mend it",
        "data.dataset: is [wrong]",
        "fix: mend it",
    ]


def test_long_lines_are_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe every word of a problem is there."""
    words = [f"word{number}" for number in range(60)]
    problem = {"where": "here", "what": " ".join(words), "fix": "mend it"}
    said = shown({**without(), "ready": False, "problems": [problem]}, capsys)
    assert_says(said, words)
