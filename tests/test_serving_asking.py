"""What all formats have in common."""

from __future__ import annotations

import numpy as np

from forgeml.records import ListedTexts, Prediction
from forgeml.serving.asking import Answers, Asked, Facts


def test_a_format_is_a_way_in_and_a_way_out() -> None:
    """A format understands texts, and renders the answers to them."""
    asked = Asked(ListedTexts(["a"]), lambda answers: answers.predictions[0].as_dict() | {"by": answers.facts.version})
    facts = Facts("best_model", "0123456789ab", "regression", ("stars",), pairs=False)
    answers = Answers([Prediction(value=2.5)], np.array([[2.5]], np.float32), [False], facts)
    assert asked.render(answers) == {"value": 2.5, "by": "0123456789ab"}
