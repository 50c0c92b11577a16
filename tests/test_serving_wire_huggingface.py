"""Hugging Face's format: shapes and numbers as the real pipeline gives them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, pipeline

from forgeml.inference.classifier import Classifier
from forgeml.records import ListedTexts
from forgeml.serving.wire.huggingface import parse
from small_classifiers import SIZES
from wire_made import ALIKE, LABELS, LIMITS, answered, any_json, assert_understood_or_refused, facts, facts_of
from wire_made import refusal_of as refusal

TASKS = {
    "single_label": ("single_label_classification", LABELS),
    "multi_label": ("multi_label_classification", LABELS),
    "regression": ("regression", ("rating",)),
}
LONG = "a good film and a bad ending " * 40
PAIR = {"text": "a good film", "text_pair": "dull"}
INPUTS: dict[str, Any] = {
    "a text": "A lovely, funny film.",
    "a long text": LONG,
    "an empty text": "",
    "a list of one": ["boring"],
    "a list": ["boring", LONG, "", "a witty story"],
    "an object": {"text": "boring"},
    "a pair": PAIR,
    "a list of objects": [{"text": "boring"}, {"text": LONG}],
    # An empty second text is a text like any other here, and to the pipeline none at all.
    "a list of pairs": [PAIR, {"text": "dull", "text_pair": LONG}, {"text": "", "text_pair": "dull"}],
}
PARAMETERS: list[dict[str, Any]] = [
    {},
    {"top_k": 1},
    {"top_k": 2},
    {"top_k": 100},
    {"top_k": None},
    {"function_to_apply": "sigmoid"},
    {"function_to_apply": "none", "top_k": None},
    {"function_to_apply": "softmax", "top_k": 2},
    {"function_to_apply": None, "top_k": 2},
]


@pytest.fixture(scope="module")
def folders(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each task, as transformers writes it, with weights that tell texts apart."""
    made = {}
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    for task, (problem, labels) in TASKS.items():
        folder = made[task] = tmp_path_factory.mktemp(task) / "model"
        config = BertConfig(
            **{**SIZES, "vocab_size": len(tokenizer), "max_position_embeddings": 128},
            problem_type=problem,
            id2label=dict(enumerate(labels)),
            label2id={label: place for place, label in enumerate(labels)},
            initializer_range=0.3,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            BertForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return made


@pytest.fixture(scope="module", params=TASKS)
def both(request: pytest.FixtureRequest, folders: dict[str, Path]) -> tuple[Classifier, Any]:
    """The same folder opened by ForgeML and by transformers."""
    folder = folders[request.param]
    return Classifier.from_pretrained(folder, "cpu"), pipeline("text-classification", str(folder), device="cpu")


@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
@pytest.mark.parametrize("name", INPUTS)
def test_answers_are_those_of_the_pipeline(both: tuple[Classifier, Any], name: str, parameters: dict[str, Any]) -> None:
    """Every form of input gets, for all parameters, the shape, the labels and the scores of the pipeline."""
    classifier, real = both
    body = {"inputs": INPUTS[name], "parameters": parameters} if parameters else {"inputs": INPUTS[name]}
    expected = real(INPUTS[name], truncation=True, **parameters)
    _assert_same(answered(classifier, parse(body, facts_of(classifier), LIMITS)), expected)


def test_trained_model_answers_as_the_pipeline(trained: Path) -> None:
    """A folder of ForgeML's own has the same answers in both, too."""
    classifier = Classifier.from_pretrained(trained / "best_model", "cpu")
    real = pipeline("text-classification", str(trained / "best_model"), device="cpu")
    inputs = ["A lovely film.", "Boring and bad."]
    asked = parse({"inputs": inputs, "parameters": {"top_k": None}}, facts_of(classifier), LIMITS)
    _assert_same(answered(classifier, asked), real(inputs, top_k=None, truncation=True))


def _assert_same(found: Any, expected: Any) -> None:
    """See that both have the same lists and labels, and scores that are alike."""
    assert type(found) is type(expected)
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            _assert_same(one, other)
        return
    assert found.keys() == expected.keys() == {"label", "score"}
    assert found["label"] == expected["label"]
    assert found["score"] == pytest.approx(expected["score"], abs=1e-5)


@pytest.mark.parametrize("parameters", [None, {}, {"truncation": True}, {"function_to_apply": "default"}])
def test_parameters_that_change_nothing_are_taken(parameters: Any) -> None:
    """What other clients send by habit gets the plain answer."""
    assert parse({"inputs": "a", "parameters": parameters}, facts(), LIMITS).texts == ListedTexts(["a"])


REFUSED: list[tuple[Any, bool, tuple[int, str, str | None]]] = [
    ("a", False, (400, "not_an_object", None)),
    ({"inputs": None}, False, (422, "wrong_kind", "inputs")),
    ({"inputs": 3}, False, (422, "wrong_kind", "inputs")),
    ({"input": "a"}, False, (422, "unknown_field", "input")),
    ({"inputs": []}, False, (422, "empty_list", "inputs")),
    ({"inputs": ["a"] * 65}, False, (413, "too_many_texts", "inputs")),
    ({"inputs": [{"text": "a"}] * 65}, False, (413, "too_many_texts", "inputs")),
    ({"inputs": ["a", {"text": "b"}]}, False, (422, "wrong_kind", "inputs[1]")),
    ({"inputs": [{"text": "b"}, "a"]}, False, (422, "wrong_kind", "inputs[1]")),
    ({"inputs": [["a", "b"]]}, True, (422, "wrong_kind", "inputs[0]")),
    ({"inputs": {"text": "a", "pair": "b"}}, True, (422, "unknown_field", "inputs.pair")),
    ({"inputs": {"text_pair": "b"}}, True, (422, "missing_field", "inputs.text")),
    ({"inputs": [PAIR, {"text": "a"}]}, True, (422, "missing_field", "inputs[1].text_pair")),
    ({"inputs": {"text": "a", "text_pair": None}}, True, (422, "wrong_kind", "inputs.text_pair")),
    ({"inputs": "a"}, True, (422, "pair_wanted", "inputs.text_pair")),
    ({"inputs": PAIR}, False, (422, "no_pair_wanted", "inputs.text_pair")),
    ({"inputs": "a", "parameters": []}, False, (422, "wrong_kind", "parameters")),
    ({"inputs": "a", "parameters": {"top_k": 0}}, False, (422, "wrong_value", "parameters.top_k")),
    ({"inputs": "a", "parameters": {"top_k": "1"}}, False, (422, "wrong_kind", "parameters.top_k")),
    ({"inputs": "a", "parameters": {"top_k": True}}, False, (422, "wrong_kind", "parameters.top_k")),
    ({"inputs": "a", "parameters": {"topk": 1}}, False, (422, "unknown_field", "parameters.topk")),
    ({"inputs": "a", "parameters": {"truncation": False}}, False, (422, "wrong_value", "parameters.truncation")),
    (
        {"inputs": "a", "parameters": {"function_to_apply": "relu"}},
        False,
        (422, "wrong_value", "parameters.function_to_apply"),
    ),
]


@pytest.mark.parametrize(("body", "pairs", "expected"), REFUSED)
def test_wrong_shapes_are_refused_by_place(body: Any, pairs: bool, expected: Any) -> None:
    """What is wrong is told by status, code and place."""
    found = refusal(parse, body, facts(pairs=pairs))
    assert (found.status, found.code, found.field) == expected


@ALIKE
@given(any_json(("inputs", "text", "text_pair", "parameters", "top_k", "function_to_apply", "sigmoid")))
def test_any_json_is_understood_or_refused(value: Any) -> None:
    """Whatever the body holds, the answer can be written or there is a refusal."""
    assert_understood_or_refused(parse, value)
