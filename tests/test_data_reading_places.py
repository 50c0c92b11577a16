"""Which local files make which split."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from forgeml.data.reading.places import find_files, is_local, lack
from forgeml.errors import DataError, Problem


def _names(dataset: str | dict[str, str]) -> dict[str, list[str]]:
    return {split: [file.name for file in files] for split, files in find_files(dataset).files.items()}


def _problem(dataset: str | dict[str, str]) -> Problem:
    """The only problem that looking for the files raises."""
    with pytest.raises(DataError) as raised:
        find_files(dataset)
    [problem] = raised.value.problems
    return problem


def test_folder_has_a_file_for_each_split(tmp_path: Path) -> None:
    """Splits are found by name, under the usual names of validation, whatever the kind; what is left is listed."""
    for name in ("Train.csv.gz", "val.parquet", "test.csv.zip", "notes.txt", "all.csv.gz", "train_old.json"):
        (tmp_path / name).touch()
    assert _names(f"{tmp_path}/") == {
        "train": ["Train.csv.gz"],
        "validation": ["val.parquet"],
        "test": ["test.csv.zip"],
    }
    assert [file.name for file in find_files(str(tmp_path)).unused] == ["all.csv.gz", "train_old.json"]


def test_single_file_is_train(tmp_path: Path) -> None:
    """One file is the training split, whatever its name."""
    (tmp_path / "test.csv").touch()
    assert _names(f"{tmp_path}/test.csv") == {"train": ["test.csv"]}
    assert find_files(f"{tmp_path}/test.csv").folder == tmp_path / "test.csv"


def test_folder_without_train_names_what_it_has(tmp_path: Path) -> None:
    """The message lists the data files that are there."""
    (tmp_path / "trian.csv").touch()
    (tmp_path / "train.txt").touch()
    (tmp_path / "train.csv").mkdir()
    assert _problem(str(tmp_path)).what == "no train file in the folder; found trian.csv"
    assert lack(tmp_path)[0] == "no train file; found trian.csv"


def test_folder_with_two_files_for_a_split_is_refused(tmp_path: Path) -> None:
    """It is not for the reader to choose."""
    for name in ("train.csv", "validation.csv", "dev.jsonl"):
        (tmp_path / name).touch()
    assert "several files for validation: dev.jsonl, validation.csv" in _problem(str(tmp_path)).what


def test_mapping_names_files_and_patterns(tmp_path: Path) -> None:
    """Splits have the names that they are given, and a pattern's files come sorted, folders left aside."""
    for name in ("part-2.csv", "part-10.csv", "part-1.csv", "held [out].csv"):
        (tmp_path / name).touch()
    (tmp_path / "part-3.csv").mkdir()
    found = _names({"train": f"{tmp_path}/part-*.csv", "hard": f"{tmp_path}/held [out].csv"})
    assert found == {"train": ["part-1.csv", "part-10.csv", "part-2.csv"], "hard": ["held [out].csv"]}
    assert find_files({"test": "part-*.csv"}).folder == tmp_path


def test_pattern_alone_is_train(tmp_path: Path) -> None:
    """A pattern that stands where a file may stand names several files of train."""
    for name in ("part-2.csv", "part-1.csv"):
        (tmp_path / name).touch()
    assert _names(f"{tmp_path}/part-?.csv") == {"train": ["part-1.csv", "part-2.csv"]}


def test_pattern_without_match_is_refused(tmp_path: Path) -> None:
    """The split's setting is named, and the files that there are."""
    (tmp_path / "other.csv").touch()
    problem = _problem({"train": f"{tmp_path}/part-*.csv"})
    assert problem.where == "data.dataset.train"
    assert problem.what == f"no file matches {tmp_path}/part-*.csv"
    assert "other.csv" in problem.fix


def test_empty_mapping_is_refused() -> None:
    """A mapping has at least one split."""
    assert "empty mapping" in _problem({}).what


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_file_that_serves_twice_is_refused(link: type, tmp_path: Path) -> None:
    """The same file under two splits or twice in one is found out, under another name too."""
    (tmp_path / "a.csv").touch()
    link(tmp_path / "a.csv", tmp_path / "b.csv")
    assert "a.csv of train and " in _problem({"train": f"{tmp_path}/a.csv", "test": f"{tmp_path}/b.csv"}).what
    assert "are the same file" in _problem({"train": f"{tmp_path}/*.csv"}).what
    (tmp_path / "a.csv").rename(tmp_path / "train.csv")
    (tmp_path / "b.csv").unlink()
    link(tmp_path / "train.csv", tmp_path / "test.csv")
    assert "are the same file" in _problem(str(tmp_path)).what


def test_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    """A file that is not there is answered with the nearest name and the files beside it."""
    for name in ("reviews.csv", "others.jsonl"):
        (tmp_path / name).touch()
    problem = _problem(f"{tmp_path}/review.csv")
    assert problem.where == "data.dataset"
    assert f"did you mean {tmp_path}/reviews.csv?" in problem.fix
    assert "others.jsonl, reviews.csv" in problem.fix


ODD_PLACES = ("no/such/folder/", "~nobody/data.csv", "x" * 5000 + ".csv", "a\0b.csv", "a\0*.csv", "owner/name/", "./")


@pytest.mark.parametrize("dataset", ODD_PLACES, ids=lambda dataset: dataset[:10].replace("\0", "NUL"))
def test_place_without_data_is_a_data_error(dataset: str) -> None:
    """Nothing that stands in `data.dataset` raises anything else."""
    assert _problem(dataset).fix
    assert _problem({"train": dataset}).fix


def test_what_is_no_ordinary_file_is_refused_by_its_kind(tmp_path: Path) -> None:
    """Pipes and sockets are refused instead of being waited for, in patterns too; so are links to nowhere."""
    os.mkfifo("pipe.csv")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.csv")
    os.symlink("gone.csv", "link.csv")
    Path("folder.csv").mkdir()
    Path("folder.csv", "inner.csv").touch()
    assert _problem("pipe.csv").what == "pipe.csv is neither a file nor a folder: it is a named pipe"
    assert "named pipe" in _problem({"train": "pi*.csv"}).what
    assert "a socket" in _problem("socket.csv").what
    assert "a device" in _problem("/dev/null").what
    assert _problem("link.csv").what == "link.csv is a link to gone.csv, which is not there"
    assert "is a folder, where a file is expected; in it there are inner.csv" in _problem({"train": "folder.csv"}).what


def test_place_that_may_not_be_entered_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's reason is passed on, instead of saying that nothing is there."""

    def refuse(path: Path, **options: bool) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", refuse)
        what = _problem(f"{tmp_path}/data.csv").what
    assert what == f"{tmp_path}/data.csv cannot be reached: Permission denied"


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
        ("reviews.parquet", True),
        ("reviews.zip", True),
        ("~/imdb", True),
        ("x" * 5000, False),
        ("a\0b", False),
        ("https://a/b.csv", False),
    ],
)
def test_is_local(dataset: str, local: bool, tmp_path: Path) -> None:
    """A name is local if it is written like a path, or data of that name is there; an output folder is no data."""
    for name in ("here", "outputs"):
        (tmp_path / name).mkdir()
    (tmp_path / "here" / "train.csv").touch()
    assert is_local(dataset) == local
