"""Where the data set is looked for."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from forgeml.config.schema import DataConfig
from forgeml.data.reading import hub
from forgeml.data.source import read_source
from forgeml.errors import DataError, HubError
from forgeml.records import Source

Asked = list[tuple[str, str | None, str | None]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the hub is asked for; it has everything."""
    calls: Asked = []

    def read_hub(dataset: str, subset: str | None, revision: str | None, *, hub_away: bool) -> Source:
        calls.append((dataset, subset, revision))
        return Source(dataset, "commit", {"train": pa.table({"text": ["a"]})})

    monkeypatch.setattr(hub, "read_hub", read_hub)
    return calls


def test_local_data_are_read_without_the_hub(reviews: Path, asked: Asked) -> None:
    """A folder, a file and a mapping are read where they lie, and the progress is told."""
    told: list[str] = []
    source = read_source(DataConfig(dataset=str(reviews)), lambda task, done, total: told.append(task))
    assert {split: len(table) for split, table in source.tables.items()} == {"train": 240, "test": 80}
    assert told == ["read train.csv", "read test.csv"]
    assert read_source(DataConfig(dataset=f"{reviews}/test.csv")).revision is None
    # A name that the hub could have is a file's in a mapping.
    Path("imdb").write_bytes(b"")
    with pytest.raises(DataError, match="no known kind"):
        read_source(DataConfig(dataset={"train": "imdb"}))
    assert not asked


def test_other_names_are_asked_of_the_hub(asked: Asked) -> None:
    """A name that is no path goes to the hub with its subset and revision."""
    assert read_source(DataConfig(dataset="imdb")).revision == "commit"
    read_source(DataConfig(dataset="owner/name", subset="sentiment", revision="v2"))
    assert asked == [("imdb", None, None), ("owner/name", "sentiment", "v2")]


def test_folder_of_the_same_name_comes_first(asked: Asked) -> None:
    """What is there on this machine is meant."""
    Path("imdb").mkdir()
    Path("imdb/train.csv").write_text("text,label\na,b\n")
    assert len(read_source(DataConfig(dataset="imdb")).tables["train"]) == 1
    assert not asked


@pytest.mark.parametrize("setting", ["subset", "revision"])
def test_setting_of_the_hub_is_refused_for_local_data(setting: str, reviews: Path) -> None:
    """Files have no subsets or revisions; passing over the setting would hide a slip."""
    with pytest.raises(DataError, match=rf"data\.{setting}: 'this' is set, but .* is local"):
        read_source(DataConfig(dataset=str(reviews), **{setting: "this"}))
    with pytest.raises(DataError, match=rf"data\.{setting}: 'this' is set, but the data set is local"):
        read_source(DataConfig(dataset={"test": "a.csv"}, **{setting: "this"}))


@pytest.mark.parametrize(("setting", "value"), [("delimiter", ";"), ("encoding", "cp1252"), ("field", "data")])
def test_setting_of_files_is_refused_for_the_hub(setting: str, value: str, asked: Asked) -> None:
    """How files are read is settled on the hub by its own library."""
    with pytest.raises(DataError, match=rf"data\.{setting}: '{value}' is set, but imdb is on the hub"):
        read_source(DataConfig.model_validate({"dataset": "imdb", setting: value}))
    assert not asked


def test_folder_that_was_not_taken_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the hub does not have the name, a folder of that name is said to be there and what it lacks."""

    def refuse(dataset: str, subset: str | None, revision: str | None, *, hub_away: bool) -> Source:
        raise HubError.at("data.dataset", f"{dataset} is not on the hub", "check the spelling")

    monkeypatch.setattr(hub, "read_hub", refuse)
    Path("mydata").mkdir()
    Path("mydata", "reviews.csv").touch()
    with pytest.raises(HubError) as caught:
        read_source(DataConfig(dataset="mydata"))
    (problem,) = caught.value.problems
    assert problem.what == "mydata is not on the hub; the folder mydata here has no train file; found reviews.csv"
    assert problem.fix.startswith("name one train.csv")
    assert problem.fix.endswith("; or check the spelling")
    with pytest.raises(HubError, match="nodata is not on the hub\n"):
        read_source(DataConfig(dataset="nodata"))
