"""The rows of one file."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forgeml.config.schema import DataConfig
from forgeml.data import cache
from forgeml.data.reading import file_rows, stored
from forgeml.data.reading.file_rows import FileRows, read_file
from forgeml.errors import DataError, Problem

TEXTS = ["007", "NA", "null", "1e5", " outer spaces ", 'a "quoted" word', "two\nlines", "two\r\nlines", "a,b;c\td", ""]
TEXTS += ["naïve café", "שלום", "👩\u200d👩\u200d👧", "e\u0301", "\u2028", "=1+1", "'", "\ufeff"]
KINDS = [".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet"]


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


def _content(suffix: str) -> bytes:
    """The texts, each with its number as the label, as a file of this kind."""
    rows = [{"text": text, "label": str(place)} for place, text in enumerate(TEXTS)]
    if suffix == ".parquet":
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows), sink)
        return bytes(sink.getvalue().to_pybytes())
    if suffix == ".json":
        return json.dumps(rows, indent=1).encode()
    if suffix in (".jsonl", ".ndjson"):
        return "\n".join(map(json.dumps, rows)).encode()
    delimiter = {".csv": ",", ".tsv": "\t"}[suffix]
    lines = (f"{_quoted(row['text'])}{delimiter}{row['label']}" for row in rows)
    return "\n".join([f"text{delimiter}label", *lines]).encode()


def _write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _read(path: Path, **settings: Any) -> FileRows:
    return read_file(path, DataConfig(dataset=str(path), **settings))


def _problems(path: Path, **settings: Any) -> tuple[Problem, ...]:
    """What reading the file raises."""
    with pytest.raises(DataError) as raised:
        _read(path, **settings)
    return raised.value.problems


@pytest.fixture(params=["memory", "disk"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Both ways of reading: as a small file is, and as a large one is, with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(file_rows, "LARGE", 0 if request.param == "disk" else file_rows.LARGE)
    return str(request.param)


@pytest.mark.parametrize("at_once", [2, 10_000])
@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("suffix", KINDS)
def test_texts_and_labels_come_as_written(
    suffix: str, gzipped: bool, at_once: int, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What looks like a number, a gap, a quote or a line break stays the text that it is, in chunks of any size."""
    monkeypatch.setattr(file_rows, "ROWS_AT_ONCE", at_once)
    content = _content(suffix)
    path = _write(tmp_path / f"data{suffix}{'.gz' * gzipped}", gzip.compress(content) if gzipped else content)
    read = _read(path)
    assert read.table.to_pydict() == {"text": TEXTS, "label": [str(place) for place in range(len(TEXTS))]}
    assert read.table.schema.types == [pa.large_string()] * 2
    assert read.notes == ()


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbftext,label\na,b\n", b"text,label\r\na,b\r\n", b"\n\ntext,label\na,b"]
)
def test_marks_of_other_editors_are_no_part_of_the_data(content: bytes, tmp_path: Path) -> None:
    """A byte order mark, Windows line ends and blank lines on top do not show."""
    assert _read(_write(tmp_path / "data.CSV", content)).table.to_pydict() == {"text": ["a"], "label": ["b"]}


PLACES = {
    ".csv": ["data.csv:2 (row 1)", "data.csv:10 (row 8)", "data.csv:12 (row 9)"],
    ".jsonl": ["data.jsonl:1 (row 1)", "data.jsonl:8 (row 8)", "data.jsonl:9 (row 9)"],
    ".json": ["data.json item 1", "data.json item 8", "data.json item 9"],
    ".parquet": ["data.parquet row 1", "data.parquet row 8", "data.parquet row 9"],
}


@pytest.mark.parametrize("suffix", PLACES)
def test_rows_are_found_in_the_file(suffix: str, way: str) -> None:
    """A row's line counts the header and the line breaks in the texts before it."""
    read = _read(_write(Path(f"data{suffix}"), _content(suffix)))
    assert [read.locate(row) for row in (0, 7, 8)] == PLACES[suffix]


