"""The classifier behind MLflow's `predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forgeml.inference.classifier import Classifier
from forgeml.inference.pyfunc import ServedClassifier, _load_pyfunc

TEXTS = ["A lovely film.", "Boring and bad."]
FORMS: dict[str, Any] = {
    "DataFrame": pd.DataFrame({"text": TEXTS}),
    "DataFrame with other columns": pd.DataFrame({"id": [1, 2], "text": TEXTS}, index=[7, 3]),
    "mapping of a list": {"text": TEXTS},
    "mapping of an array": {"text": np.array(TEXTS)},
    "list of texts": TEXTS,
    "list of rows": [{"text": text} for text in TEXTS],
    "array": np.array(TEXTS),
    "series": pd.Series(TEXTS, index=[5, 6]),
}


@pytest.fixture(scope="module")
def served(trained: Path) -> ServedClassifier:
    """The saved folder as MLflow opens it."""
    return _load_pyfunc(str(trained / "best_model"))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_input_is_answered(served: ServedClassifier, trained: Path, form: str) -> None:
    """However MLflow hands the texts over, the answers are those of the classifier."""
    expected = Classifier.from_pretrained(trained / "best_model", "cpu").predict(TEXTS)
    answers = served.predict(FORMS[form])
    assert [answer["label"] for answer in answers] == [one.label for one in expected]
    for answer, one in zip(answers, expected, strict=True):
        assert set(answer) == {"label", "score", "scores"}
        assert answer["scores"] == pytest.approx(dict(one.scores), abs=1e-6)
        assert type(answer["scores"]) is dict


@pytest.mark.parametrize("one", ["A lovely film.", {"text": "A lovely film."}])
def test_single_text_is_a_list_of_one(served: ServedClassifier, one: Any) -> None:
    """One text gets a list with one answer."""
    assert len(served.predict(one, params={})) == 1


def test_no_rows_give_no_answers(served: ServedClassifier) -> None:
    """An empty table is answered with an empty list."""
    assert served.predict(pd.DataFrame({"text": []})) == []


@pytest.mark.parametrize("table", [pd.DataFrame({"review": TEXTS}), {"review": TEXTS}, [{"review": "a"}]])
def test_missing_column_is_named_with_what_there_is(served: ServedClassifier, table: Any) -> None:
    """Without `text` the error names it and the columns found."""
    with pytest.raises(KeyError, match="no 'text'; found review"):
        served.predict(table)


@pytest.mark.parametrize("hole", [None, float("nan"), 7])
def test_what_is_no_text_is_refused(served: ServedClassifier, hole: object) -> None:
    """A hole in the column is not classified as the word nan."""
    with pytest.raises(TypeError, match="text 1 is a"):
        served.predict(pd.DataFrame({"text": pd.Series(["a", hole], dtype=object)}))
