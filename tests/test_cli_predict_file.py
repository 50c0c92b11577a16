"""`forgeml predict MODEL INPUT -o OUTPUT`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from command import forgeml
from forgeml import Classifier
from forgeml.cli.predict_file import _identity, means_file, refuse_files
from forgeml.errors import ConfigError
from refusals import answer_of, assert_says, refusal_of
from scored_files import read, write

COMMAND = [sys.executable, "-m", "forgeml", "predict"]


def _reviews(count: int) -> list[dict[str, str]]:
    return [{"id": str(number), "text": ("good film " if number % 2 else "bad film ") * 3} for number in range(count)]


def test_file_gets_what_the_classifier_says(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same labels and scores as from Python, and a report in JSON."""
    rows = _reviews(5)
    write(tmp_path / "in.csv", rows)
    asked = ("--scores", "--json", "--device", "cpu")
    answer = answer_of(capsys, "predict", trained / "best_model", "in.csv", "-o", "out.jsonl.gz", *asked)
    assert answer.code == 0, answer.err
    report = json.loads(answer.out)
    assert (report["rows"], report["output"], report["continued_from"]) == (5, "out.jsonl.gz", 0)
    assert report["added"] == ["label", "score", "score_neg", "score_pos"]
    own = Classifier.from_pretrained(trained / "best_model", "cpu").predict([row["text"] for row in rows])
    for row, given, expected in zip(read(tmp_path / "out.jsonl.gz"), rows, own, strict=True):
        assert (row["id"], row["text"], row["label"]) == (given["id"], given["text"], expected.label)
        assert row["score_pos"] == pytest.approx(expected.scores["pos"], abs=1e-5)


