"""Whole files scored: every kind into every kind, and what may go wrong."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import REPOSITORY
from forgeml.errors import DataError
from forgeml.events import Event, Note, Progress
from forgeml.inference.files import chunks
from forgeml.inference.files.columns import Scorer, Wanted
from forgeml.inference.files.places import source_of, target_of
from forgeml.inference.files.reading import How
from forgeml.inference.files.scoring import Job, score_file
from forgeml.records import Prediction
from scored_files import ROWS, SCORER, predict, read, score, write

TEXTS = [str(row["text"]) for row in ROWS]
INPUTS = ("csv", "tsv", "json", "jsonl", "ndjson", "parquet", "csv.gz", "json.gz", "jsonl.gz", "parquet.gz")
OUTPUTS = ("csv", "tsv", "json", "jsonl", "ndjson", "parquet", "csv.gz", "tsv.gz", "json.gz", "jsonl.gz")


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("kind", INPUTS)
def test_every_kind_goes_into_every_kind(kind: str, output: str, tmp_path: Path) -> None:
    """All columns of the input keep their values and order, and the answers stand behind them."""
    if kind == "parquet.gz":
        (tmp_path / "in.parquet.gz").write_bytes(
            subprocess.run(["gzip", "-c", write(tmp_path / "a.parquet")], capture_output=True, check=True).stdout
        )
    else:
        write(tmp_path / f"in.{kind}")
    scored = score(f"in.{kind}", f"out.{output}", wanted=Wanted(scores=True))
    assert (scored.rows, scored.added) == (3, ("label", "score", "score_neg", "score_pos"))
    for row, own, answer in zip(read(tmp_path / f"out.{output}"), ROWS, predict(TEXTS), strict=True):
        assert list(row) == [*own, "label", "score", "score_neg", "score_pos"]
        assert {name: row[name] for name in own} == own
        assert row["label"] == answer.label
        assert float(row["score"]) == pytest.approx(answer.score, abs=1e-7)
        assert float(row["score_pos"]) == pytest.approx(answer.scores["pos"], abs=1e-7)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("out")) == [f"out.{output}"]


def test_rows_keep_their_order_over_many_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many chunks there are, each row has the answer for its own text."""
    monkeypatch.setattr(chunks, "ROWS_AT_ONCE", 7)
    rows = [{"text": "good" * (number % 13), "n": number} for number in range(100)]
    write(tmp_path / "in.jsonl", rows)
    score("in.jsonl", "out.csv.gz")
    found = read(tmp_path / "out.csv.gz")
    assert [int(row["n"]) for row in found] == list(range(100))
    said = [repr(round(answer.score or 0, 7)) for answer in predict([str(row["text"]) for row in rows])]
    assert [row["score"] for row in found] == said


def test_missing_texts_are_scored_as_empty_and_told(tmp_path: Path) -> None:
    """Null, absent and blank texts are no error; a note says how many there are."""
    write(tmp_path / "in.jsonl", [{"text": "good"}, {"text": None}, {"id": 1}, {"text": " "}])
    told: list[Event] = []
    scored = score("in.jsonl", "out.jsonl", told=told)
    assert scored.empty_texts == 3
    assert Note("data", "3 texts are missing or blank, scored as empty", warning=True) in told
    assert [row["score"] for row in read(tmp_path / "out.jsonl")][1:3] == [0.5, 0.5]


def test_bad_rows_are_refused_together_or_left_out(tmp_path: Path) -> None:
    """Rows that cannot be read are named with their lines; if they are to be left out, they are counted and told."""
    (tmp_path / "in.csv").write_text("text,id\ngood,1\nbad\nfine,2\nbad,3,4\n")
    with pytest.raises(DataError) as raised:
        score("in.csv", "out.csv")
    assert [problem.where for problem in raised.value.problems] == ["in.csv:3 (row 2)", "in.csv:5 (row 4)"]
    assert not list(tmp_path.glob("out*"))
    told: list[Event] = []
    scored = score("in.csv", "out.csv", told=told, how=How(on_bad_rows="skip"))
    assert (scored.rows, scored.left_out) == (2, 2)
    assert Note("data", "2 rows left out, the first at in.csv:3", warning=True) in told
    assert [row["id"] for row in read(tmp_path / "out.csv")] == ["1", "2"]


