"""Settings that change which of a model's weights are trained, and how."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from forgeml.config.schema import TrainingConfig
from forgeml.errors import ConfigError
from forgeml.model.saved import Fold
from forgeml.training.processes import is_division_asked

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RECIPES: Mapping[str, str] = {
    "freeze_layers": "forgeml.model.freezing",
    "lora_rank": "forgeml.model.lora",
}
"""Settings of `training`, in the order in which they change the model, since LoRA adapts what is not frozen. Each has a
module with `apply(model, value)`, which is loaded only where it is used: the library behind LoRA takes a while."""


OF_WHOLE_MODELS = ("lora_rank", "average_last")
"""Settings that need all of a model's weights in one process."""


def apply_recipes(model: PreTrainedModel, config: TrainingConfig) -> tuple[Fold, ...]:
    """Change the model in place as the settings say.

    Returns:
        What its weights go through when they are saved.

    Raises:
        ConfigError: a setting does not go with the model, or with another one.
        ModelError: the model's blocks are not found.
    """
    for key in OF_WHOLE_MODELS:
        if getattr(config, key) is not None and is_division_asked():
            what = "it needs the whole model, of which FSDP gives each process a part"
            raise ConfigError.at(f"training.{key}", what, "leave it out, or start the run without FSDP")
    settings = {key: getattr(config, key) for key in RECIPES}
    done = [
        importlib.import_module(RECIPES[key]).apply(model, value)
        for key, value in settings.items()
        if value is not None
    ]
    return tuple(fold for fold in done if fold)
