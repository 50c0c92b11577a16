"""Data that go wrong, by the rows D01 to D46 of the catalogue of bad input, through the command line."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import json
import os
import socket
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forgeml.config.schema import Config
from forgeml.data import texts as reading
from forgeml.data.reading import delimited
from forgeml.events import Event, Note
from forgeml.records import Source, Split, Splits
from forgeml.training.materials import find_data
from refusals import answer_of, assert_all_rows, assert_says, refusal_of

FILE = "config.yaml"
HEADER = "text,label\n"
NO_ROWS = ["data.csv: no rows", "at least a few labelled texts of every class"]

ELSEWHERE: Mapping[str, str] = {
    # But for its second half: a run cannot be resumed yet, so nothing can have changed since it began.
    "D40": "tests/test_data_reading_file_rows.py::test_file_that_changes_while_it_is_read_is_refused",
    "D42": "tests/test_data_reading_file_rows.py::test_chunks_are_bounded_in_bytes",
    "D45": "tests/test_data_reading_hub.py::test_trouble_is_told_in_plain_words",
    "D46": "tests/test_data_reading_hub.py::test_trouble_is_told_in_plain_words",
}
DOES_NOT_APPLY: Mapping[str, str] = {
    "D43": "files of predictions are not written yet: `forgeml predict` takes texts from the command line",
    "D44": "files of predictions are not written yet: `forgeml predict` answers as a table or as JSON",
}


def some_rows(count: int, labels: Sequence[str] = ("neg", "pos"), start: int = 0, between: str = ",") -> str:
    """Lines of a CSV file with the labels in turn; no text occurs twice."""
    return "".join(f"film {number} was seen{between}{labels[number % len(labels)]}\n" for number in range(start, count))


def as_lines(*objects: Mapping[str, Any]) -> str:
    """Objects as JSON Lines."""
    return "".join(json.dumps(one) + "\n" for one in objects)


def some_objects(count: int, **more: Any) -> list[dict[str, Any]]:
    """The same rows as objects."""
    return [{"text": f"film {number} was seen", "label": ("neg", "pos")[number % 2], **more} for number in range(count)]


def as_parquet(**options: Any) -> bytes:
    """The same rows as a Parquet file."""
    written = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(some_objects(20)), written, **options)
    return written.getvalue()


def as_zip(files: Mapping[str, str]) -> bytes:
    """An archive of these files."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return written.getvalue()


def flipped() -> bytes:
    """A Parquet file in which one letter is another."""
    content = as_parquet(compression="none", use_dictionary=False, write_page_checksum=True)
    return content.replace(b"film 7 was", b"film 7 wis")


def write_data(name: str, content: str | bytes | Mapping[str, str]) -> None:
    """One file, or the files of a folder of that name."""
    for file, text in ({name: content} if isinstance(content, str | bytes) else content).items():
        place = Path(file) if file == name else Path(name, file)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())


def write_config(model: Path, dataset: str) -> None:
    """A configuration with the tiny model and these data."""
    settings = "training: {num_epochs: 1, device: cpu, precision: fp32}\n"
    Path(FILE).write_text(f"model:\n  name: {model}\n  max_length: 32\ndata:\n  dataset: {dataset}\n{settings}")


