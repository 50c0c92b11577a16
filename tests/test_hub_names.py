"""The short names that people write."""

from __future__ import annotations

import pytest

from forgeml.hub.names import DATASETS, MODELS, known_dataset, model_repository, name_in_address, written_as_path


@pytest.mark.parametrize("name", ["distilbert-base-uncased", "bert-base-uncased", "roberta-base", "albert-base-v2"])
def test_short_model_names_stand_for_full_ones(name: str) -> None:
    """The names that people write must lead to owner/name, and full names to themselves."""
    assert model_repository(name).endswith(f"/{name}")
    assert model_repository(MODELS[name]) == MODELS[name]


def test_data_set_is_known_by_both_names() -> None:
    """A short and a full name must know the same columns and subset; of an unknown name none is known."""
    assert all(known_dataset(name) == known_dataset(known.repository) == known for name, known in DATASETS.items())
    assert (known_dataset("a/b").text_column, known_dataset("a/b").label_column) == (None, None)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://hub.example/datasets/stanfordnlp/imdb", "stanfordnlp/imdb"),
        ("https://hub.example/datasets/stanfordnlp/imdb/tree/main/plain_text", "stanfordnlp/imdb"),
        ("https://hub.example/FacebookAI/roberta-base?library=transformers", "FacebookAI/roberta-base"),
        ("hub.example", None),
        ("my model", None),
    ],
)
def test_name_is_found_in_an_address(text: str, name: str | None) -> None:
    """The name must be found in what people copy from a browser, and nowhere else."""
    assert name_in_address(text) == name


@pytest.mark.parametrize("name", ["./x", "../x", "/x", "~/x", "x/", "a/b/c", ".", "..", ""])
def test_names_that_only_a_path_has(name: str) -> None:
    """What the hub could not have is a path, whether something is there or not."""
    assert written_as_path(name)


@pytest.mark.parametrize("name", ["imdb", "owner/name", "https://hub.example/owner/name", "reviews.csv"])
def test_names_that_the_hub_could_have(name: str) -> None:
    """Plain names and addresses are not paths by their writing alone."""
    assert not written_as_path(name)
