"""MLflow's format: the same answers to the same payloads as MLflow's own server, and what is refused."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from forgeml.inference.classifier import Classifier
from forgeml.inference.pyfunc import ServedClassifier
from forgeml.records import ListedTexts
from forgeml.serving.wire.mlflow import parse
from wire_made import ALIKE, LIMITS, answered, any_json, assert_understood_or_refused, facts, facts_of, made_answers
from wire_made import refusal_of as refusal

SINGLE: dict[str, Any] = {
    "split": {"dataframe_split": {"columns": ["text"], "data": [["A lovely film."], ["dull"]]}},
    "split with index": {"dataframe_split": {"columns": ["text"], "index": [7, 3], "data": [["a"], ["dull"]]}},
    "split with columns": {"dataframe_split": {"columns": ["id", "text"], "data": [[1, "lovely"], [None, "dull"]]}},
    "records": {"dataframe_records": [{"text": "A lovely film."}, {"text": "dull", "id": [1]}]},
    "instances": {"instances": ["A lovely film.", "dull"]},
    "instances as rows": {"instances": [{"text": "A lovely film."}, {"text": "dull"}]},
    "instances as columns": {"instances": {"text": ["A lovely film.", "dull"]}},
    "instances with settings": {"instances": ["dull"], "parameters": {"a": 1}},
    "inputs": {"inputs": ["A lovely film.", "dull"]},
    "inputs as rows": {"inputs": [{"text": "A lovely film."}, {"text": "dull", "id": 7}]},
    "inputs as columns": {"inputs": {"text": ["A lovely film.", "dull"]}},
    "inputs with one value": {"inputs": {"text": "dull"}},
    "inputs with settings": {"inputs": ["dull"], "params": {"a": 1}},
    "inputs with null for settings": {"inputs": ["dull"], "params": None},
}
PAIRS: dict[str, Any] = {
    "split": {"dataframe_split": {"columns": ["text_pair", "text"], "data": [["ugly", "lovely"]]}},
    "records": {"dataframe_records": [{"text": "lovely", "text_pair": "ugly"}]},
    "instances as rows": {"instances": [{"text": "lovely", "text_pair": "ugly"}]},
    "instances as columns": {"instances": {"text": ["lovely"], "text_pair": ["ugly"]}},
    "inputs as rows": {"inputs": [{"text": "lovely", "text_pair": "ugly"}]},
    "inputs as columns": {"inputs": {"text": ["lovely"], "text_pair": ["ugly"]}},
    "inputs with one value": {"inputs": {"text": "lovely", "text_pair": "ugly"}},
}
REFUSED: dict[str, tuple[Any, tuple[int, str, str | None]]] = {
    "a list": (["a"], (400, "not_an_object", None)),
    "nothing": ({}, (422, "wrong_form", None)),
    "settings alone": ({"params": {}}, (422, "wrong_form", None)),
    "two forms": ({"inputs": ["a"], "instances": ["a"]}, (422, "wrong_form", None)),
    "records as columns": ({"dataframe_records": {"text": ["a"]}}, (422, "wrong_kind", "dataframe_records")),
    "records of texts": ({"dataframe_records": ["a"]}, (422, "wrong_kind", "dataframe_records[0]")),
    "no records": ({"dataframe_records": []}, (422, "empty_list", "dataframe_records")),
    "a record without text": (
        {"dataframe_records": [{"text": "a"}, {}]},
        (422, "missing_field", "dataframe_records[1].text"),
    ),
    "a number in records": ({"dataframe_records": [{"text": 1}]}, (422, "wrong_kind", "dataframe_records[0].text")),
    "split without columns": (
        {"dataframe_split": {"data": [["a"]]}},
        (422, "missing_field", "dataframe_split.columns"),
    ),
    "split without text": (
        {"dataframe_split": {"columns": ["review"], "data": [["a"]]}},
        (422, "missing_field", "dataframe_split.columns"),
    ),
    "split with text twice": (
        {"dataframe_split": {"columns": ["text", "text"], "data": [["a", "b"]]}},
        (422, "wrong_value", "dataframe_split.columns"),
    ),
    "split with a short index": (
        {"dataframe_split": {"columns": ["text"], "index": [1], "data": [["a"], ["b"]]}},
        (422, "wrong_length", "dataframe_split.index"),
    ),
    "split with more": (
        {"dataframe_split": {"columns": ["text"], "data": [["a"]], "name": "x"}},
        (422, "unknown_field", "dataframe_split.name"),
    ),
    "one text for instances": ({"instances": "a"}, (422, "wrong_kind", "instances")),
    "lists for instances": ({"instances": [["a"]]}, (422, "wrong_kind", "instances[0]")),
    "a text and a row": ({"inputs": [{"text": "a"}, "b"]}, (422, "wrong_kind", "inputs[1]")),
    "lists in a column": ({"inputs": {"text": [["a"]]}}, (422, "wrong_kind", "inputs.text[0]")),
    "other columns": ({"inputs": {"review": ["a"]}}, (422, "missing_field", "inputs.text")),
}
"""Payloads that MLflow refuses as well, with the refusals they get here."""
STRICTER: dict[str, tuple[Any, tuple[int, str, str | None]]] = {
    "a number": ({"inputs": [1]}, (422, "wrong_kind", "inputs[0]")),
    "null": ({"instances": [None]}, (422, "wrong_kind", "instances[0]")),
    "no texts": ({"inputs": []}, (422, "empty_list", "inputs")),
    "unknown field": ({"inputs": ["a"], "param": {}}, (422, "unknown_field", "param")),
    "settings of another kind": ({"inputs": ["a"], "params": "a"}, (422, "wrong_kind", "params")),
    "many texts": ({"inputs": ["a"] * 65}, (413, "too_many_texts", "inputs")),
    "a pair": ({"inputs": [{"text": "a", "text_pair": "b"}]}, (422, "no_pair_wanted", "text_pair")),
    "split with a short row": (
        {"dataframe_split": {"columns": ["text", "id"], "data": [["a", 1], ["a"]]}},
        (422, "wrong_length", "dataframe_split.data[1]"),
    ),
    "rows without a table": (
        {"dataframe_split": {"columns": ["text"], "data": ["a"]}},
        (422, "wrong_kind", "dataframe_split.data[0]"),
    ),
}
"""Payloads that MLflow makes something of."""


class MlflowError(Exception):
    """MLflow's server has refused a payload."""


