"""Local files and folders."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from forgeml.data import files
from forgeml.data.files import is_local, lines_of, read_file, read_files
from forgeml.errors import DataError, Problem

TEXTS = ["007", "NA", "null", "1e5", " outer spaces ", 'a "quoted" word', "two\nlines", "two\r\nlines", "a,b;c\td", ""]
TEXTS += ["naïve café", "שלום", "👩\u200d👩\u200d👧", "e\u0301", "\u2028", "=1+1", "a\0b", "'", "\ufeff"]


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


def _content(suffix: str) -> bytes:
    """The texts, each with its number as the label, as a file of this kind."""
    if suffix == ".jsonl":
        rows = (json.dumps({"text": text, "label": str(place)}) for place, text in enumerate(TEXTS))
        return "\n".join(rows).encode()
    delimiter = {".csv": ",", ".tsv": "\t"}[suffix]
    rows = (f"{_quoted(text)}{delimiter}{place}" for place, text in enumerate(TEXTS))
    return "\n".join([f"text{delimiter}label", *rows]).encode()


def _problem(path: Path) -> Problem:
    """The only problem that reading the file raises."""
    with pytest.raises(DataError) as raised:
        read_file(path)
    [problem] = raised.value.problems
    return problem


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_texts_and_labels_come_as_written(suffix: str, gzipped: bool, tmp_path: Path) -> None:
    """What looks like a number, a gap, a quote or a line break stays the text that it is."""
    path = tmp_path / f"data{suffix}{'.gz' * gzipped}"
    path.write_bytes(gzip.compress(_content(suffix)) if gzipped else _content(suffix))
    expected = {"text": TEXTS, "label": [str(place) for place in range(len(TEXTS))]}
    assert read_file(path).to_pydict() == expected


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbftext,label\na,b\n", b"text,label\r\na,b\r\n", b"\n\ntext,label\na,b"]
)
def test_marks_of_other_editors_are_no_part_of_the_data(content: bytes, tmp_path: Path) -> None:
    """A byte order mark, Windows line ends and blank lines on top do not show."""
    (tmp_path / "data.CSV").write_bytes(content)
    assert read_file(tmp_path / "data.CSV").to_pydict() == {"text": ["a"], "label": ["b"]}


def test_rows_are_the_same_whatever_the_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of rows that are converted at once does not show in the table."""
    for suffix in (".csv", ".jsonl"):
        (tmp_path / f"data{suffix}").write_bytes(_content(suffix))
        whole = read_file(tmp_path / f"data{suffix}")
        with monkeypatch.context() as patched:
            patched.setattr(files, "ROWS_AT_ONCE", 2)
            assert read_file(tmp_path / f"data{suffix}").to_pydict() == whole.to_pydict()


def test_folder_has_a_file_for_each_split(tmp_path: Path) -> None:
    """Splits are found by name, under the usual names of validation, with and without a slash behind the folder."""
    for name in ("Train.csv", "val.tsv.gz", "test.jsonl", "notes.txt", "more.csv"):
        content = _content(next(suffix for suffix in (".tsv", ".jsonl", ".csv") if suffix in name or suffix == ".csv"))
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    source = read_files(f"{tmp_path}/")
    assert {split: Path(file).name for split, file in source.files.items()} == {
        "train": "Train.csv",
        "validation": "val.tsv.gz",
        "test": "test.jsonl",
    }
    assert {split: len(table) for split, table in source.tables.items()} == dict.fromkeys(source.files, len(TEXTS))
    assert source.bytes == sum(os.path.getsize(file) for file in source.files.values())
    assert source.revision is None


def test_single_file_is_train(tmp_path: Path) -> None:
    """One file is the training split, whatever its name."""
    (tmp_path / "test.csv").write_bytes(_content(".csv"))
    assert list(read_files(f"{tmp_path}/test.csv").tables) == ["train"]


def test_folder_without_train_names_what_it_has(tmp_path: Path) -> None:
    """The message lists the data files that are there."""
    (tmp_path / "trian.csv").write_bytes(_content(".csv"))
    (tmp_path / "train.txt").touch()
    (tmp_path / "train.csv").mkdir()
    with pytest.raises(DataError, match=r"no train file in the folder; found trian\.csv\n"):
        read_files(str(tmp_path))


def test_folder_with_two_files_for_a_split_is_refused(tmp_path: Path) -> None:
    """It is not for the reader to choose."""
    for name in ("train.csv", "validation.csv", "dev.jsonl"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"several files for validation: dev\.jsonl, validation\.csv"):
        read_files(str(tmp_path))


def test_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    """A file that is not there is answered with the nearest name and the files beside it."""
    for name in ("reviews.csv", "others.jsonl"):
        (tmp_path / name).touch()
    with pytest.raises(DataError) as raised:
        read_files(f"{tmp_path}/review.csv")
    [problem] = raised.value.problems
    assert problem.where == "data.dataset"
    assert f"did you mean {tmp_path}/reviews.csv?" in problem.fix
    assert "others.jsonl, reviews.csv" in problem.fix


ODD_PLACES = (
    "no/such/folder/",
    "~nobody/data.csv",
    "x" * 5000 + ".csv",
    "a\0b.csv",
    "owner/name/",
    "./",
    "https://a/b",
)