@pytest.mark.parametrize(("name", "content"), [("in.csv", "text\n"), ("in.jsonl", ""), ("in.json", "[]")])
def test_file_without_rows_is_refused(name: str, content: str, tmp_path: Path) -> None:
    """There is nothing to score, and no output that looks as if there was."""
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match="no rows"):
        score(name, "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_columns_of_the_input_are_never_overwritten(tmp_path: Path) -> None:
    """A column of the same name is refused with what to do, and nothing is left behind."""
    write(tmp_path / "in.csv", [{"text": "good", "label": "pos", "score": "3"}])
    with pytest.raises(DataError, match=r"has columns 'label', 'score' already.*\n.*--suffix _predicted"):
        score("in.csv", "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
    score("in.csv", "out.csv", wanted=Wanted(suffix="_predicted"))
    [row] = read(tmp_path / "out.csv")
    assert (row["label"], row["label_predicted"], row["score"]) == ("pos", "pos", "3")


def test_input_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    """Rows of two versions of a file never stand in one output."""
    write(tmp_path / "in.csv")

    class Changing(list[Event]):
        def append(self, event: Event) -> None:
            os.utime("in.csv", (1, 1))

    with pytest.raises(DataError, match="changed while it was read"):
        score("in.csv", "out.csv", told=Changing())
    assert not (tmp_path / "out.csv").exists()


def test_progress_is_told(tmp_path: Path) -> None:
    """First how much of the file is looked through, in bytes; then how many rows are scored, of how many."""
    write(tmp_path / "in.jsonl", [{"text": "good"}] * 3000)
    told: list[Event] = []
    score("in.jsonl", "out.jsonl", told=told)
    steps = [event for event in told if isinstance(event, Progress)]
    size = (tmp_path / "in.jsonl").stat().st_size
    looked, scored = (
        [(one.done, one.total, one.rows) for one in steps if one.task == task] for task in ("check", "score")
    )
    assert [rows for *_, rows in looked] == [1024, 2048, 3000]
    assert looked[-1][:2] == (size, size)
    assert scored == [(rows, 3000, rows) for rows in (0, 512, 1024, 1536, 2048, 2560)]


LATE = {
    "out.csv": ({"text": "x", "late": 1}, "a key 'late'"),
    "out.jsonl": ({"text": 5}, "holds 5, which is no text"),
    "out.parquet": ({"text": "x", "n": "word"}, "'n' holds a value of the kind text"),
    "out.json": ({"text": "x", "label": "y"}, "has a column 'label' already"),
    "out.tsv": ({"text": "x", "n": "\ud83d"}, "half a character"),
}


@pytest.mark.parametrize("output", LATE)
def test_trouble_at_the_end_is_found_before_anything_is_scored(output: str, tmp_path: Path) -> None:
    """Hours are not spent on rows whose file cannot be finished."""
    row, said = LATE[output]
    write(tmp_path / "in.jsonl", [{"text": "good", "n": 1}] * 3000 + [row])
    told: list[Event] = []
    with pytest.raises(DataError, match=said):
        score("in.jsonl", output, told=told)
    assert {event.task for event in told if isinstance(event, Progress)} <= {"check"}


def test_pairs_and_joined_columns(tmp_path: Path) -> None:
    """Second texts go along; several columns become one text with line breaks, as in training."""
    write(tmp_path / "in.csv", [{"title": "good", "body": "film", "other": "x"}])
    scorer = Scorer("single_label", ("neg", "pos"), "pairs", True, ("title", "body"), "other")
    score("in.csv", "out.csv", scorer)
    [row] = read(tmp_path / "out.csv")
    [answer] = predict(["good\nfilm"], ["x"])
    assert float(row["score"]) == pytest.approx(answer.score, abs=1e-7)


# Not ru_maxrss, which begins with that of the process that started this one, and so would not grow.
BIG = """
import re, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from scored_files import SCORER, predict, score
class Quiet(list):
    def append(self, event): pass
def most(): return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
score(f"less_{sys.argv[2]}", f"less_{sys.argv[3]}", told=Quiet())
before = most()
print(score(sys.argv[2], sys.argv[3], told=Quiet()).rows, most() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the most memory of a process")
@pytest.mark.parametrize(
    ("name", "output"), [("in.csv", "out.csv"), ("in.csv", "out.parquet"), ("in.json", "out.json.gz")]
)
def test_memory_does_not_grow_with_the_file(name: str, output: str, tmp_path: Path) -> None:
    """300,000 rows of 60 MB pass in about the memory of 100,000: less is added than the 40 MB that are between them."""
    line = "good film " * 20
    for count, path in ((100_000, tmp_path / f"less_{name}"), (300_000, tmp_path / name)):
        with path.open("w") as file:
            if name.endswith(".csv"):
                file.write("id,text\n")
                file.writelines(f"{number},{line}\n" for number in range(count))
            else:
                file.write("[" + ",\n".join(json.dumps({"id": number, "text": line}) for number in range(count)) + "]")
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", BIG, str(REPOSITORY / "tests"), name, output], capture_output=True, text=True, check=True
    )
    rows, grown = map(int, done.stdout.split())
    assert rows == 300_000
    assert grown < 30, f"{grown} MB, {time.monotonic() - begun:.1f} s"


def test_scoring_is_light(tmp_path: Path) -> None:
    """CSV and JSON are scored without Arrow, and nothing here loads a model's library."""
    code = (
        "import sys; import forgeml.inference.files.scoring; "
        "print([name for name in ('torch', 'transformers', 'pyarrow', 'numpy', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("scorer", "answer", "cells", "values"),
    [
        (
            Scorer("multi_label", ("a", "b"), "several", False, ("text",), label_separator="|"),
            Prediction(labels=("b", "a"), scores={"a": 0.6, "b": 0.9}),
            {"labels": "b|a", "score_a": "0.6", "score_b": "0.9"},
            {"labels": ["b", "a"], "score_a": 0.6, "score_b": 0.9},
        ),
        (Scorer("regression", ("stars",), "a number"), Prediction(value=-4.5), {"value": "-4.5"}, {"value": -4.5}),
    ],
)
def test_other_tasks(
    scorer: Scorer, answer: Prediction, cells: dict[str, str], values: dict[str, object], tmp_path: Path
) -> None:
    """Several labels are joined in CSV and a list elsewhere; a number is a number everywhere."""
    write(tmp_path / "in.csv", [{"text": "x"}])
    for output, expected in (("out.csv", cells), ("out.jsonl", values), ("out.parquet", values)):
        source = source_of("in.csv", None, io.BytesIO())
        job = Job(
            source, target_of(output, None, source, False, lambda piece: None), wanted=Wanted(scores=len(cells) > 1)
        )
        score_file(job, scorer, lambda texts, pairs, on_progress: [answer] * len(texts), lambda event: None)
        assert read(tmp_path / output) == [{"text": "x", **expected}]


def test_report_holds_what_was_done(tmp_path: Path) -> None:
    """As it is written in JSON, with the speed of this run."""
    write(tmp_path / "in.csv")
    report = score("in.csv", "out.csv", SCORER).as_dict()
    assert list(report) == [
        *("output", "rows", "added", "empty_texts", "left_out", "continued_from", "seconds", "rows_per_second"),
    ]
    assert (report["output"], report["rows"], report["continued_from"]) == ("out.csv", 3, 0)
    assert report["rows_per_second"] > 0
