"""A learner of the materials of a run."""

from __future__ import annotations

from typing import Any

import pytest

from forgeml.config.schema import Config
from forgeml.data.batches import collate, pack
from forgeml.training.materials import gather
from forgeml.training.preparing import prepare


@pytest.mark.parametrize(
    ("training", "makes", "mixed", "remembers"),
    [
        ({"precision": "fp32"}, pack, "no", False),
        ({"precision": "bf16"}, pack, "no", False),
        ({"precision": "bf16", "packing": "off"}, collate, "bf16", False),
        ({"precision": "bf16", "freeze_layers": 1}, None, "no", True),
        ({"precision": "fp32", "freeze_layers": 1, "packing": "off"}, collate, "no", False),
    ],
)
def test_batches_and_precision_go_together(
    training: dict[str, Any], makes: object, mixed: str, remembers: bool, tiny_settings: dict[str, Any]
) -> None:
    """A packed model sees to 16 bits itself, a padded one is left to autocast; only packed batches remember."""
    settings = {**tiny_settings, "training": {**tiny_settings["training"], **training}}
    config = Config.model_validate(settings)
    learner, training_set = prepare(config.training, gather(config, lambda event: None))
    assert (learner.accelerator.mixed_precision, learner.remembers) == (mixed, remembers)
    assert makes is None or learner.collate is makes
    assert len(training_set.labels) == len(training_set.encoded) == len(training_set.rows)
