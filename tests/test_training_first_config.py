"""A first configuration for some data: it parses, it says what was found, and it trains as it is."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgeml.config.loading import load_config
from forgeml.config.reading import read_yaml
from forgeml.config.schema import Config, DataConfig
from forgeml.errors import DataError
from forgeml.events import Event, Note
from forgeml.training.first_config import first_config, scalar
from forgeml.training.materials import find_data
from forgeml.training.train import train
from tiny import NEGATIVE, POSITIVE

ROWS = 60
NAMES = {"text_column": "text", "text_pair_column": None, "label_column": "label", "label_separator": None}


def film(row: int) -> str:
    """A text that no other row has."""
    return f"{(NEGATIVE, POSITIVE)[row % 2].split()[row % 24]} film number {row} that we saw on an evening"


def write_table(path: Path, columns: Mapping[str, list[Any]]) -> Path:
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return path


CHANCE = random.Random(0)
TEXTS = [film(row) for row in range(ROWS)]
CLASSES = [("no", "yes")[row % 2] for row in range(ROWS)]
NUMBERS = [f"{CHANCE.random() * 5:.2f}" for _ in range(ROWS)]
SEVERAL = ["|".join(CHANCE.sample(["red", "green", "blue"], CHANCE.randint(1, 2))) for _ in range(ROWS)]
OTHERS = [text.replace("film", "plot") for text in TEXTS]

# Columns of a file, the task that is to be found in them, and the settings of `data` that are not the usual ones.
DATA: Mapping[str, tuple[dict[str, list[Any]], str, dict[str, Any]]] = {
    "usual names": ({"text": TEXTS, "label": CLASSES}, "single_label", {}),
    "unusual names": (
        {"id": list(range(ROWS)), "Was gesagt wurde": TEXTS, "Urteil: ja/nein?": CLASSES},
        "single_label",
        {"text_column": "Was gesagt wurde", "label_column": "Urteil: ja/nein?"},
    ),
    "names like values": (
        {"true": TEXTS, ".5": CLASSES},
        "single_label",
        {"text_column": "true", "label_column": ".5"},
    ),
    "names like numbers": ({"7": TEXTS, "1e3": CLASSES}, "single_label", {"text_column": "7", "label_column": "1e3"}),
    "names with signs": (
        {"the 'text' # of it": TEXTS, "[label]": CLASSES},
        "single_label",
        {"text_column": "the 'text' # of it", "label_column": "[label]"},
    ),
    "numbers": (
        {"review": TEXTS, "rating": NUMBERS},
        "regression",
        {"text_column": "review", "label_column": "rating"},
    ),
    "several labels": (
        {"text": TEXTS, "tags": SEVERAL},
        "multi_label",
        {"label_column": "tags", "label_separator": "|"},
    ),
    "pairs": (
        {"premise": TEXTS, "hypothesis": OTHERS, "label": CLASSES},
        "single_label",
        {"text_column": "premise", "text_pair_column": "hypothesis"},
    ),
    "pairs of numbers": (
        {"sentence1": TEXTS, "sentence2": OTHERS, "score": NUMBERS},
        "regression",
        {"text_column": "sentence1", "text_pair_column": "sentence2", "label_column": "score"},
    ),
    "lopsided classes": ({"text": TEXTS, "label": ["rare"] * 6 + ["usual"] * (ROWS - 6)}, "single_label", {}),
    "classes with signs": (
        {"text": TEXTS, "label": [("a # b: c", "two\nlines\x07")[row % 2] for row in range(ROWS)]},
        "single_label",
        {},
    ),
}


def written(data: DataConfig, model: Path, file: str = "config.yaml") -> tuple[str, Config]:
    """The text, and the configuration as the command line reads it from the file."""
    text = first_config(data, str(model), file)
    Path(file).write_text(text, encoding="utf-8")
    return text, load_config(file)


@pytest.mark.parametrize("name", DATA)
def test_configuration_says_what_was_found(name: str, tiny_model: Path) -> None:
    """The text is read without a problem, by any reader of YAML, and has the columns and the task of the data."""
    columns, task, found = DATA[name]
    path = write_table(Path("data of mine.csv"), columns)
    text, config = written(DataConfig(dataset=str(path)), tiny_model)
    assert {key: getattr(config.data, key) for key in NAMES} == {**NAMES, **found}
    assert (config.data.dataset, config.data.task, config.data.validation_split) == (str(path), task, 0.1)
    assert config.model.name == str(tiny_model)
    assert yaml.safe_load(text)["data"]["dataset"] == str(path)
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA)
def test_configuration_trains_as_it_is(name: str, tiny_model: Path) -> None:
    """Nothing has to be added to the file for a run that ends with a saved model."""
    path = write_table(Path("data.csv"), DATA[name][0])
    _, config = written(DataConfig(dataset=str(path)), tiny_model)
    result = train(config)
    assert json.loads(Path(result.folder, "forgeml.json").read_text())["task"] == DATA[name][1]


@pytest.mark.parametrize("name", DATA)
def test_data_are_understood_as_before(name: str, tiny_model: Path) -> None:
    """With the settings that the file has, the data are the same that were looked at; the notes are told."""
    columns, task, _ = DATA[name]
    path = write_table(Path("data.csv"), columns)
    _, config = written(DataConfig(dataset=str(path)), tiny_model)
    told: list[Event] = []
    first_config(DataConfig(dataset=str(path)), str(tiny_model), "x.yaml", told.append)
    again: list[Event] = []
    _, splits = find_data(config, again.append)
    assert splits.task == task
    assert [event for event in told if isinstance(event, Note)] == [event for event in again if isinstance(event, Note)]


def test_lopsided_classes_are_judged_by_macro_f1(tiny_model: Path) -> None:
    """Where one class is nearly all, accuracy says little, and the file says why it takes another metric."""
    path = write_table(Path("data.csv"), DATA["lopsided classes"][0])
    text, config = written(DataConfig(dataset=str(path)), tiny_model)
    assert config.training.best_metric == "macro_f1"
    assert "of the texts are of one class" in text
    path = write_table(Path("even.csv"), DATA["usual names"][0])
    assert written(DataConfig(dataset=str(path)), tiny_model)[1].training.best_metric == "accuracy"


SET: Mapping[str, dict[str, Any]] = {
    "rows": {"train_split": "train[:50]", "validation_split": "train[50:]"},
    "shares": {"validation_split": 0.3, "test_split": 0.2},
    "bad rows": {"on_bad_rows": "skip", "min_count": 2, "drop_duplicates": True},
    "reading": {"encoding": "utf-8", "delimiter": ","},
    "task": {"task": "multi_label", "label_separator": "e"},
    "columns": {"text_column": ["text", "more"], "label_column": "label"},
}


@pytest.mark.parametrize("name", SET)
def test_what_was_set_is_kept(name: str, tiny_model: Path) -> None:
    """Settings that said how to read the data stand in the file, or it would read them otherwise."""
    path = write_table(Path("data.csv"), {"text": TEXTS, "more": OTHERS, "label": CLASSES})
    _, config = written(DataConfig(dataset=str(path), **SET[name]), tiny_model)
    assert {key: getattr(config.data, key) for key in SET[name]} == SET[name]


def test_rows_that_are_to_be_left_out_are_left_out(tiny_model: Path) -> None:
    """A file with rows that lack a label, which was looked at with `skip`, is learnt from with `skip`."""
    path = Path("data.jsonl")
    rows = [{"text": text, "label": name} for text, name in zip([*TEXTS, "x"], [*CLASSES, None], strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="1 row without a label"):
        first_config(DataConfig(dataset=str(path)), str(tiny_model), "config.yaml")
    _, config = written(DataConfig(dataset=str(path), on_bad_rows="skip"), tiny_model)
    find_data(config, lambda event: None)


def test_files_by_split_come_back(tiny_model: Path) -> None:
    """A mapping of splits to files is written as one, and no share of train is set aside beside it."""
    files = {
        split: str(
            write_table(
                Path(f"{split}: my file.csv"), {"text": [f"{split} {text}" for text in TEXTS], "label": CLASSES}
            )
        )
        for split in ("train", "validation", "test")
    }
    text, config = written(DataConfig(dataset=files), tiny_model)
    assert (config.data.dataset, config.data.validation_split) == (files, None)
    assert "Rows: train 60, validation 60, test 60." in text


@pytest.mark.parametrize(("width", "rate"), [(32, 1e-4), (768, 5e-5), (1024, 2e-5), (None, 5e-5)])
def test_learning_rate_fits_the_model(width: int | None, rate: float, tmp_path: Path) -> None:
    """Small models get a higher learning rate; one that is not here gets the usual one."""
    path = write_table(Path("data.csv"), DATA["usual names"][0])
    if width:
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "config.json").write_text(json.dumps({"hidden_size": width}))
    _, config = written(DataConfig(dataset=str(path)), tmp_path / "model")
    assert config.training.learning_rate == rate


def test_data_that_say_nothing_are_refused(tiny_model: Path) -> None:
    """Without a column that could be the label, the error says so, as training would."""
    path = write_table(Path("data.csv"), {"a": TEXTS, "b": OTHERS})
    with pytest.raises(DataError):
        first_config(DataConfig(dataset=str(path)), str(tiny_model), "config.yaml")


ODD_NAMES = [
    *(
        "text",
        "a b",
        "a: b",
        "a #b",
        "#",
        "'",
        "''",
        '"',
        "- a",
        "[a]",
        "{a}",
        "a,b",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`",
    ),
    *(
        "true",
        "True",
        "NULL",
        "null",
        "~",
        "yes",
        "no",
        "on",
        "off",
        "1",
        "1.5",
        ".5",
        "1e3",
        "0x1",
        ".inf",
        ".NaN",
        "-",
    ),
    *(
        "2024-01-01",
        "12:30",
        "<<",
        "=",
        "?",
        "? a",
        "|",
        ">",
        "...",
        "---",
        "a\\nb",
        " a",
        "a ",
        "été",
        "文",
        "_",
        "a.b/c-d",
    ),
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_scalar_comes_back(name: str) -> None:
    """Any name is quoted so that it comes back as the same text, alone, in a list, and in a mapping."""
    lines = [f"alone: {scalar(name)}", f"list: {scalar([name, 'x'])}", f"mapping: {scalar({name: name})}"]
    Path("file.yaml").write_text("\n".join(lines) + " # a comment\n", encoding="utf-8")
    document = read_yaml(Path("file.yaml"))
    assert document.problems == ()
    assert document.values == yaml.safe_load(Path("file.yaml").read_text(encoding="utf-8"))
    assert document.values == {"alone": name, "list": [name, "x"], "mapping": {name: name}}


@pytest.mark.parametrize("value", [1, 0.1, 2e-5, True, False, ["a", "b: c"], {"train": "a.csv"}])
def test_other_values_come_back(value: object) -> None:
    """Numbers, truth values, lists and mappings are what they were."""
    Path("file.yaml").write_text(f"value: {scalar(value)}\n", encoding="utf-8")
    assert read_yaml(Path("file.yaml")).values == {"value": value}