# Data that are refused: the name, the content, options of the command line, and what is said.
Refused = tuple[str, str | bytes | Mapping[str, str], list[str], list[str]]
REFUSED: dict[str, Refused] = {
    "D02-empty": ("data.csv", "", [], NO_ROWS),
    "D02-header-only": ("data.csv", HEADER, [], NO_ROWS),
    "D02-blank-lines": ("data.csv", "\n\n\n", [], NO_ROWS),
    "D02-blank-json-lines": ("data.jsonl", "\n \n", [], ["data.jsonl: no rows"]),
    "D02-empty-array": ("data.json", "[]", [], ["data.json: no rows"]),
    "D02-empty-parquet": ("data.parquet", b"", [], ["data.parquet: no rows, it is empty"]),
    "D03-no-header": (
        "data.csv",
        some_rows(20),
        [],
        ["data.csv: no column has a usual name", "found 'film 0 was seen', 'neg'", "put one above it"],
    ),
    "D04-text-column": (
        "data.csv",
        "txt,label\n" + some_rows(20),
        [],
        ["data.csv: no column has a usual name for the text", "'txt', 'label'", "set data.text_column to one of them"],
    ),
    "D04-named-text-column": (
        "data.csv",
        "Text,label\n" + some_rows(20),
        ["--data.text_column", "text"],
        ["data.csv: no column 'text'; found 'Text', 'label'", "did you mean data.text_column: Text?"],
    ),
    "D04-named-label-column": (
        "data.csv",
        "text,lable\n" + some_rows(20),
        ["--data.label_column", "label"],
        ["data.csv: no column 'label'", "did you mean data.label_column: lable?"],
    ),
    "D04-both-columns": (
        "data.csv",
        HEADER + some_rows(20),
        ["--data.text_column", "review", "--data.label_column", "labl"],
        ["no column 'review'", "no column 'labl'", "did you mean data.label_column: label?"],
    ),
    "D04-pair-column": (
        "data.csv",
        HEADER + some_rows(20),
        ["--data.text_column", "text", "--data.text_pair_column", "text2"],
        ["data.csv: no column 'text2'", "did you mean data.text_pair_column: text?"],
    ),
    "D05-other-delimiter": (
        "data.csv",
        "text;label\n" + some_rows(20, between=";"),
        ["--data.delimiter", ","],
        ["data.csv:1: one column, 'text;label'", "separated by semicolons", "set data.delimiter: ';'"],
    ),
    "D06-columns-of-one-name": (
        "data.csv",
        "text,text,label\na,b,pos\n",
        [],
        ["data.csv:1: columns of the same name: 'text'"],
    ),
    "D07-too-many-fields": (
        "data.csv",
        HEADER + some_rows(3) + "slow, long, dull,neg\n" + some_rows(9, start=3),
        [],
        ["data.csv:5 (row 4): 4 fields where the header has 2", "in double quotes"],
    ),
    "D08-too-few-fields": (
        "data.csv",
        HEADER + some_rows(3) + "slow\n" + some_rows(9, start=3),
        [],
        ["data.csv:5 (row 4): 1 fields where the header has 2"],
    ),
    "D09-open-quote": (
        "data.csv",
        HEADER + some_rows(3) + '"slow,neg\n' + some_rows(9, start=3),
        [],
        ['data.csv:5 (row 4): a " that opens on this line is never closed'],
    ),
    "D10-row-numbers": (
        "data.csv",
        HEADER + '"two\nlines",neg\n"with ""quotes""",pos\nslow\n' + some_rows(9),
        [],
        ["data.csv:5 (row 3): 1 fields where the header has 2"],
    ),
    "D12-latin-1": (
        "data.csv",
        (HEADER + some_rows(3) + "schön,pos\n").encode("latin-1"),
        [],
        ["data.csv:5: not UTF-8: byte 0xf6 at offset", "in Windows-1252 it is 'ö'", "data.encoding: cp1252"],
    ),
    "D12-windows-1252": (
        "data.csv",
        (HEADER + some_rows(3) + "for 5 €,neg\n").encode("cp1252"),
        [],
        ["data.csv:5: not UTF-8: byte 0x80 at offset", "it is '€'", "data.encoding: cp1252"],
    ),
    "D12-utf-16": (
        "data.csv",
        (HEADER + some_rows(20)).encode("utf-16"),
        [],
        ["data.csv: it is encoded in UTF-16", "set data.encoding: utf-16"],
    ),
    "D12-mixed": (
        "data.csv",
        (HEADER + "schön,pos\n").encode() + "schön,neg\n".encode("latin-1"),
        [],
        ["data.csv:3: not UTF-8: byte 0xf6 at offset 25"],
    ),
    "D12-unknown": ("data.csv", HEADER + some_rows(20), ["--data.encoding", "utf-88"], ["no encoding 'utf-88'"]),
    "D13-half-a-character": (
        "data.jsonl",
        as_lines(*some_objects(4)) + '{"text": "a \\ud800 b", "label": "pos"}\n',
        [],
        ["data.jsonl column text: half a character (a lone surrogate", "in line 5"],
    ),
    "D13-binary": ("data.csv", bytes(range(256)), [], ["data.csv: NUL bytes at its beginning: it is no text"]),
    "D15-null": (
        "data.jsonl",
        as_lines(*some_objects(4), {"text": "x", "label": None}, {"text": "y"}),
        [],
        ["data.jsonl column label: 2 rows without a label", "data.jsonl:5 (row 5), data.jsonl:6", "on_bad_rows: skip"],
    ),
    "D15-number": (
        "data.csv",
        "text,score\n" + some_rows(9, ("0.5", "1.5")) + "x,\n",
        [],
        ["data.csv column score: 1 row without a label: data.csv:11 (row 10)"],
    ),
    "D17-half-empty": (
        "data.csv",
        HEADER + some_rows(6) + ",pos\n  ,neg\n" * 5,
        [],
        ["data.text_column: 10 of 14 texts of train are empty", "choose the column that holds the text"],
    ),
    "D18-nearly-the-same": (
        "data.csv",
        HEADER + some_rows(8) + "slow,Pos \n",
        [],
        ["data.csv column label: labels that are nearly the same: 'pos' (4 rows), 'Pos ' (1 row)"],
    ),
    "D18-nearly-the-same-of-several": (
        "data.csv",
        "text,tags\n" + some_rows(8, ("a|b", "b|c")) + "slow,A|b\n",
        ["--data.task", "multi_label"],
        ["data.csv column tags: labels that are nearly the same: 'a' (4 rows), 'A' (1 row)"],
    ),
    "D20-one-class": (
        "data.csv",
        HEADER + some_rows(8, ("pos",)),
        [],
        ["data.train_split: all 8 rows have the label 'pos'", "nothing to tell apart", "add rows of another class"],
    ),
    "D21-one-example": (
        "data.csv",
        HEADER + some_rows(20) + "slow,odd\n",
        [],
        ["data.validation_split: 1 class with one example", "'odd'", "set data.min_count: 2"],
    ),
    "D22-label-of-test-alone": (
        "folder",
        {"train.csv": HEADER + some_rows(20), "test.csv": HEADER + some_rows(55, start=50) + "slow,odd\n"},
        [],
        ["folder/test.csv column label: labels that the training data does not have: 'odd' (1 row)", "'neg', 'pos'"],
    ),
    "D22-label-of-validation-alone": (
        "folder",
        {"train.csv": HEADER + some_rows(20), "valid.csv": HEADER + "slow,odd\nlong,odd\n"},
        [],
        ["folder/valid.csv column label: labels that the training data does not have: 'odd' (2 rows)"],
    ),
    "D23-swapped": (
        "data.csv",
        "label,text\n" + some_rows(5000),
        [],
        ["column label: 5,000 different labels in 5,000 rows", "'film 0 was seen'", "is the text in the label column?"],
    ),
    "D24-sentences": (
        "data.csv",
        HEADER + "".join(f"film {number},{'long ' * 30}{number % 4}\n" for number in range(60)),
        [],
        ["data.csv column label: 4 different labels in 60 rows", "is the text in the label column?"],
    ),
    "D24-row-ids": (
        "data.csv",
        HEADER + "".join(f"film {number},{number}\n" for number in range(60)),
        [],
        ["data.csv column label: 60 different labels in 60 rows, such as '0', '1'"],
    ),
    "D25-most-of-test": (
        "folder",
        {"train.csv": HEADER + some_rows(20), "test.csv": HEADER + some_rows(20), "valid.csv": HEADER + "x,pos\n"},
        [],
        [
            "data.test_split: 20 of 20 texts (100%) also stand in train",
            "would mislead",
            "set data.drop_duplicates: true",
        ],
    ),
    "D27-same-file": (
        "{train: folder/a.csv, test: ./folder/../folder/a.csv}",
        {"a.csv": HEADER + some_rows(20)},
        [],
        ["data.dataset: folder/a.csv of train and", "of test are the same file"],
    ),
    "D27-same-rows": (
        "data.csv",
        HEADER + some_rows(20),
        ["--data.validation_split", "train[:5]"],
        ["data.validation_split: train and validation have 5 rows of train in common"],
    ),
    "D28-one-row": ("data.csv", HEADER + "slow,neg\n", [], ["data.train_split: all 1 rows have the label 'neg'"]),
    "D28-two-rows": (
        "data.csv",
        HEADER + some_rows(2),
        [],
        ["data.validation_split: 2 classes with one example", "'neg', 'pos'"],
    ),
    "D28-nothing-to-validate": (
        "data.csv",
        HEADER + some_rows(4),
        [],
        ["data.validation_split: 0.1 of 4 rows comes to no row", "give a larger share, or more data"],
    ),
    "D28-nothing-to-train": (
        "data.csv",
        HEADER + some_rows(20),
        ["--data.validation_split", "0.5", "--data.test_split", "0.5"],
        ["data.test_split: the shares 0.5 and 0.5 leave nothing to train on"],
    ),
    "D31-broken-line": (
        "data.jsonl",
        as_lines(*some_objects(57_000)) + '{"text": "x", "label"\n' + as_lines(*some_objects(3)),
        [],
        ["data.jsonl:57001: not JSON: Expecting ':' delimiter (column 22)"],
    ),
    "D31-broken-array": (
        "data.json",
        '[{"text": "a", "label": "b"},\n {"text": "a" "label": "b"}]',
        [],
        ["data.json:2: not JSON: Expecting ',' delimiter (line 2, column 15)"],
    ),
    "D32-rows-under-a-key": (
        "data.json",
        json.dumps({"data": some_objects(20)}),
        [],
        ["data.json: one object with a list under 'data'", "set data.field: data"],
    ),
    "D32-other-key": (
        "data.json",
        json.dumps({"rows": some_objects(20)}),
        ["--data.field", "row"],
        ["data.field: no key 'row' in data.json; it has 'rows'", "did you mean rows?"],
    ),
    "D33-label-is-an-object": (
        "data.jsonl",
        as_lines(*some_objects(4), {"text": "x", "label": {"name": "pos"}}),
        [],
        [
            "data.jsonl column label: values of several kinds: text in line 1, map in line 5",
            "another data.label_column",
        ],
    ),
    "D33-label-is-a-list-now-and-then": (
        "data.jsonl",
        as_lines(*some_objects(4), {"text": "x", "label": ["pos"]}),
        [],
        ["data.jsonl column label: values of several kinds: text in line 1, list of texts in line 5"],
    ),
    "D33-text-is-a-list": (
        "data.jsonl",
        as_lines(*({"text": [row["text"]], "label": row["label"]} for row in some_objects(20))),
        [],
        ["data.jsonl column text: values of kind list", "not texts"],
    ),
    "D33-lists-for-one-class": (
        "data.jsonl",
        as_lines(*({"text": row["text"], "label": [row["label"]]} for row in some_objects(20))),
        ["--data.task", "single_label"],
        ["data.jsonl column label: labels are of kind list"],
    ),
    "D34-mixed-types": (
        "data.jsonl",
        as_lines(*some_objects(4), {"text": "x", "label": 3}),
        [],
        ["data.jsonl column label: values of several kinds: text in line 1, whole number in line 5"],
    ),
    "D34-word-among-numbers": (
        "data.csv",
        "text,score\n" + some_rows(20, ("0.5", "1.5")) + "x,much\n",
        ["--data.task", "regression"],
        ["data.csv column score: 1 labels are no number: 'much' (data.csv:22 (row 21))"],
    ),
    "D35-nan": (
        "data.jsonl",
        as_lines(*some_objects(4)) + '{"text": "x", "label": NaN}\n',
        [],
        ["data.jsonl:5: not JSON: NaN is no number there"],
    ),
    "D35-infinity": ("data.json", '[{"text": "a", "label": -Infinity}]', [], ["data.json:1: not JSON: -Infinity is"]),
    "D35-infinity-as-text": (
        "data.csv",
        "text,score\n" + some_rows(20, ("0.5", "1.5")) + "x,1e999\n",
        ["--data.task", "regression"],
        ["data.csv column score: 1 labels are no finite number: '1e999' (data.csv:22 (row 21))"],
    ),
    "D36-xlsx": ("data.xlsx", b"PK\x03\x04", [], ["data.xlsx: .xlsx files are not read", "export the sheet as CSV"]),
    "D36-bz2": ("data.csv.bz2", bz2.compress(b"x"), [], [".bz2 files are not read", "compress it with gzip"]),
    "D36-arrow": ("data.arrow", b"ARROW1", [], [".arrow files are not read", "write it as Parquet"]),
    "D36-zip-of-two": (
        "data.zip",
        as_zip({"a.csv": HEADER, "b.csv": HEADER}),
        [],
        ["data.zip: an archive of 2 files (a.csv, b.csv), where one is expected", "unpack it"],
    ),
    "D36-unknown-kind": ("./data.dat", HEADER, [], ["data.dat: the end of its name, '.dat'", ".csv, .tsv, .jsonl"]),
    "D37-cut-short": (
        "data.csv.gz",
        gzip.compress((HEADER + some_rows(5000)).encode())[:-2000],
        [],
        ["data.csv.gz: ends early at byte", "of the compressed file", "copy or download the file again"],
    ),
    "D37-damaged": (
        "data.csv.gz",
        gzip.compress((HEADER + some_rows(50)).encode()).replace(b"\x1f\x8b", b"\x1f\x8c"),
        [],
        ["data.csv.gz: damaged, or not what its name says"],
    ),
    "D38-parquet-as-csv": ("data.csv", as_parquet(), [], ["data.csv: it is a Parquet file", "name it .parquet"]),
    "D38-csv-as-parquet": ("data.parquet", HEADER + some_rows(20), [], ["not a Parquet file: it does not begin with"]),
    "D38-web-page": ("data.csv", "<!DOCTYPE html>\n<html>", [], ["data.csv: it is a web page", "the file itself"]),
    "D38-git-lfs": (
        "data.csv",
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 12\n",
        [],
        ["data.csv: it is a pointer of git-lfs, not the data", "run git lfs pull"],
    ),
    "D38-gzip-as-csv": (
        "data.csv",
        gzip.compress(b"x"),
        [],
        ["data.csv: it is gzip-compressed", "add .gz to its name"],
    ),
    "D39-flipped-byte": ("data.parquet", flipped(), [], ["data.parquet: damaged, or not readable as Parquet", "CRC"]),
    "D45-split": (
        "data.csv",
        HEADER + some_rows(20),
        ["--data.train_split", "trian"],
        ["data.train_split: ./data.csv has no split 'trian'; it has train", "did you mean train?"],
    ),
}
NOT_DATA = {"D12-unknown": 2}
"""Cases that are a matter of the settings, with their exit code."""


