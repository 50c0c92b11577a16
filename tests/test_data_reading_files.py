"""Local files as one source."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forgeml.config.schema import DataConfig
from forgeml.data.reading import file_rows
from forgeml.data.reading.files import read_files
from forgeml.data.reading.json_rows import UNUSABLE
from forgeml.errors import ConfigError, DataError, Problem
from forgeml.records import Source


def _read(dataset: str | dict[str, str], **settings: Any) -> Source:
    return read_files(DataConfig(dataset=dataset, **settings))


def _problem(dataset: str | dict[str, str], **settings: Any) -> Problem:
    """The only problem that reading raises."""
    with pytest.raises((DataError, ConfigError)) as raised:
        _read(dataset, **settings)
    [problem] = raised.value.problems
    return problem


def _write(files: Mapping[str, str]) -> None:
    for name, content in files.items():
        Path(name).write_text(content)


def test_folder_is_read_by_split(tmp_path: Path) -> None:
    """Each split has its table and its files; the size is that of all, and what is not used is said."""
    _write({"train.csv": "text,label\na,x\nb,y\n", "dev.jsonl": '{"text": "c", "label": "x"}\n', "all.csv": "x"})
    source = _read(f"{tmp_path}/")
    assert {split: table.to_pydict()["text"] for split, table in source.tables.items()} == {
        "train": ["a", "b"],
        "validation": ["c"],
    }
    assert source.files == {"train": [f"{tmp_path}/train.csv"], "validation": [f"{tmp_path}/dev.jsonl"]}
    assert source.bytes == os.path.getsize("train.csv") + os.path.getsize("dev.jsonl")
    assert (source.name, source.stored, source.revision) == (f"{tmp_path}/", str(tmp_path), None)
    assert source.notes == ("not used: all.csv",)
    assert source.locate("validation", 0) == f"{tmp_path}/dev.jsonl:1 (row 1)"


def test_mapping_keeps_the_names_of_its_splits(tmp_path: Path) -> None:
    """A split for evaluation alone is enough, and the source is named as it is written."""
    _write({"t.csv": "text,label\na,x\n"})
    source = _read({"hard": "t.csv"})
    assert list(source.tables) == ["hard"]
    assert source.name == "{hard: t.csv}"
    assert source.stored == str(tmp_path)


@pytest.mark.parametrize("large", [False, True])
def test_files_of_a_pattern_are_joined(large: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They come in sorted order, columns by their names, and rows are found in their own file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(file_rows, "LARGE", 0 if large else file_rows.LARGE)
    _write(
        {
            "p2.csv": 'text,label\n"c\nc",x\nbad\nd,y\n',
            "p1.csv": "label;text\nx;a\ny;b\n",
            "p3.csv": "text,label\ne,x\n",
        }
    )
    source = _read({"train": "p*.csv"}, on_bad_rows="skip")
    assert source.tables["train"].to_pydict() == {"label": list("xyxyx"), "text": ["a", "b", "c\nc", "d", "e"]}
    assert [source.locate("train", row) for row in range(5)] == [
        "p1.csv:2 (row 1)",
        "p1.csv:3 (row 2)",
        "p2.csv:2 (row 1)",
        "p2.csv:5 (row 3)",
        "p3.csv:2 (row 1)",
    ]
    assert source.notes == (
        "the fields of p1.csv are separated by semicolons",
        "1 row of p2.csv cannot be read and is left out, the first at p2.csv:4",
    )


def test_files_of_a_split_must_have_the_same_columns() -> None:
    """The file that differs is named, with the columns that it lacks and has."""
    _write({"p1.csv": "text,label\na,x\n", "p2.csv": "text,class\na,x\n"})
    problem = _problem("p*.csv")
    assert problem.where == "p2.csv"
    assert problem.what == "other columns than p1.csv: it lacks 'label' and has 'class'"


def test_kinds_of_values_join_across_files() -> None:
    """Whole numbers join others and nulls join all; kinds that do not fit make the column unusable with the reason."""
    _write({"p1.jsonl": json.dumps({"n": 1, "t": None, "odd": 1, "m": {}, "l": ["a"]})})
    _write({"p2.jsonl": json.dumps({"n": 0.5, "t": "a", "odd": "x", "m": "x", "l": []})})
    table = _read("p*.jsonl").tables["train"]
    assert table.select(["n", "t", "l"]).to_pydict() == {"n": [1.0, 0.5], "t": [None, "a"], "l": [["a"], []]}
    assert table["odd"].null_count == table["m"].null_count == 2
    reason = table.schema.field("odd").metadata[UNUSABLE].decode()
    assert reason == "values of several kinds: int64 in p1.jsonl, large_string in p2.jsonl"
    assert table.schema.field("m").metadata[UNUSABLE] == b"several values in one: map in line 1"


USELESS = {
    "delimiter": (";", "a.jsonl", "no file is CSV or TSV: a.jsonl"),
    "field": ("data", "a.csv", "no file is .json: a.csv"),
    "encoding": ("cp1252", "a.parquet", "no file is text: a.parquet"),
}


@pytest.mark.parametrize("setting", USELESS)
def test_setting_that_no_file_has_a_use_for_is_refused(setting: str) -> None:
    """Passing over it would hide a slip."""
    value, name, what = USELESS[setting]
    _write({"a.jsonl": '{"text": "a"}', "a.csv": "text\na\n"})
    pq.write_table(pa.table({"text": ["a"]}), "a.parquet")
    problem = _problem(name, **{setting: value})
    assert problem.where == f"data.{setting}"
    assert what in problem.what


def test_unknown_encoding_is_told_before_anything_is_read() -> None:
    """It is a matter of the settings, even when the file is not there."""
    assert _problem("nothing.csv", encoding="cp9999").where == "data.encoding"


def test_small_files_of_every_kind_are_not_kept_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits into memory leaves no trace in the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _write({"a.csv": "text,label\na,x\n"})
    _read("a.csv")
    assert not Path("cache").exists()