@pytest.mark.parametrize(
    ("settings", "content", "said"),
    [
        ({}, "text;label\na,b;x\n", "the fields of a.csv are separated by semicolons"),
        ({}, "text\tlabel\na,b\tx\n", "the fields of a.csv are separated by tabs"),
        ({}, "text|label\na,b|x\n", "the fields of a.csv are separated by bars"),
        ({"delimiter": ";"}, "text;label\na,b;x\n", None),
        ({"delimiter": "tab"}, "text\tlabel\na,b\tx\n", None),
    ],
)
def test_other_delimiters_are_recognised_and_said(
    settings: dict[str, str], content: str, said: str | None, way: str
) -> None:
    """A delimiter that was not named is recognised and said; one that is named is used."""
    read = _read(_write(Path("a.csv"), content), **settings)
    assert read.table.to_pydict() == {"text": ["a,b"], "label": ["x"]}
    assert read.notes == ((said,) if said else ())


def test_named_delimiter_holds_for_tsv_too() -> None:
    """The setting is stronger than the name."""
    assert _read(_write(Path("a.tsv"), "text|label\na|x\n"), delimiter="|").table.column_names == ["text", "label"]
    [problem] = _problems(_write(Path("b.csv"), "text;label\na;x\n"), delimiter="|")
    assert (problem.where, problem.fix) == ("b.csv:1", "set data.delimiter: ';'")


def test_named_encoding_is_used_and_kept_to(way: str) -> None:
    """A file in the encoding that is set reads well; one that is not is refused with its place."""
    path = _write(Path("a.csv"), "text,label\nmañana,x\n".encode("cp1252"))
    assert _read(path, encoding="cp1252").table["text"].to_pylist() == ["mañana"]
    [unnamed] = _problems(path)
    assert (unnamed.where, "set data.encoding: cp1252" in unnamed.fix) == ("a.csv:2", True)
    [wrong] = _problems(_write(Path("b.csv"), b"text,label\n\x81,x\n"), encoding="cp1252")
    assert (wrong.where, "byte 0x81 at offset 11" in wrong.what) == ("b.csv:2", True)