Serve = Callable[[Any, tuple[str, ...]], Callable[[Any], Any]]


@pytest.fixture(scope="module")
def serve() -> Serve:
    """Puts MLflow's server, without the network, around a classifier with columns of these names."""
    with warnings.catch_warnings(action="ignore"):
        from mlflow.exceptions import MlflowException
        from mlflow.models import Model, ModelSignature
        from mlflow.pyfunc import PyFuncModel
        from mlflow.pyfunc.scoring_server import invocations
        from mlflow.types.schema import ColSpec, DataType, Schema

    def around(classifier: Any, columns: tuple[str, ...]) -> Callable[[Any], Any]:
        schema = Schema([ColSpec(DataType.string, name) for name in columns])
        logged = Model(signature=ModelSignature(inputs=schema))
        logged.add_flavor("python_function", loader_module="forgeml.inference.pyfunc")
        model = PyFuncModel(logged, ServedClassifier(classifier))

        def answer(payload: Any) -> Any:
            with warnings.catch_warnings(action="ignore"):
                try:
                    response = invocations(json.dumps(payload), "application/json", model, schema)
                except MlflowException as error:
                    raise MlflowError from error
            return json.loads(response.response)

        return answer

    return around


@pytest.fixture(scope="module")
def classifier(trained: Path) -> Classifier:
    """Of single texts."""
    return Classifier.from_pretrained(trained / "best_model", "cpu")


class _Pairs:
    """A stand-in for a classifier of pairs that tells which texts it was given."""

    def predict(self, texts: list[str], pairs: list[str]) -> Any:
        return made_answers(_asked(texts, pairs), facts(pairs=True)).predictions


def _asked(texts: list[str], pairs: list[str]) -> Any:
    assert (texts, pairs) == (["lovely"], ["ugly"])
    return parse(PAIRS["records"], facts(pairs=True), LIMITS)


@pytest.mark.slow
@pytest.mark.parametrize("name", SINGLE)
def test_answers_are_those_of_mlflow(serve: Serve, classifier: Classifier, name: str) -> None:
    """Every payload with texts gets the records that MLflow's server gives for it."""
    expected = serve(classifier, ("text",))(SINGLE[name])
    found = answered(classifier, parse(SINGLE[name], facts_of(classifier), LIMITS))
    assert found.keys() == expected.keys() == {"predictions"}
    for one, other in zip(found["predictions"], expected["predictions"], strict=True):
        assert one.keys() == other.keys()
        assert one["label"] == other["label"]
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_pairs_are_those_of_mlflow(serve: Serve, name: str) -> None:
    """Every payload with pairs is read as the pairs that MLflow hands to the model."""
    asked = parse(PAIRS[name], facts(pairs=True), LIMITS)
    assert asked.texts == ListedTexts(["lovely"], ["ugly"])
    found = asked.render(made_answers(asked, facts(pairs=True)))
    assert found == serve(_Pairs(), ("text", "text_pair"))(PAIRS[name])


@pytest.mark.parametrize("name", [*REFUSED, *STRICTER])
def test_wrong_shapes_are_refused_by_place(name: str) -> None:
    """What is wrong is told by status, code and place."""
    payload, expected = {**REFUSED, **STRICTER}[name]
    found = refusal(parse, payload)
    assert (found.status, found.code, found.field) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_mlflow_refuses_the_same(serve: Serve, classifier: Classifier, name: str) -> None:
    """What MLflow has no answer to has none here; it fails with 400 for all of it."""
    with pytest.raises(MlflowError):
        serve(classifier, ("text",))(REFUSED[name][0])


@pytest.mark.slow
@pytest.mark.parametrize("name", STRICTER)
def test_mlflow_answers_what_is_known_to_be_refused_here(serve: Serve, classifier: Classifier, name: str) -> None:
    """The differences are those of the table: texts made of what is none, rows filled up, fields left out."""
    assert "predictions" in serve(classifier, ("text",))(STRICTER[name][0])


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"instances": ["a"]}, "text_pair"),
        ({"inputs": [{"text": "a", "text_pair": "b"}, {"text": "a"}]}, "inputs[1].text_pair"),
        ({"inputs": {"text": ["a", "b"], "text_pair": ["c"]}}, "text_pair"),
    ],
)
def test_models_of_pairs_get_pairs(payload: Any, field: str) -> None:
    """Each first text has a second one."""
    found = refusal(parse, payload, facts(pairs=True))
    assert (found.status, found.field) == (422, field)


FIELDS = (
    "dataframe_split",
    "dataframe_records",
    "instances",
    "inputs",
    "params",
    "text",
    "text_pair",
    "columns",
    "data",
)


@ALIKE
@given(any_json(FIELDS))
def test_any_json_is_understood_or_refused(value: Any) -> None:
    """Whatever the body holds, the answer can be written or there is a refusal."""
    assert_understood_or_refused(parse, value)
