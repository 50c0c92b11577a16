"""The Open Inference Protocol: metadata, tensors in, tensors out, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from forgeml.records import ListedTexts
from forgeml.serving.wire.inference_protocol import model_metadata, parse_infer, server_metadata
from wire_made import ALIKE, LABELS, LIMITS, VERSION, any_json, assert_understood_or_refused, facts, made_answers
from wire_made import refusal_of as refusal

WIDTHS = {"BYTES": str, "FP64": float, "BOOL": bool}


def _tensor(*texts: Any, name: str = "text", **changed: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(texts)], "datatype": "BYTES", "data": list(texts), **changed}


def _answer(body: Any, of_model: Any) -> Any:
    asked = parse_infer(body, of_model, LIMITS)
    return asked.render(made_answers(asked, of_model))


def test_server_tells_its_name_version_and_extensions() -> None:
    """The three fields that the protocol wants, and no other."""
    assert server_metadata("0.1.0") == {"name": "forgeml", "version": "0.1.0", "extensions": []}


@pytest.mark.parametrize("task", ["single_label", "multi_label", "regression"])
def test_answers_have_the_tensors_that_the_metadata_names(task: Any) -> None:
    """Each output has name, datatype and shape as the metadata says, and as much data of that kind as the shape."""
    said = model_metadata(facts(task))
    assert (said["name"], said["versions"], said["platform"]) == ("tiny", [VERSION], "forgeml")
    answer = _answer({"inputs": [_tensor("a", "b")]}, facts(task))
    assert (answer["model_name"], answer["model_version"]) == ("tiny", VERSION)
    assert "id" not in answer
    assert [one["name"] for one in answer["outputs"]] == [one["name"] for one in said["outputs"]]
    for found, meant in zip(answer["outputs"], said["outputs"], strict=True):
        assert set(found) == {"name", "shape", "datatype", "data"}
        assert found["datatype"] == meant["datatype"]
        assert found["shape"] == [2, *meant["shape"][1:]]
        assert len(found["data"]) == math.prod(found["shape"])
        assert {type(value) for value in found["data"]} == {WIDTHS[found["datatype"]]}


@pytest.mark.parametrize(("pairs", "names"), [(False, ["text"]), (None, ["text"]), (True, ["text", "text_pair"])])
def test_metadata_names_the_inputs_that_are_wanted(pairs: bool | None, names: list[str]) -> None:
    """A model of pairs has two inputs of texts, any other one."""
    inputs = model_metadata(facts(pairs=pairs))["inputs"]
    assert inputs == [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in names]


def test_scores_are_row_by_row_in_the_order_of_the_labels() -> None:
    """The columns of `scores` are the classes that the metadata lists, and the best of a row is its label."""
    outputs = {one["name"]: one for one in model_metadata(facts())["outputs"]}
    assert outputs["scores"]["parameters"] == {"labels": list(LABELS)}
    answer = {one["name"]: one for one in _answer({"inputs": [_tensor("a", "b", "c")]}, facts())["outputs"]}
    scores = np.reshape(answer["scores"]["data"], answer["scores"]["shape"])
    assert answer["label"]["data"] == [LABELS[place] for place in scores.argmax(axis=1)]
    assert answer["score"]["data"] == scores.max(axis=1).tolist()


def test_labels_of_a_multi_label_model_are_switches() -> None:
    """A class is true where the model says it."""
    answer = {one["name"]: one for one in _answer({"inputs": [_tensor("a", "b")]}, facts("multi_label"))["outputs"]}
    scores = np.array(answer["scores"]["data"])
    assert answer["labels"]["data"] == (scores >= 0.5).tolist()


@pytest.mark.parametrize(
    "tensor",
    [
        _tensor("a", "b"),
        _tensor("a", "b", name="input-0"),
        _tensor("a", "b", shape=[2, 1]),
        _tensor(["a"], ["b"], shape=[2, 1]),
        _tensor("a", "b", parameters={"content_type": "str"}),
    ],
)
def test_texts_come_flat_or_nested_under_any_name(tensor: Any) -> None:
    """A tensor of n texts has the shape [n] or [n, 1]; the only one needs no special name."""
    assert parse_infer({"inputs": [tensor]}, facts(), LIMITS).texts == ListedTexts(["a", "b"])


@pytest.mark.parametrize("swapped", [False, True])
def test_pairs_are_two_tensors_known_by_name(swapped: bool) -> None:
    """The order of the tensors makes no difference."""
    tensors = [_tensor("a"), _tensor("b", name="text_pair")]
    body = {"inputs": tensors[::-1] if swapped else tensors}
    assert parse_infer(body, facts(pairs=True), LIMITS).texts == ListedTexts(["a"], ["b"])


def test_id_comes_back_and_outputs_can_be_chosen() -> None:
    """The answer has the request's id, and of the outputs those asked for, once and in the order asked."""
    outputs = [{"name": "scores"}, {"name": "label", "parameters": {}}, {"name": "scores"}]
    answer = _answer({"id": "42", "parameters": {"a": 1}, "inputs": [_tensor("a")], "outputs": outputs}, facts())
    assert answer["id"] == "42"
    assert [one["name"] for one in answer["outputs"]] == ["scores", "label"]