def test_people_are_told_what_was_done(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows, columns and speed stand in one line on stderr; stdout has nothing."""
    write(tmp_path / "in.csv", _reviews(3))
    answer = answer_of(capsys, "predict", trained / "best_model", "in.csv", "-o", "out.csv", "--device", "cpu")
    assert (answer.code, answer.out) == (0, "")
    assert_says(answer.err, ["result         out.csv: 3 rows with label, score (0:0", "rows/s)"])


REFUSALS: dict[str, tuple[Sequence[str], int, Sequence[str]]] = {
    "no output": (["in.csv"], 2, ["--output: is missing, and in.csv is to be scored as a file", "--output scored.csv"]),
    "output without its option": (
        ["in.csv", "out.csv"],
        2,
        ["--output: is missing: in.csv is a file\n  fix: forgeml predict ", "best_model in.csv --output out.csv"],
    ),
    "files and texts": (["A film", "in.csv"], 2, ["--output: is missing: in.csv is a file", "--output scored.csv"]),
    "two files that are there": (["label.csv", "in.csv", "--scores"], 2, ["--output: is missing: label.csv is a file"]),
    "no such file": (["inn.csv"], 3, ["inn.csv: no such file\n  fix: did you mean in.csv?"]),
    "no such file with an output": (["inn.csv", "-o", "x.csv"], 3, ["did you mean in.csv?"]),
    "two files": (["in.csv", "b.csv", "-o", "x.csv"], 2, ["b.csv: unexpected argument"]),
    "a pair": (["in.csv", "-o", "x.csv", "--pair", "y"], 2, ["--pair: is for texts on the command line"]),
    "output there": (["in.csv", "-o", "there.csv"], 2, ["there.csv: is there already", "add --overwrite"]),
    "output is input": (["in.csv", "-o", "in.csv", "--overwrite"], 2, ["in.csv: the output is the input itself"]),
    "stdin of no kind": (["-", "-o", "x.csv"], 2, ["--from: is missing"]),
    "report and rows": (["in.csv", "-o", "-", "--json"], 2, ["--json: both the rows and the report would go to"]),
    "bad rows": (["in.csv", "-o", "x.csv", "--on-bad-rows", "drop"], 2, ["--on-bad-rows: 'drop' is not known"]),
    "texts with options": (["A good film", "--scores"], 2, ["--scores: is for files only"]),
    "folder": (["in.csv", "-o", "folder"], 2, ["folder: a name without an end is not written"]),
    "no folder": (["in.csv", "-o", "no/x.csv"], 5, ["no: no such folder\n  fix: make it with mkdir -p no"]),
    "encoding": (
        ["latin.csv", "-o", "x.csv"],
        3,
        ["latin.csv:2: not UTF-8", "set --encoding cp1252 if that reads well"],
    ),
    "delimiter": (["in.csv", "-o", "x.csv", "--delimiter", ";"], 3, ["fix: set --delimiter ','"]),
    "not for it": (["in.csv", "-o", "x.csv", "--field", "rows"], 2, ["--field: 'rows' is set, but in.csv is not JSON"]),
    "column": (["in.csv", "-o", "x.csv", "--text-column", "texd"], 3, ["did you mean --text-column text?"]),
    "pair column": (["in.csv", "-o", "x.csv", "--pair-column", "id"], 2, ["--pair-column: this model was trained on"]),
    "collision": (["label.csv", "-o", "x.csv"], 3, ["label.csv: has a column 'label' already", "--suffix _predicted"]),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_mistakes_are_told(name: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the exit code of their kind, by the names of the options, and nothing on disk has changed."""
    write(tmp_path / "in.csv", _reviews(3))
    write(tmp_path / "label.csv", [{"text": "x", "label": "y"}])
    (tmp_path / "there.csv").write_text("x\n")
    (tmp_path / "latin.csv").write_bytes(b"text\ncaf\xe9\n")
    (tmp_path / "folder").mkdir()
    arguments, code, said = REFUSALS[name]
    answer = refusal_of(capsys, tmp_path, "predict", trained / "best_model", *arguments, "--device", "cpu")
    assert answer.code == code
    assert_says(answer.err, said)
    assert "data." not in answer.err.replace("data.csv", "")


def test_mistakes_are_told_before_the_model_is_opened(tmp_path: Path) -> None:
    """A run that cannot write its output does not first load a large model."""
    (tmp_path / "in.csv").write_text("text\nx\n")
    done = forgeml("predict", "no_model", "in.csv", "-o", "nowhere/x.csv", cwd=tmp_path)
    assert (done.returncode, "no_model" in done.stderr) == (5, False)


def test_texts_are_not_taken_for_files(tmp_path: Path) -> None:
    """Only a single word that ends like a data file, a file that is there, or a dash is meant as one.

    Of several texts none may be a data file that is there, as an output was meant then.
    """
    assert means_file(["a.csv"], None)
    assert means_file(["-"], None)
    assert means_file(["anything"], "out.csv")
    assert not means_file(["a.csv", "b.csv"], None)
    assert not means_file(["see a.csv"], None)
    (tmp_path / "notes").write_text("x")
    refuse_files("best_model", ["a.csv", "b.csv", "-", "notes", "a\0.csv"])
    (tmp_path / "b.csv").write_text("text\nx\n")
    with pytest.raises(ConfigError, match=r"b.csv is a file\n  fix: forgeml predict 'best model' b.csv --output a.csv"):
        refuse_files("best model", ["a.csv", "b.csv"])


@pytest.mark.slow
def test_pipes_from_end_to_end(trained: Path, tmp_path: Path) -> None:
    """Rows come on stdin and go to stdout, everything for people to stderr, in kinds of their own."""
    write(tmp_path / "in.jsonl", _reviews(50))
    model = trained / "best_model"
    for to_kind in ("csv", "parquet"):
        words = [*COMMAND, str(model), "-", "--from", "jsonl", "--to", to_kind, "-o", "-", "--device", "cpu"]
        with (tmp_path / "in.jsonl").open("rb") as stream:
            done = subprocess.run(words, stdin=stream, capture_output=True, check=True)
        (tmp_path / f"out.{to_kind}").write_bytes(done.stdout)
        assert [row["id"] for row in read(tmp_path / f"out.{to_kind}")] == [str(number) for number in range(50)]
        assert b"50 rows" in done.stderr


@pytest.mark.slow
def test_reader_that_has_seen_enough(trained: Path, tmp_path: Path) -> None:
    """`| head` ends the run quietly with 0."""
    write(tmp_path / "in.jsonl", _reviews(20_000))
    words = [*COMMAND, str(trained / "best_model"), "in.jsonl", "-o", "-", "--device", "cpu"]
    line = f"{shlex.join(words)} 2>said | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    first, code = done.stdout.splitlines()
    assert (json.loads(first)["id"], code) == ("0", "0")
    assert "rror" not in Path("said").read_text()


def _rows_noted(note: Path) -> int:
    """How far a run says that it is; the note is replaced in one move, so it is always whole."""
    return int(json.loads(note.read_text())["rows"]) if note.exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_command_goes_on(how: signal.Signals, trained: Path, tmp_path: Path) -> None:
    """After Ctrl-C or `kill -9` the same command ends with the bytes of a run that was never stopped."""
    write(tmp_path / "in.csv", _reviews(60_000))
    words = [*COMMAND, str(trained / "best_model"), "in.csv", "--device", "cpu", "--json", "-o"]
    whole = subprocess.run([*words, "whole.csv"], capture_output=True, text=True, check=True)
    assert json.loads(whole.stdout)["rows"] == 60_000
    with subprocess.Popen([*words, "out.csv"], stderr=subprocess.PIPE, text=True) as running:
        while not _rows_noted(Path("out.csv.part.json")):
            assert running.poll() is None, "the run ended before it had noted any rows"
            time.sleep(0.01)
        running.send_signal(how)
        said = running.communicate()[1]
    assert running.returncode == (130 if how is signal.SIGINT else -9)
    assert how is signal.SIGKILL or "run the same command again to go on behind them" in said
    assert not Path("out.csv").exists()
    done = subprocess.run([*words, "out.csv"], capture_output=True, text=True, check=True)
    assert 0 < json.loads(done.stdout)["continued_from"] < 60_000
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_another_model_in_the_same_folder_begins_anew(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The identity is that of the weights where the manifest has their hashes, and of the files where there is none."""
    shutil.copytree(trained / "best_model", tmp_path / "model")
    manifest = json.loads((tmp_path / "model" / "forgeml.json").read_text())

    def identity(known: dict[str, object], device: str = "cpu", engine: str = "torch-fp32") -> str:
        return _identity(SimpleNamespace(manifest=known, device=device, engine=engine), tmp_path / "model")

    before = identity(manifest), identity({})
    os.utime(tmp_path / "model" / "model.safetensors", (1, 1))
    assert identity(manifest) == before[0]
    assert identity({}) != before[1]
    assert identity({**manifest, "files": {}}) != before[0]
    assert identity(manifest, "cuda") != before[0]
    assert identity(manifest, engine="onnx-int8") != before[0]
    (tmp_path / "model" / "README.md").write_text("Other words.")
    assert identity(manifest) == before[0]
    (tmp_path / "model" / "folder").mkdir()
    (tmp_path / "model" / "folder" / "config.json").write_text("{}")
    beside = identity(manifest)
    assert beside != before[0]
    os.utime(tmp_path / "model" / "folder" / "config.json", (1, 1))
    assert identity(manifest) != beside