BAD = {
    "bad.csv": ('text,label\na,b,c\ngood,x\nalone\n"two\nlines",y\n', [5], "bad.csv:2"),
    "bad.jsonl": ('{"text": "good"}\n\n{"text": }\n[1]\n{"text": "two\\nlines"}\n', [5], "bad.jsonl:3"),
    "bad.json": ('[7, {"text": "good"}, null, {"text": "two\\nlines"}]', [], "bad.json item 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_left_out_when_told(name: str, way: str) -> None:
    """They are counted in a note, and the rows behind them keep their lines and numbers."""
    content, _, first = BAD[name]
    path = _write(Path(name), content)
    assert len(_problems(path)) == 2
    read = _read(path, on_bad_rows="skip")
    assert read.table["text"].to_pylist() == ["good", "two\nlines"]
    assert read.notes == (f"2 rows of {name} cannot be read and are left out, the first at {first}",)
    assert read.locate(1) == (f"{name} item 4" if name == "bad.json" else f"{name}:5 (row 4)")


def test_file_of_bad_rows_alone_has_no_rows() -> None:
    """When all is left out there is nothing to learn from."""
    [problem] = _problems(_write(Path("a.csv"), "text,label\na\nb\n"), on_bad_rows="skip")
    assert problem.what == "no rows that can be read, 2 are left out"


@pytest.mark.parametrize("on_bad_rows", ["refuse", "skip"])
def test_quote_that_is_never_closed_is_never_left_out(on_bad_rows: str, way: str, tmp_path: Path) -> None:
    """It may have swallowed any number of rows; the problems before it are told as well."""
    path = _write(Path("a.csv"), 'text,label\na,b,c\n"x",y\n"open,z\nmore,y\n')
    problems = _problems(path, on_bad_rows=on_bad_rows)
    assert problems[-1].where == "a.csv:4 (row 3)"
    assert len(problems) == (2 if on_bad_rows == "refuse" else 1)
    assert not list(tmp_path.glob("cache/**/*.arrow"))


@pytest.mark.parametrize(("problems", "shown"), [(3, 3), (25, 10)])
@pytest.mark.parametrize(("suffix", "line"), [(".csv", "a,b,c\n"), (".jsonl", "[]\n")])
def test_first_problems_are_reported_together(suffix: str, line: str, problems: int, shown: int) -> None:
    """All of a few and ten of many problems are in one error."""
    path = _write(Path(f"data{suffix}"), _content(suffix) + f"\n{line * problems}".encode())
    assert len(_problems(path)) == shown


def test_control_characters_are_read_as_blanks_and_counted(way: str) -> None:
    """Tabs and line ends stay; a NUL inside a text is one of those that go."""
    rows = [
        {"text": "a\0b\x1b", "label": "x"},
        {"text": "tab\tline\r\n", "label": "\x7f"},
        {"text": "é\x85", "label": "x"},
    ]
    read = _read(_write(Path("a.jsonl"), "\n".join(map(json.dumps, rows))))
    assert read.table["text"].to_pylist() == ["a b ", "tab\tline\r\n", "é\x85"]
    assert read.notes == ("2 values of a.jsonl hold control characters, which are read as blanks",)
    read = _read(_write(Path("a.csv"), "text,label\n" + "x" * 100 + "\0,y\n"))
    assert read.table["text"].to_pylist() == ["x" * 100 + " "]
    assert read.notes == ("1 value of a.csv holds control characters, which are read as blanks",)


def test_field_holds_the_rows(way: str) -> None:
    """Rows under a key are read when it is named, and the key is named when it is not."""
    path = _write(Path("a.json"), json.dumps({"version": 1, "data": [{"text": "a"}, {"text": "b"}]}))
    assert _read(path, field="data").table["text"].to_pylist() == ["a", "b"]
    assert [problem.fix for problem in _problems(path)] == ["set data.field: data"]


NO_ROWS = {"a.csv": b"", "b.csv": b"text,label\n", "c.jsonl": b"\n \n", "d.csv": b"\xef\xbb\xbf", "e.json": b"[]"}
NO_ROWS |= {"f.csv.gz": gzip.compress(b""), "g.csv": b"\n\n\n"}


@pytest.mark.parametrize("name", NO_ROWS)
def test_file_without_rows_is_refused(name: str, way: str) -> None:
    """Empty, of blank lines or with a header alone: there are no rows."""
    assert [problem.what for problem in _problems(_write(Path(name), NO_ROWS[name]))] == ["no rows"]


def test_columns_of_large_json_files_widen_as_those_of_small_ones(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that come late, whole numbers that get a fraction and kinds that mix end alike whatever the way."""
    monkeypatch.setattr(file_rows, "ROWS_AT_ONCE", 1)
    rows = [
        {"n": 1, "mixed": 1, "l": None},
        {"n": None, "mixed": 2, "l": []},
        {"n": 2.5, "mixed": "x", "l": ["a"], "late": True},
    ]
    table = _read(_write(Path("a.jsonl"), "\n".join(map(json.dumps, rows)))).table
    assert table.drop_columns(["mixed"]).to_pydict() == {
        "n": [1.0, None, 2.5],
        "l": [None, [], ["a"]],
        "late": [None, None, True],
    }
    reason = table.schema.field("mixed").metadata[b"unusable"]
    assert reason == b"values of several kinds: whole number in line 1, text in line 3"


def test_progress_is_told_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task names the file, and what is done reaches the whole."""
    monkeypatch.setattr(file_rows, "ROWS_AT_ONCE", 1000)
    path = _write(Path("a.csv"), "text,label\n" + f"{'x' * 300},y\n" * 5000)
    told: list[tuple[str, int, int]] = []
    read_file(path, DataConfig(dataset="a.csv"), lambda *step: told.append(step))
    assert {(task, total) for task, _, total in told} == {("read a.csv", path.stat().st_size)}
    done = [done for _, done, _ in told]
    assert len(done) == 5
    assert done == sorted(done)
    assert done[-1] == path.stat().st_size


def test_chunks_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long texts are converted before there are many of them."""
    monkeypatch.setattr(file_rows, "BYTES_AT_ONCE", 10**6)
    path = _write(Path("a.csv"), "text,label\n" + f"{'x' * 10_000},y\n" * 1000)
    assert _read(path).table["text"].num_chunks >= 5


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file that counts as large, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(file_rows, "LARGE", 0)
    return _write(Path("a.csv"), "text;label\na\x1b;x\nb;y\nc\n")


def test_copy_serves_the_next_time(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time nothing is read but the copy, with its notes and places."""
    first = _read(large, on_bad_rows="skip")
    monkeypatch.setattr(file_rows, "open_file", None)
    second = _read(large, on_bad_rows="skip")
    assert second.table.equals(first.table)
    assert second.notes == first.notes
    assert len(first.notes) == 3
    assert second.locate(1) == "a.csv:3 (row 2)"


def test_copy_is_of_this_content_and_these_settings(large: Path) -> None:
    """When the file or the way of reading changes, the old copy does not serve."""
    assert len(_read(large, on_bad_rows="skip").table) == 2
    assert len(_problems(large)) == 1
    assert _read(large, delimiter=";", on_bad_rows="skip").notes != _read(large, on_bad_rows="skip").notes
    stamp = large.stat()
    _write(large, "text;label\nz\x1b;x\nb;y\nc\n")
    os.utime(large, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert _read(large, on_bad_rows="skip").table["text"].to_pylist() == ["z ", "b"]


def test_damaged_copy_is_made_anew(large: Path, tmp_path: Path) -> None:
    """A copy that someone has cut or half removed costs only the time to make it."""
    first = _read(large, on_bad_rows="skip").table.to_pydict()
    for name in (stored.ROWS, file_rows.NOTES):
        [file] = tmp_path.glob(f"cache/forgeml/tables/*/{name}")
        file.write_bytes(file.read_bytes()[:5])
        assert _read(large, on_bad_rows="skip").table.to_pydict() == first
    file.unlink()
    assert _read(large, on_bad_rows="skip").table.to_pydict() == first


def test_without_a_cache_the_rows_are_read_into_memory(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes nothing, from the start or in the middle, is no reason to stop."""
    _write(Path("full"), "")
    monkeypatch.setenv("XDG_CACHE_HOME", "full")
    assert len(_read(large, on_bad_rows="skip").table) == 2

    def fill(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("XDG_CACHE_HOME", "other")
    monkeypatch.setattr(stored, "write", fill)
    assert len(_read(large, on_bad_rows="skip").table) == 2
    assert not list(Path("other/forgeml/tables").iterdir())


def test_refused_file_leaves_no_copy(large: Path) -> None:
    """An error passes through the cache as it is and leaves nothing behind."""
    assert len(_problems(large)) == 1
    assert not list(cache.folder_of("tables", "").parent.iterdir())


def test_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """Rows of two versions of a file are not mixed."""
    path = _write(Path("a.csv"), "text,label\na,b\n")

    def add(*step: object) -> None:
        with path.open("a") as file:
            file.write("c,d\n")

    with pytest.raises(DataError, match="changed while it was read"):
        read_file(path, DataConfig(dataset="a.csv"), add)


def test_compressed_files_count_for_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A small gzip file may hold a large one, so it is kept on disk sooner."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    content = _content(".csv")
    monkeypatch.setattr(file_rows, "LARGE", len(content) + 1)
    _read(_write(Path("a.csv"), content))
    assert not (tmp_path / "cache").exists()
    _read(_write(Path("a.csv.gz"), gzip.compress(content)))
    assert (tmp_path / "cache").exists()


def test_link_to_the_same_file_under_another_kind_of_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind is that of the name that was given, also where the copy on disk is that of another name."""
    monkeypatch.setattr(file_rows, "LARGE", 0)
    Path("blob").write_text("text\tlabel, x\na\tb, c\n")
    for name in ("a.tsv", "a.csv"):
        Path(name).symlink_to("blob")
    assert _read(Path("a.tsv")).table.column_names == ["text", "label, x"]
    assert _read(Path("a.csv")).table.column_names == ["text\tlabel", " x"]
