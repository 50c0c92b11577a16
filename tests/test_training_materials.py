"""What a run works on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from forgeml.config.schema import Config
from forgeml.errors import ConfigError
from forgeml.events import Event, Note, Progress
from forgeml.training.materials import gather
from tiny import write_scores


def _gathered(settings: dict[str, Any], **training: Any) -> tuple[Any, list[Event]]:
    events: list[Event] = []
    changed = {**settings, "training": {**settings["training"], **training}}
    return gather(Config.model_validate(changed), events.append), events


def test_told_in_the_order_of_the_story(tiny_settings: dict[str, Any]) -> None:
    """Machine, model, data, task and tokens are told, with progress on the long work."""
    _, events = _gathered(tiny_settings)
    topics = [event.topic for event in events if isinstance(event, Note)]
    assert topics == ["machine", "model", "data", "task", "tokens"]
    tasks = [event.task for event in events if isinstance(event, Progress)]
    parts = ("train", "validation", "test")
    assert list(dict.fromkeys(tasks)) == [
        "read train.csv",
        "read test.csv",
        *(f"read {part}" for part in parts),
        *(f"compare {part}" for part in parts),
        "tokenize train",
        "tokenize validation",
    ]


def test_parts_fit_together(tiny_settings: dict[str, Any]) -> None:
    """Every text of a part is encoded, and the head has an output for every class."""
    materials, _ = _gathered(tiny_settings)
    assert len(materials.train) == len(materials.splits.train)
    assert len(materials.validation) == len(materials.splits.validation)
    assert materials.model.config.id2label == {0: "neg", 1: "pos"}
    assert materials.train.lengths.max() <= materials.cut.max_length == 64


def test_head_is_drawn_by_seed(tiny_settings: dict[str, Any]) -> None:
    """The same seed draws the same head, whatever was drawn before; another seed draws another."""
    heads = []
    for seed in (1, 1, 2):
        torch.rand(seed + len(heads))
        heads.append(_gathered(tiny_settings, seed=seed)[0].model.classifier.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_length_is_checked_before_the_data_is_read(tiny_settings: dict[str, Any]) -> None:
    """A `max_length` above the model's limit is told even if the data is not there."""
    model = {**tiny_settings["model"], "max_length": 4000}
    with pytest.raises(ConfigError, match=r"4000 tokens, but .* reads at most 128"):
        _gathered({**tiny_settings, "model": model, "data": {"dataset": str(Path("nowhere.csv"))}})


@pytest.mark.parametrize(
    "setting",
    [("data", "min_count", 2), ("training", "class_weights", "balanced"), ("training", "label_smoothing", 0.1)],
)
def test_settings_of_classes_are_refused_for_numbers(
    tiny_settings: dict[str, Any], tmp_path: Path, setting: tuple[str, str, object]
) -> None:
    """A regression has no classes to be counted, weighted or smoothed."""
    section, key, value = setting
    settings = {**tiny_settings, "data": {"dataset": str(write_scores(tmp_path / "scores", rows=80))}}
    settings[section] = {**settings[section], key: value}
    with pytest.raises(ConfigError, match="this is for classes, and the labels are numbers") as caught:
        _gathered(settings)
    assert caught.value.problems[0].where == f"{section}.{key}"


def test_model_is_changed_before_the_texts_are_read(tiny_settings: dict[str, Any]) -> None:
    """A setting that does not go with the model is told at once, and one that does has its fold."""
    with pytest.raises(ConfigError, match="this model has 2 blocks"):
        _gathered(tiny_settings, freeze_layers=3)
    materials, _ = _gathered(tiny_settings, lora_rank=2)
    assert len(materials.folds) == 1


def test_numbers_are_learnt_with_adapters_too(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """The saved weights are the plain model's, with the adapters merged and the scale folded into the head."""
    data = {"dataset": str(write_scores(tmp_path / "scores", rows=80))}
    plain, _ = _gathered({**tiny_settings, "data": data})
    adapted, _ = _gathered({**tiny_settings, "data": data}, lora_rank=2)
    weights = adapted.model.state_dict()
    for fold in adapted.folds:
        weights = fold(weights)
    wanted = plain.scale.folded(plain.model.state_dict())
    assert weights.keys() == wanted.keys()
    assert all(torch.equal(weight, wanted[name]) for name, weight in weights.items())
