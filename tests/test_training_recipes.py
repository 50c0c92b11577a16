"""Which settings change the model, and in which order."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any

import pytest
import torch

from encoders import small_classifier
from forgeml.config.schema import TrainingConfig
from forgeml.errors import ConfigError
from forgeml.training.recipes import RECIPES, apply_recipes


def _trained(**settings: Any) -> tuple[set[str], int]:
    """Names of the weights that are trained under these settings, and how many folds there are."""
    model = small_classifier("bert")
    folds = apply_recipes(model, TrainingConfig.model_validate(settings))
    return {name for name, weight in model.named_parameters() if weight.requires_grad}, len(folds)


@pytest.mark.parametrize("setting", RECIPES)
def test_the_table_leads_to_settings_and_modules_that_there_are(setting: str) -> None:
    """Each key is a setting of `training`, off by default, and its module says how it is applied."""
    assert TrainingConfig.model_fields[setting].default is None
    assert callable(importlib.import_module(RECIPES[setting]).apply)


def test_without_settings_nothing_is_changed() -> None:
    """All weights are trained and saved as they are."""
    model = small_classifier("bert")
    assert _trained() == ({name for name, _ in model.named_parameters()}, 0)


def test_settings_go_together() -> None:
    """LoRA adapts what is not frozen, and its weights are merged when they are saved."""
    adapted, folds = _trained(lora_rank=2)
    both, _ = _trained(lora_rank=2, freeze_layers=2)
    assert folds == 1
    assert both < adapted
    assert {name.split(".")[3] for name in both if ".lora_" in name} == {"2"}
    assert _trained(freeze_layers=0)[1] == 0


def test_library_of_adapters_is_not_loaded_without_them() -> None:
    """Whoever trains or predicts without LoRA does not wait for it."""
    code = "import sys, forgeml.training.loop, forgeml.training.materials; sys.exit('peft' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("key", ["lora_rank", "average_last"])
def test_what_needs_the_whole_model_is_refused_where_it_is_divided(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process would adapt, or average, only a part."""
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    config = TrainingConfig.model_validate({key: 4})
    with pytest.raises(ConfigError, match=f"training.{key}"):
        apply_recipes(torch.nn.Module(), config)
