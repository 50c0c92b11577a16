"""The usual names of columns."""

from __future__ import annotations

from forgeml.data.names import TEXT_NAMES, usual_names, usual_pair


def test_usual_names_are_those_of_the_first_tier_that_has_any() -> None:
    """All of that tier come back, in the order of the table."""
    assert usual_names(["title", "review", "Comment"], TEXT_NAMES) == ["review", "Comment"]
    assert usual_names(["a", "b"], TEXT_NAMES) == []


def test_a_pair_is_found_by_its_second_name_too() -> None:
    """Where the second text is settled, only the first that belongs to it will do."""
    names = ["question", "Sentence", "question2", "question1"]
    assert usual_pair(names, None) == ("question1", "question2")
    assert usual_pair(names, "Sentence") == ("question", "Sentence")
    assert usual_pair(["a", "b"], None) == (None, None)
