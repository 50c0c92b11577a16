"""Where rows come from and where they go."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from forgeml.data.reading.opening import KINDS
from forgeml.errors import ConfigError, DataError, ForgeError, MachineError
from forgeml.inference.files.places import WRITTEN, Source, Target, looks_like_file, source_of, target_of

STREAM = io.BytesIO()


def _nowhere(piece: bytes) -> None:
    pass


def _target(name: str, kind: str | None = None, overwrite: bool = False, source: Source | None = None) -> Target:
    return target_of(name, kind, source or Source(".csv"), overwrite, _nowhere)


def test_every_kind_that_is_read_is_written() -> None:
    """By the same names."""
    assert {*WRITTEN, ".parquet"} == set(KINDS)


@pytest.mark.parametrize(
    ("name", "kind", "packed"),
    [
        ("a.csv", ".csv", False),
        ("A.TSV.GZ", ".tsv", True),
        ("a.ndjson", ".jsonl", False),
        ("a.json.gz", ".json", True),
        ("a.parquet", ".parquet", False),
    ],
)
def test_the_name_tells_what_is_written(name: str, kind: str, packed: bool) -> None:
    """By its end, letter case aside."""
    assert _target(name) == Target(kind, packed, Path(name))


def test_pipes_need_a_kind() -> None:
    """That of stdin has to be given; that of stdout is that of the input if it is left out."""
    assert source_of("-", "jsonl", STREAM) == Source(".jsonl", stream=STREAM)
    assert (_target("-").kind, _target("-", "ndjson").kind) == (".csv", ".jsonl")
    assert str(source_of("-", "csv", STREAM)) == "standard input"
    assert str(_target("-")) == "standard output"


REFUSALS: dict[str, tuple[type[ForgeError], str]] = {
    "from -": (ConfigError, "--from: is missing: a pipe has no name that tells its kind\n  fix: give one of csv, "),
    "from - xml": (ConfigError, "--from: 'xml' is no kind of data"),
    "from there.csv csv": (ConfigError, "--from: is for - only; the kind of there.csv is told by its name"),
    "from theer.csv": (DataError, "theer.csv: no such file\n  fix: did you mean there.csv? in . there are "),
    "from folder": (DataError, "folder: a folder, where a file is wanted\n  fix: check the path; folder holds no"),
    "from pipe.csv": (DataError, "pipe.csv: is not a file: it is a named pipe\n  fix: give what comes from it on"),
    "to there.csv": (ConfigError, "there.csv: is there already\n  fix: name another file, or add --overwrite"),
    "to folder": (ConfigError, "a name without an end is not written\n  fix: end the name in one of .csv, .tsv"),
    "to a.xlsx": (ConfigError, "a.xlsx: .xlsx is not written"),
    "to a.zip": (ConfigError, "a.zip: .zip is not written"),
    "to a.parquet.gz": (ConfigError, "a.parquet.gz: Parquet is compressed by itself"),
    "to nowhere/a.csv": (MachineError, "nowhere: no such folder\n  fix: make it with mkdir -p nowhere"),
    "to a.csv csv": (ConfigError, "--to: is for - only"),
}


@pytest.mark.parametrize("words", REFUSALS)
def test_what_cannot_be_meant_is_refused(words: str, tmp_path: Path) -> None:
    """Each with what was found and what to do."""
    (tmp_path / "there.csv").write_text("text\n")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    kind, said = REFUSALS[words]
    way, name, *more = words.split()
    with pytest.raises(kind) as raised:
        if way == "from":
            source_of(name, *(more or [None]), STREAM)
        else:
            _target(name, *more)
    assert said in str(raised.value)


def test_a_folder_under_the_name_of_the_output_is_told(tmp_path: Path) -> None:
    """A name such as out.csv may be that of a folder."""
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(MachineError, match=r"out.csv: it is a folder\n  fix: name a file, such as out.csv/scored.csv"):
        _target("out.csv", overwrite=True)


def test_the_input_is_never_the_output(tmp_path: Path) -> None:
    """Under whatever name, and even if it may be overwritten."""
    (tmp_path / "a.csv").write_text("text\nx\n")
    (tmp_path / "b.csv").symlink_to("a.csv")
    source = source_of("a.csv", None, STREAM)
    for name in ("a.csv", "b.csv"):
        with pytest.raises(ConfigError, match="the output is the input itself"):
            _target(name, overwrite=True, source=source)


def test_what_looks_like_a_file(tmp_path: Path) -> None:
    """A dash, a file that is there, and a name without blanks that ends like one; texts do not."""
    (tmp_path / "my data.csv").write_text("text\n")
    assert all(map(looks_like_file, ["-", "my data.csv", "nowhere.jsonl.gz"]))
    assert not any(map(looks_like_file, ["A warm film.", "see data.csv", "a\0b.csv ", "", "film.txt"]))
