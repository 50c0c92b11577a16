"""The settings as a list."""

from __future__ import annotations

import pytest

from forgeml.config.settings import all_settings, find_setting, guess_name, plain, section_names


def test_every_setting_has_a_meaning_and_a_kind() -> None:
    """The documentation and the messages are made from these."""
    assert [setting.name for setting in all_settings() if not setting.help or not setting.kind] == []
    assert section_names() == ["model", "data", "training", "mlflow", "logging"]


def test_setting_is_found_by_its_dotted_name() -> None:
    """Bounds and default are those of the schema."""
    setting = find_setting("training.num_epochs")
    assert setting is not None
    assert (setting.wanted, setting.default, setting.required) == ("a whole number of at least 1", 3, False)
    assert find_setting("training.nothing") is None


@pytest.mark.parametrize(
    ("section", "key", "wanted"),
    [
        ("training", "learnng_rate", "training.learning_rate"),
        ("model", "batch_size", "training.batch_size"),
        ("training", "lr", "training.learning_rate"),
        ("training", "warmup_ratio", "training.warmup_steps"),
        ("trainig", "seed", "training.seed"),
        ("training", "zzzzzz", None),
    ],
)
def test_guess(section: str, key: str, wanted: str | None) -> None:
    """Misspelt, misplaced and other tools' names lead to the setting that was meant."""
    assert guess_name(section, key) == wanted


@pytest.mark.parametrize(("value", "written"), [(2e-5, "2e-5"), (0.1, "0.1"), (None, "null"), (True, "true"), (3, "3")])
def test_values_as_one_writes_them(value: float | bool | None, written: str) -> None:
    """Documents and messages show values as they stand in a file."""
    assert plain(value) == written
