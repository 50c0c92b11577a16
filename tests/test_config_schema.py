"""The schema itself."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from forgeml.config.schema import Config

SMALLEST = {"model": {"name": "a"}, "data": {"dataset": "b"}}


def test_two_settings_are_enough() -> None:
    """Only `model.name` and `data.dataset` are required; the rest has the documented defaults."""
    config = Config.model_validate(SMALLEST)
    assert (config.training.batch_size, config.training.num_epochs, config.training.learning_rate) == (16, 3, 5e-5)
    assert config.mlflow.tracking_uri == "sqlite:///mlflow.db"


def test_configuration_is_frozen() -> None:
    """Nobody writes to a configuration that was validated."""
    config = Config.model_validate(SMALLEST)
    with pytest.raises(ValidationError, match="frozen"):
        config.training.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize("value", [True, "3", 2.5, 0, -1, float("nan")])
def test_whole_numbers_are_whole_numbers(value: object) -> None:
    """A batch size is never a boolean, a text, a fraction or less than one."""
    with pytest.raises(ValidationError):
        Config.model_validate({**SMALLEST, "training": {"batch_size": value}})


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:1"])
def test_devices(device: str) -> None:
    """The documented forms of a device pass."""
    assert Config.model_validate({**SMALLEST, "training": {"device": device}}).training.device == device
