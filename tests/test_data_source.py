"""Where the data set is looked for."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from forgeml.data import hub
from forgeml.data.source import read_source
from forgeml.errors import DataError, HubError
from forgeml.records import Source


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """What the hub is asked for; it has everything."""
    calls: list[tuple[str, str | None]] = []

    def read_hub(dataset: str, subset: str | None) -> Source:
        calls.append((dataset, subset))
        return Source(dataset, "commit", {"train": pa.table({"text": ["a"]})})

    monkeypatch.setattr(hub, "read_hub", read_hub)
    return calls


def test_local_data_are_read_without_the_hub(reviews: Path, asked: list[tuple[str, str | None]]) -> None:
    """A folder and a file are read where they lie."""
    assert {split: len(table) for split, table in read_source(str(reviews)).tables.items()} == {
        "train": 240,
        "test": 80,
    }
    assert read_source(f"{reviews}/test.csv").revision is None
    assert not asked


def test_other_names_are_asked_of_the_hub(asked: list[tuple[str, str | None]]) -> None:
    """A name that is no path goes to the hub with its subset."""
    assert read_source("imdb").revision == "commit"
    read_source("owner/name", "sentiment")
    assert asked == [("imdb", None), ("owner/name", "sentiment")]


def test_folder_of_the_same_name_comes_first(asked: list[tuple[str, str | None]]) -> None:
    """What is there on this machine is meant."""
    Path("imdb").mkdir()
    Path("imdb/train.csv").write_text("text,label\na,b\n")
    assert len(read_source("imdb").tables["train"]) == 1
    assert not asked


def test_subset_of_local_data_is_refused(reviews: Path) -> None:
    """Files have no subsets; passing over the setting would hide a slip."""
    with pytest.raises(DataError, match=r"data\.subset: 'sentiment' is set, but .* is local"):
        read_source(str(reviews), "sentiment")


def test_folder_that_was_not_taken_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the hub does not have the name, a folder of that name is said to be there and what it lacks."""

    def refuse(dataset: str, subset: str | None) -> Source:
        raise HubError.at("data.dataset", f"{dataset} is not on the hub", "check the spelling")

    monkeypatch.setattr(hub, "read_hub", refuse)
    Path("mydata").mkdir()
    Path("mydata", "reviews.csv").touch()
    with pytest.raises(HubError) as caught:
        read_source("mydata")
    (problem,) = caught.value.problems
    assert problem.what == "mydata is not on the hub; the folder mydata here has no train file; found reviews.csv"
    assert problem.fix.startswith("name one train.csv")
    assert problem.fix.endswith("; or check the spelling")
    with pytest.raises(HubError, match="nodata is not on the hub\n"):
        read_source("nodata")