def prepare(name: str, model: Path) -> list[str]:
    """Write the files of a case, and give the options that go with it."""
    dataset, content, options, _ = REFUSED[name]
    write_data("folder" if dataset.startswith("{") else dataset, content)
    write_config(model, dataset if dataset[0] in "{." else f"./{dataset}")
    return options


@pytest.mark.parametrize("name", REFUSED)
def test_bad_data_are_refused(name: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3 with the file, the row or line, the column or setting, and a fix; nothing is written."""
    options = prepare(name, tiny_model)
    answer = refusal_of(capsys, tmp_path, "train", FILE, *options)
    assert answer.code == NOT_DATA.get(name, 3), answer.err
    assert_says(answer.err, REFUSED[name][3])


@pytest.mark.parametrize(
    "name", ["D02-empty", "D07-too-many-fields", "D12-unknown", "D20-one-class", "D39-flipped-byte"]
)
def test_plan_says_the_same_as_train(
    name: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`forgeml plan` ends with the code of `forgeml train` and lists the same problems with the same fixes."""
    options = prepare(name, tiny_model)
    refused = refusal_of(capsys, tmp_path, "train", FILE, *options)
    planned = answer_of(capsys, "plan", FILE, *options, "--json")
    told = json.loads(planned.out)
    assert (planned.code, told["ready"]) == (refused.code, False)
    said = "".join(f"{one['where']}: {one['what']}\n  fix: {one['fix']}\n" for one in told["problems"])
    assert refused.err.endswith(said)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != FILE) == [REFUSED[name][0]]