@pytest.mark.parametrize("dataset", ODD_PLACES, ids=lambda dataset: dataset[:10].replace("\0", "NUL"))
def test_place_without_data_is_a_data_error(dataset: str) -> None:
    """Nothing that stands in `data.dataset` raises anything else."""
    with pytest.raises(DataError):
        read_files(dataset)


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What is neither a file nor a folder is refused instead of being opened."""
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        read_files(f"{tmp_path}/pipe.csv")


CUT = gzip.compress(os.urandom(3000).hex().encode())
DAMAGED = CUT[:40] + bytes(40) + CUT[80:]
# Reading goes on to the end to find the place of the byte, and there the sum does not fit.
DAMAGED_AND_LATIN = gzip.compress("text,label\nmañana,y\n".encode("latin-1"))[:-8] + bytes(8)
ODD_FILES = {
    "empty.csv": (b"", "no rows"),
    "header.csv": (b"text,label\n", "no rows"),
    "blank.jsonl": (b"\n \n", "no rows"),
    "mark.csv": (b"\xef\xbb\xbf", "no rows"),
    "utf16.csv": ("text,label\na,b\n".encode("utf-16"), "UTF-16"),
    "utf16le.csv": ("text,label\na,b\n".encode("utf-16-le"), "UTF-16"),
    "picture.csv": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "no text"),
    "noise.jsonl": (b"\xe9\x80" * 100, "not UTF-8"),
    "table.csv": (b"PAR1\x15\x04", "Parquet"),
    "book.csv": (b"PK\x03\x04\x14", "Excel"),
    "page.csv": (b"<!DOCTYPE html><html>", "web page"),
    "lfs.csv": (b"version https://git-lfs.github.com/spec/v1\noid", "git-lfs"),
    "small.csv": (CUT, "gzip"),
    "cut.csv.gz": (CUT[:-500], "end early"),
    "damaged.csv.gz": (DAMAGED, "damaged"),
    "damaged too.csv.gz": (DAMAGED_AND_LATIN, "damaged"),
    "plain.csv.gz": (b"text,label\na,b\n", "gzip"),
    "sheet.xlsx": (b"PK", "not a known kind"),
    "semicolons.csv": (b"text;label\na;b\n", "semicolons"),
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_odd_file_is_a_data_error(name: str, tmp_path: Path) -> None:
    """Whatever is in a file, the answer is one problem in words."""
    content, what = ODD_FILES[name]
    (tmp_path / name).write_bytes(content)
    problem = _problem(tmp_path / name)
    assert what in problem.what
    assert problem.where.startswith(str(tmp_path / name))


def test_other_encoding_is_named_with_line_and_byte(tmp_path: Path) -> None:
    """The place is right beyond the decoder's buffer, and the likely letter is shown."""
    before = b"text,label\n" + b'"two\nlines",x\n' * 5000
    (tmp_path / "data.csv").write_bytes(before + "mañana,y\n".encode("cp1252"))
    problem = _problem(tmp_path / "data.csv")
    assert problem.where.endswith("data.csv:10002")
    assert f"byte 0xf1 at offset {len(before) + 2} " in problem.what
    assert "'ñ'" in problem.what


@pytest.mark.parametrize(("problems", "shown"), [(3, 3), (25, 10)])
@pytest.mark.parametrize(("suffix", "line"), [(".csv", "a,b,c\n"), (".jsonl", "[]\n")])
def test_first_problems_are_reported_together(
    suffix: str, line: str, problems: int, shown: int, tmp_path: Path
) -> None:
    """All of a few and ten of many problems are in one error."""
    path = tmp_path / f"data{suffix}"
    path.write_bytes(_content(suffix) + f"\n{line * problems}".encode())
    with pytest.raises(DataError) as raised:
        read_file(path)
    assert len(raised.value.problems) == shown


def test_file_that_may_not_be_read_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's reason is passed on."""
    (tmp_path / "data.csv").touch()

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "_open_bytes", refuse)
    assert "Permission denied" in _problem(tmp_path / "data.csv").what


@pytest.mark.parametrize(("suffix", "lines"), [(".csv", {0: 2, 7: 10, 8: 12}), (".jsonl", {0: 1, 7: 8, 8: 9})])
def test_lines_of_rows(suffix: str, lines: dict[int, int], tmp_path: Path) -> None:
    """A row's line counts the header and the line breaks in the texts before it."""
    (tmp_path / f"data{suffix}").write_bytes(_content(suffix))
    assert lines_of(tmp_path / f"data{suffix}", list(lines)) == lines


@pytest.mark.parametrize(
    ("dataset", "local"),
    [
        ("imdb", False),
        ("owner/name", False),
        ("here", True),
        ("./imdb", True),
        ("a/b/c", True),
        ("imdb/", True),
        ("outputs", False),
        ("reviews.csv", True),
        ("reviews.JSONL.GZ", True),
        ("~/imdb", True),
        ("x" * 5000, False),
        ("a\0b", False),
    ],
)
def test_is_local(dataset: str, local: bool, tmp_path: Path) -> None:
    """A name is local if it is written like a path, or data of that name is there; an output folder is no data."""
    for name in ("here", "outputs"):
        (tmp_path / name).mkdir()
    (tmp_path / "here" / "train.csv").touch()
    assert is_local(dataset) == local