REFUSED: list[tuple[Any, bool, tuple[int, str, str | None]]] = [
    ([], False, (400, "not_an_object", None)),
    ({}, False, (422, "missing_field", "inputs")),
    ({"inputs": []}, False, (422, "wrong_shape", "inputs")),
    ({"inputs": [_tensor("a")] * 3}, True, (422, "wrong_shape", "inputs")),
    ({"inputs": [_tensor("a")] * 2}, True, (422, "wrong_value", "inputs")),
    ({"inputs": [_tensor("a"), _tensor("b", name="second")]}, True, (422, "wrong_value", "inputs")),
    ({"inputs": [_tensor("a"), _tensor("b", "c", name="text_pair")]}, True, (422, "wrong_length", "inputs")),
    ({"inputs": [_tensor("a")]}, True, (422, "pair_wanted", "inputs")),
    ({"inputs": [_tensor("a"), _tensor("b", name="text_pair")]}, False, (422, "no_pair_wanted", "inputs")),
    ({"inputs": ["a"]}, False, (422, "wrong_kind", "inputs[0]")),
    ({"inputs": [_tensor("a", datatype="FP32")]}, False, (422, "wrong_value", "inputs[0].datatype")),
    ({"inputs": [_tensor("a", shape=[2])]}, False, (422, "wrong_shape", "inputs[0].shape")),
    ({"inputs": [_tensor("a", shape=[1, 2])]}, False, (422, "wrong_shape", "inputs[0].shape")),
    ({"inputs": [_tensor("a", shape=[-1])]}, False, (422, "wrong_shape", "inputs[0].shape")),
    ({"inputs": [_tensor("a", shape=[])]}, False, (422, "wrong_shape", "inputs[0].shape")),
    ({"inputs": [_tensor("a", shape=[True])]}, False, (422, "wrong_kind", "inputs[0].shape[0]")),
    ({"inputs": [_tensor("a", shape=1)]}, False, (422, "wrong_kind", "inputs[0].shape")),
    ({"inputs": [_tensor()]}, False, (422, "empty_list", "inputs[0].data")),
    ({"inputs": [_tensor(*["a"] * 65)]}, False, (413, "too_many_texts", "inputs[0].data")),
    ({"inputs": [_tensor("a", 1)]}, False, (422, "wrong_kind", "inputs[0].data[1]")),
    ({"inputs": [_tensor(["a"])]}, False, (422, "wrong_kind", "inputs[0].data[0]")),
    ({"inputs": [_tensor(["a", "b"], shape=[1, 1])]}, False, (422, "wrong_shape", "inputs[0].data[0]")),
    ({"inputs": [_tensor(["a"], "b", shape=[2, 1])]}, False, (422, "wrong_kind", "inputs[0].data[1]")),
    ({"inputs": [_tensor("a", contents="b")]}, False, (422, "unknown_field", "inputs[0].contents")),
    ({"inputs": [_tensor("a", parameters=[])]}, False, (422, "wrong_kind", "inputs[0].parameters")),
    ({"inputs": [_tensor("a")], "id": 42}, False, (422, "wrong_kind", "id")),
    ({"inputs": [_tensor("a")], "id": "\ud800"}, False, (422, "half_character", "id")),
    ({"inputs": [_tensor("a")], "parameters": 1}, False, (422, "wrong_kind", "parameters")),
    ({"inputs": [_tensor("a")], "outputs": []}, False, (422, "empty_list", "outputs")),
    ({"inputs": [_tensor("a")], "outputs": [{"name": "value"}]}, False, (422, "wrong_value", "outputs[0].name")),
]


@pytest.mark.parametrize(("body", "pairs", "expected"), REFUSED)
def test_wrong_shapes_are_refused_by_place(body: Any, pairs: bool, expected: Any) -> None:
    """What is wrong is told by status, code and place."""
    found = refusal(parse_infer, body, facts(pairs=pairs))
    assert (found.status, found.code, found.field) == expected


FIELDS = ("id", "inputs", "outputs", "parameters", "name", "shape", "datatype", "data", "BYTES", "text", "label")


@ALIKE
@given(any_json(FIELDS))
def test_any_json_is_understood_or_refused(value: Any) -> None:
    """Whatever the body holds, the answer can be written or there is a refusal."""
    assert_understood_or_refused(parse_infer, value)


@ALIKE
@given(any_json(FIELDS), any_json(FIELDS), any_json(FIELDS))
def test_any_tensor_is_understood_or_refused(shape: Any, data: Any, more: Any) -> None:
    """Whatever stands in the fields of a tensor, the answer can be written or there is a refusal."""
    assert_understood_or_refused(parse_infer, {"inputs": [_tensor("a", shape=shape, data=data)]})
    assert_understood_or_refused(parse_infer, {"inputs": [_tensor("a", name=more)], "outputs": more})