def test_init_refuses_what_train_refuses(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`forgeml init` says what is wrong with the data in the same words, and writes no configuration."""
    write_data("data.csv", REFUSED["D07-too-many-fields"][1])
    answer = refusal_of(capsys, tmp_path, "init", "data.csv")
    assert answer.code == 3
    assert_says(answer.err, REFUSED["D07-too-many-fields"][3])


# Files with many bad rows: the content, the number of problems, and how many of them are told.
MANY: dict[str, tuple[str, str, int]] = {
    "D07-few": ("data.csv", HEADER + some_rows(20) + "a,b,c\n" * 3, 3),
    "D07-many": ("data.csv", HEADER + some_rows(20) + "a,b,c\n" * 30, 10),
    "D31-many": ("data.jsonl", as_lines(*some_objects(20)) + "{\n[]\n" * 15, 10),
}


@pytest.mark.parametrize("name", MANY)
def test_problems_of_a_file_are_told_together(
    name: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All bad rows of a file are told at once, each with its line and fix, up to ten."""
    file, content, told = MANY[name]
    write_data(file, content)
    write_config(tiny_model, f"./{file}")
    answer = refusal_of(capsys, tmp_path, "train", FILE)
    assert answer.code == 3
    assert answer.err.count("\n  fix: ") == answer.err.count(f"\n{file}:") == told


def test_problems_of_kinds_are_told_together(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that is too short, one that is too long and a quote that is never closed come in one answer."""
    write_data("data.csv", HEADER + some_rows(3) + 'slow\na,b,c\n"open,neg\n')
    write_config(tiny_model, "./data.csv")
    said = refusal_of(capsys, tmp_path, "train", FILE).err
    assert_says(said, ["data.csv:5 (row 4): 1 fields", "data.csv:6 (row 5): 3 fields", 'data.csv:7 (row 6): a " that'])


def make_folder(path: Path) -> None:
    """A folder with data files, none of which is for training."""
    for name in ("a.csv", "b.jsonl"):
        path.mkdir(exist_ok=True)
        (path / name).touch()


def make_socket(path: Path) -> None:
    """A socket that nobody listens on any more."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def make_broken_link(path: Path) -> None:
    """A link whose target is gone."""
    path.symlink_to("gone.csv")


def make_neighbour(path: Path) -> None:
    """A file of a like name."""
    path.with_name("dta.csv").touch()


# What is no ordinary file: what makes it, and what is said of it.
KINDS: dict[str, tuple[Any, list[str]]] = {
    "D01-missing": (make_neighbour, ["data.dataset: no file or folder ./data.csv", "did you mean dta.csv?"]),
    "D01-folder": (make_folder, ["data.csv: no train file in the folder; found a.csv, b.jsonl", "train.csv"]),
    "D01-broken-link": (make_broken_link, ["data.dataset: ./data.csv is a link to gone.csv, which is not there"]),
    "D01-socket": (make_socket, ["data.dataset: ./data.csv is neither a file nor a folder: it is a socket"]),
    "D41-fifo": (os.mkfifo, ["it is a named pipe", "write what comes from it to a file", "read more than once"]),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_data_file_is_refused_by_kind(
    name: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3 with what it is instead, without waiting for it."""
    make, parts = KINDS[name]
    make(Path("data.csv"))
    write_config(tiny_model, "./data.csv")
    answer = refusal_of(capsys, tmp_path, "train", FILE)
    assert answer.code == 3
    assert_says(answer.err, parts)


def test_d41_standard_input_is_refused(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A device such as the standard input of a terminal is no file that can be read twice."""
    write_config(tiny_model, "/dev/null")
    answer = refusal_of(capsys, tmp_path, "train", FILE)
    assert answer.code == 3
    assert_says(answer.err, ["data.dataset: /dev/null is neither a file nor a folder: it is a device"])


def test_d01_file_without_rights_is_refused(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that may not be read is told with the reason of the system."""
    write_data("data.csv", HEADER + some_rows(20))
    write_config(tiny_model, "./data.csv")

    def forbid(*arguments: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    # By hand, as the administrator, whom the tests may run as, is allowed everything.
    with monkeypatch.context() as patch:
        patch.setattr("forgeml.data.reading.opening.open", forbid, raising=False)
        answer = answer_of(capsys, "train", FILE)
    assert (answer.code, answer.out) == (3, "")
    assert_says(answer.err, ["data.csv: cannot be read: Permission denied", "\n  fix: check the file and its rights"])


def test_d29_field_without_measure_is_refused_by_size(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value beyond the bound is told with its line, as it mostly is a quote that was never closed."""
    monkeypatch.setattr(delimited, "MOST_CHARACTERS", 100_000)
    write_data("data.csv", HEADER + some_rows(3) + f'"{"long " * 30_000}",neg\n')
    write_config(tiny_model, "./data.csv")
    answer = refusal_of(capsys, tmp_path, "train", FILE)
    assert answer.code == 3
    assert_says(answer.err, ["data.csv:5 (row 4): a value of more than 100,000 characters"])


def test_d37_file_that_grows_without_measure_is_refused(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What expands a thousand times is refused by the ratio before it fills the machine."""
    write_data("data.csv.gz", gzip.compress((HEADER + some_rows(3) + "a" * 30_000_000 + ",neg\n").encode()))
    write_config(tiny_model, "./data.csv.gz")
    answer = refusal_of(capsys, tmp_path, "train", FILE)
    assert answer.code == 3
    assert_says(answer.err, ["data.csv.gz: grows to more than 500 times its size when it is unpacked"])


@pytest.mark.parametrize("empty", ["", "  "])
def test_d15_empty_label_is_no_class(
    empty: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty field of a CSV file is a label that is missing: refused with the rows, never learnt as a class."""
    write_data("data.csv", HEADER + some_rows(20) + f"slow,{empty}\nlong,{empty}\n")
    write_config(tiny_model, "./data.csv")
    answer = answer_of(capsys, "plan", FILE)
    assert answer.code == 3
    assert_says(answer.out, ["data.csv column label: 2 rows without a label: data.csv:22 (row 21), data.csv:23"])


# What is right to accept.


def found_in(file: str, content: str | bytes | Mapping[str, str], **settings: Any) -> tuple[Source, Splits, list[str]]:
    """The data as a run finds them, and what it says of them."""
    write_data(file, content)
    told: list[Event] = []
    data = {"dataset": f"./{file}", **settings}
    config = Config.model_validate({"model": {"name": "unused"}, "data": data})
    source, splits = find_data(config, told.append)
    return source, splits, [note.text for note in told if isinstance(note, Note)]


def texts_of(part: Split) -> list[str]:
    """All texts of a part."""
    return reading.read(part.texts, 0, len(part))[0]


def all_texts(splits: Splits) -> set[str]:
    """All texts, whichever part they are in."""
    return {text for part in splits.parts() for text in texts_of(part)}


# Labels that are accepted: the lines after the header, and the classes that come of them.
LABELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "D14-words-for-nothing": (some_rows(40, ("NA", "None", "null", "nan")), ("NA", "None", "nan", "null")),
    "D18-floats": (some_rows(20, ("1.0", "0.0")), ("0", "1")),
    "D18-floats-among-numbers": (some_rows(20, ("1.0", "0", "1")), ("0", "1")),
    "D18-true-and-false": (some_rows(20, ("True", "False")), ("False", "True")),
    "D19-gaps": (some_rows(40, ("10", "2", "7")), ("2", "7", "10")),
    "D19-from-one": (some_rows(20, ("1", "2")), ("1", "2")),
    "D19-negative": (some_rows(30, ("1", "-1", "0")), ("-1", "0", "1")),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_read_as_they_are_meant(name: str) -> None:
    """Words stay words, numbers are sorted by size, and each row has the class that its file says."""
    lines, classes = LABELS[name]
    _, splits, _ = found_in("data.csv", HEADER + lines)
    assert (splits.task, splits.class_names) == ("single_label", classes)
    counts = {line.rpartition(",")[2].replace(".0", "") for line in lines.splitlines()}
    assert counts == set(classes)
    wanted = dict(line.rsplit(",", 1) for line in lines.replace(".0\n", "\n").splitlines())
    found = {
        text: classes[label] for part in splits.parts() for text, label in zip(texts_of(part), part.labels, strict=True)
    }
    assert found == wanted


def test_d19_mapping_is_shown(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The classes behind odd numbers are told, with the examples of each."""
    write_data("data.csv", HEADER + some_rows(30, ("10", "-2", "7")))
    write_config(tiny_model, "./data.csv")
    answer = answer_of(capsys, "plan", FILE, "--json")
    assert answer.code == 0
    data = json.loads(answer.out)["data"]
    assert data["labels"] == ["-2", "7", "10"]
    assert data["balance"]["train"] == {"-2": 9, "7": 9, "10": 9}


# Texts that are accepted: the field in the file, and the text that comes of it.
TEXTS: dict[str, tuple[str, str]] = {
    "D10-line-break": ('"first line\nsecond, with a comma"', "first line\nsecond, with a comma"),
    "D10-quotes": ('"a ""great"" film"', 'a "great" film'),
    "D16-null": ("null", "null"),
    "D16-not-available": ("N/A", "N/A"),
    "D16-number": ("123", "123"),
    "D16-leading-zeros": ("007", "007"),
    "D29-one-character": ("x", "x"),
    "D29-a-megabyte": ("long " * 200_000 + "x", "long " * 200_000 + "x"),
    "D30-right-to-left": ("סרט טוב مع السلامة", "סרט טוב مع السلامة"),
    "D30-combining-marks": ("e\u0301t\u0329e\u0301", "e\u0301t\u0329e\u0301"),
    "D30-emoji": ("👩‍👩‍👧‍👦 🎬", "👩‍👩‍👧‍👦 🎬"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_kept_as_they_are_written(name: str) -> None:
    """What is odd but right is a text like any other."""
    field, text = TEXTS[name]
    _, splits, _ = found_in("data.csv", f"{HEADER}{field},pos\n{some_rows(20)}")
    assert text in all_texts(splits)
    assert sum(map(len, splits.parts())) == 21


def test_d29_texts_that_are_cut_are_counted(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A text of a megabyte is cut to what the model reads, and counted."""
    write_data("data.csv", f"{HEADER}{'long ' * 200_000},pos\n{some_rows(20)}")
    # Without a share for validation, so that the long one is in train.
    Path("valid.csv").write_text(HEADER + some_rows(30, start=20))
    write_config(tiny_model, "{train: data.csv, validation: valid.csv}")
    answer = answer_of(capsys, "plan", FILE, "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["lengths"]["cut"] == 1


# Files that are accepted: the name, the content, the settings, and a part of what is said of it.
FILES: dict[str, tuple[str, str | bytes, dict[str, Any], str]] = {
    "D04-letter-case": ("data.csv", "TEXT,Label\n" + some_rows(20), {}, "from the columns TEXT to Label"),
    "D04-spaces": ("data.csv", "text , label\n" + some_rows(20), {}, "neg, pos"),
    "D05-semicolons": ("data.csv", "text;label\n" + some_rows(20, between=";"), {}, "are separated by semicolons"),
    "D05-tabs": ("data.csv", "text\tlabel\n" + some_rows(20, between="\t"), {}, "are separated by tabs"),
    "D05-bars": ("data.csv", "text|label\n" + some_rows(20, between="|"), {}, "are separated by bars"),
    "D07-skipped": (
        "data.csv",
        HEADER + "slow, long,neg\n" + some_rows(20),
        {"on_bad_rows": "skip"},
        "1 row of data.csv cannot be read and is left out, the first at data.csv:2",
    ),
    "D08-skipped": (
        "data.csv",
        HEADER + some_rows(20) + "slow\nlong\n",
        {"on_bad_rows": "skip"},
        "2 rows of data.csv cannot be read and are left out, the first at data.csv:22",
    ),
    "D11-mark": ("data.csv", codecs.BOM_UTF8 + (HEADER + some_rows(20)).encode(), {}, "from the columns text to label"),
    "D11-mark-json": ("data.jsonl", codecs.BOM_UTF8 + as_lines(*some_objects(20)).encode(), {}, "text to label"),
    "D12-named": ("data.csv", (HEADER + some_rows(20)).encode("utf-16"), {"encoding": "utf-16"}, "neg, pos"),
    "D15-skipped": (
        "data.jsonl",
        as_lines(*some_objects(20), {"text": "x", "label": None}),
        {"on_bad_rows": "skip"},
        "1 row of train left out: without a label",
    ),
    "D17-few-empty": (
        "data.csv",
        HEADER + some_rows(40) + ",pos\n  ,neg\n",
        {"validation_split": "train[:10]", "train_split": "train[10:]"},
        "2 of 32 texts of train are empty",
    ),
    "D30-nothing-to-be-seen": (
        "data.csv",
        HEADER + some_rows(40) + "\u200b\u200f,pos\n",
        {"validation_split": "train[:10]", "train_split": "train[10:]"},
        "1 of 31 texts of train are empty",
    ),
    "D21-rare-left-out": (
        "data.csv",
        HEADER + some_rows(20) + "slow,odd\n",
        {"min_count": 2},
        "1 row of train left out: of rare classes",
    ),
    "D31-array": ("data.json", json.dumps(some_objects(20)), {}, "neg, pos"),
    "D31-lines": ("data.jsonl", as_lines(*some_objects(20)), {}, "neg, pos"),
    "D31-lines-as-json": ("data.json", as_lines(*some_objects(20)), {}, "neg, pos"),
    "D32-field": ("data.json", json.dumps({"n": 1, "data": some_objects(20)}), {"field": "data"}, "neg, pos"),
    "D36-gzip": ("data.csv.gz", gzip.compress((HEADER + some_rows(20)).encode()), {}, "neg, pos"),
    "D36-parquet": ("data.parquet", as_parquet(), {}, "neg, pos"),
    "D36-zip": ("data.zip", as_zip({"inner.csv": HEADER + some_rows(20)}), {}, "neg, pos"),
}


@pytest.mark.parametrize("name", FILES)
def test_file_is_accepted_and_what_is_odd_is_said(name: str) -> None:
    """The rows come in, with a sentence on whatever the user may not expect."""
    file, content, settings, words = FILES[name]
    _, splits, told = found_in(file, content, **settings)
    assert words in " ".join(told)
    assert splits.class_names == ("neg", "pos")
    wanted = {row["text"] for row in some_objects(20)}
    assert wanted <= all_texts(splits)


def test_d10_rows_after_line_breaks_have_their_line() -> None:
    """Rows are told apart, and named by the line on which they begin, whatever stands in quotes."""
    content = HEADER + '"one\ntwo\n\nthree",neg\n"a ""b""",pos\n' + some_rows(20)
    source, _, _ = found_in("data.csv", content)
    assert [source.locate("train", row) for row in range(3)] == [
        "data.csv:2 (row 1)",
        "data.csv:6 (row 2)",
        "data.csv:7 (row 3)",
    ]


def test_d13_control_characters_are_blanks_and_counted() -> None:
    """NUL and other control characters inside texts are read as blanks; what is a line end or a tab stays."""
    odd = 'a\0b,pos\na\x1bb,neg\n"tab\tline\nend",pos\n'
    _, splits, told = found_in("data.csv", HEADER + some_rows(20) + odd)
    assert "2 values of data.csv hold control characters, which are read as blanks" in told
    assert {"a b", "tab\tline\nend"} <= all_texts(splits)


def test_d33_lists_of_labels_are_several_labels() -> None:
    """Where each row has a list of labels, each text may belong to several classes."""
    objects = [{"text": row["text"], "label": [row["label"], "film"]} for row in some_objects(20)]
    _, splits, told = found_in("data.jsonl", as_lines(*objects))
    assert (splits.task, splits.class_names) == ("multi_label", ("film", "neg", "pos"))
    assert "any of 3 classes: film, neg, pos" in " ".join(told)


def test_d40_run_goes_on_with_what_was_read() -> None:
    """A file that changes or goes away after it was read changes nothing for the run."""
    _, splits, _ = found_in("data.csv", HEADER + some_rows(20))
    before = all_texts(splits)
    Path("data.csv").write_text("something else")
    assert all_texts(splits) == before
    Path("data.csv").unlink()
    assert all_texts(splits) == before


LEAKING = {
    "train.csv": HEADER + some_rows(40),
    "valid.csv": HEADER + some_rows(60, start=40),
    "test.csv": HEADER + some_rows(38, start=36) + "FILM 5  was seen,pos\n" + some_rows(80, start=63),
}
"""Three of the twenty texts of test stand in train, one of them in other letters."""


def test_d25_texts_of_test_that_stand_in_train_are_counted(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are told with count, share and examples; the screen has a line for them and the run may go on."""
    write_data("folder", LEAKING)
    write_config(tiny_model, "./folder")
    answer = answer_of(capsys, "plan", FILE, "--json")
    assert answer.code == 0, answer.out
    leaks = {leak["split"]: leak for leak in json.loads(answer.out)["data"]["duplicates"]["in_train_too"]}
    assert (leaks["validation"]["count"], leaks["test"]["count"]) == (0, 3)
    assert leaks["test"]["share"] == pytest.approx(0.15)
    assert "film 36 was seen" in leaks["test"]["samples"]
    assert "3 texts of test (15.0%) stand in train: " in answer_of(capsys, "plan", FILE).out


def test_d25_test_is_scored_without_them_or_train_loses_them() -> None:
    """What test is scored on a second time is known; when told, train loses those rows and counts them."""
    _, splits, told = found_in("folder", LEAKING)
    assert splits.unseen is not None
    assert splits.unseen.tolist() == [False, False, False, *[True] * 17]
    assert any("3 of 20 texts of test (15.0%) also stand in train" in note for note in told)
    _, without, told = found_in("folder", LEAKING, drop_duplicates=True)
    assert (len(without.train), without.unseen) == (37, None)
    assert "3 rows of train left out: also in validation or test" in told


def test_d26_texts_with_two_labels_are_counted() -> None:
    """The same text with two labels is told with the number of such texts and three of them."""
    twice = some_rows(10, ("pos", "neg"))
    split = {"train.csv": HEADER + some_rows(40) + twice, "valid.csv": HEADER + some_rows(60, start=40)}
    _, splits, told = found_in("folder", split)
    assert (splits.duplicates.conflicting, len(splits.duplicates.conflicting_samples)) == (10, 3)
    assert any(note.startswith("10 texts of train stand there with different labels: 'film") for note in told)


def test_d28_fewer_rows_than_a_batch_are_enough(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten rows make one small batch."""
    write_data("data.csv", HEADER + some_rows(10))
    write_config(tiny_model, "./data.csv")
    answer = answer_of(capsys, "plan", FILE, "--json", "--training.batch_size", "64")
    assert answer.code == 0, answer.out
    told = json.loads(answer.out)
    assert (told["ready"], told["problems"], told["steps"]["in_all"]) == (True, [], 1)


def test_every_row_is_covered() -> None:
    """Each of the rows D01 to D46 has a test, the tests that are named do exist, or there is a reason."""
    here = [*REFUSED, *MANY, *KINDS, *LABELS, *TEXTS, *FILES]
    here += [name.removeprefix("test_").upper() for name in globals() if name.startswith("test_d")]
    assert_all_rows("D", 46, here, ELSEWHERE, DOES_NOT_APPLY)
