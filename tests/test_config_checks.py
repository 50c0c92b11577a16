"""What is refused wherever it stands, and what is odd."""

from __future__ import annotations

import pytest

from forgeml.config.checks import bare_folders, forbidden_texts, odd_values
from forgeml.config.wording import Origins

NOWHERE = Origins("config.yaml", {})


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "\0", "\x1b[31m", "\x7f", "\x85", "\udce9"])
def test_characters_that_no_setting_has(text: str) -> None:
    """Control characters and bytes that are no text are refused in every setting and in lists."""
    assert len(list(forbidden_texts({"model": {"name": text}}, NOWHERE))) == 1
    assert len(list(forbidden_texts({"data": {"dataset": ["x", text]}}, NOWHERE))) == 1


@pytest.mark.parametrize(
    "text", ["C:\\new", "a b", "é🙂", "http://localhost:5000", "runs@1", "a:b@c", "$5", "train[:10%]"]
)
def test_texts_that_are_fine(text: str) -> None:
    """Signs that look special are none."""
    assert list(forbidden_texts({"output_dir": text}, NOWHERE)) == []


@pytest.mark.parametrize(
    ("written", "refused"), [("/", True), ("~", True), ("/..", True), (".", False), ("/tmp", False)]
)
def test_folders(written: str, refused: bool) -> None:
    """The root and the home folder are no place for results; what is in them is."""
    assert bool(list(bare_folders({"output_dir": written}, NOWHERE))) == refused


@pytest.mark.parametrize("written", [None, 5, "", "\0", ["/"]])
def test_what_is_no_folder_is_for_others_to_refuse(written: object) -> None:
    """Values that the schema or another check refuses are let through here."""
    assert list(bare_folders({"output_dir": written}, NOWHERE)) == []


def test_odd_values_name_the_usual_ones() -> None:
    """The sentence says what was found, the limit, and what is usual."""
    said = odd_values({"training.learning_rate": 0.3, "training.num_epochs": 3})
    assert said == [
        "training.learning_rate is 0.3: fine-tuning mostly learns nothing above 0.01; 1e-5 to 5e-5 are usual"
    ]


@pytest.mark.parametrize(("rank", "rate", "told"), [(8, 2e-5, 1), (8, 3e-4, 0), (None, 2e-5, 0)])
def test_learning_rate_that_is_too_low_for_adapters_is_told(rank: int | None, rate: float, told: int) -> None:
    """With LoRA the usual learning rates learn little, and the sentence says which ones are usual then."""
    values = {"training.learning_rate": rate, "training.num_epochs": 3, "training.lora_rank": rank}
    said = odd_values(values)
    assert len(said) == told
    assert all("training.learning_rate is 2e-5: with training.lora_rank" in sentence for sentence in said)
