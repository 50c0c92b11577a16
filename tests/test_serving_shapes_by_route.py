"""The shapes in the OpenAPI document: what they allow is understood, what they forbid is refused, answers fit them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.core import NotSet

from forgeml.serving.asking import Facts
from forgeml.serving.refusals import Refusal
from forgeml.serving.shapes.by_route import INFER, Shapes, shapes
from forgeml.serving.strict_json import parse_json, render_json
from forgeml.serving.wire import huggingface, inference_protocol, mlflow, native
from wire_made import LABELS, LIMITS, MODELS, Parse, facts, made_answers

PARSERS: dict[str, Parse] = {
    "/predict": native.parse_one,
    "/predict/batch": native.parse_many,
    "/": huggingface.parse,
    "/invocations": mlflow.parse,
    INFER: inference_protocol.parse_infer,
}
MADE = settings(
    deadline=None, derandomize=True, database=None, max_examples=50, suppress_health_check=list(HealthCheck)
)
PAIRS = (False, True, None)


def _document(made: Shapes) -> dict[str, Any]:
    """As much of an OpenAPI document as bodies are made from."""
    answer = {"200": {"description": "an answer"}}
    bodies = {
        route: {"required": True, "content": {"application/json": {"schema": body}}}
        for route, body in made.requests.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "ForgeML", "version": "1"},
        "paths": {route: {"post": {"requestBody": body, "responses": answer}} for route, body in bodies.items()},
        "components": {"schemas": made.components},
    }


def _as_long(body: Any) -> Any:
    """The body with lists of equal length and shapes to match, which a JSON schema cannot ask for."""
    if isinstance(body, dict) and "text_pairs" in body:
        length = min(len(body["texts"]), len(body["text_pairs"]))
        return {name: texts[:length] for name, texts in body.items()}
    tensors = body.get("inputs") if isinstance(body, dict) else None
    if isinstance(tensors, list) and isinstance(tensors[0], dict) and "shape" in tensors[0]:
        length = min(len(tensor["data"]) for tensor in tensors)
        return {**body, "inputs": [_shaped(tensor, length) for tensor in tensors]}
    return body


def _shaped(tensor: dict[str, Any], length: int) -> dict[str, Any]:
    nested = isinstance(tensor["data"][0], list)
    return {**tensor, "data": tensor["data"][:length], "shape": [length, 1] if nested else [length]}


@pytest.mark.slow
@pytest.mark.parametrize("route", PARSERS)
@pytest.mark.parametrize("pairs", PAIRS)
def test_what_fits_the_shape_is_understood(route: str, pairs: bool | None) -> None:
    """A body that is made after the shape gets an answer."""
    of_model = facts(pairs=pairs)
    operation = schemathesis.openapi.from_dict(_document(shapes(of_model)))[route]["POST"]

    @MADE
    @given(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def understood(case: Any) -> None:
        PARSERS[route](_as_long(parse_json(render_json(case.body))), of_model, LIMITS)

    understood()


@pytest.mark.slow
@pytest.mark.parametrize("route", PARSERS)
@pytest.mark.parametrize("pairs", PAIRS)
def test_what_does_not_fit_the_shape_is_refused(route: str, pairs: bool | None) -> None:
    """A body that is made to break the shape gets a refusal."""
    of_model = facts(pairs=pairs)
    operation = schemathesis.openapi.from_dict(_document(shapes(of_model)))[route]["POST"]

    @MADE
    @given(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def refused(case: Any) -> None:
        with pytest.raises(Refusal):
            PARSERS[route](parse_json(_sent(case.body)), of_model, LIMITS)

    refused()


def _sent(body: Any) -> bytes:
    """The body as bytes: some are made as bytes that are no JSON, and some requests have none."""
    if isinstance(body, NotSet):
        return b""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def _validator(made: Shapes, schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({**schema, "components": {"schemas": made.components}})


def _examples(made: Shapes, route: str) -> list[Any]:
    """Of the shapes that a route takes."""
    body = made.requests[route]
    names = [one["$ref"].rsplit("/", 1)[1] for one in body.get("anyOf", [body])]
    return [example for name in names for example in made.components[name]["examples"]]


@pytest.mark.parametrize("of_model", MODELS, ids=str)
@pytest.mark.parametrize("route", PARSERS)
def test_examples_are_answered_in_the_shape_that_is_promised(of_model: Facts, route: str) -> None:
    """Every example of a request fits its own shape and is understood, and its answer fits the shape of answers."""
    made = shapes(of_model)
    bodies = _examples(made, route)
    assert bodies
    for body in bodies:
        _validator(made, made.requests[route]).validate(body)
        asked = PARSERS[route](body, of_model, LIMITS)
        answer = parse_json(render_json(asked.render(made_answers(asked, of_model))))
        _validator(made, made.responses[route]).validate(answer)


def test_all_examples_fit() -> None:
    """No shape shows an example that it would not allow."""
    made = shapes(facts(pairs=None))
    checked = 0
    for name, schema in made.components.items():
        for example in schema.get("examples", []):
            _validator(made, {"$ref": f"#/components/schemas/{name}"}).validate(example)
            checked += 1
    assert checked > 15


@pytest.mark.parametrize("task", ["single_label", "multi_label", "regression"])
def test_metadata_fits(task: Any) -> None:
    """What the Open Inference Protocol is told of server and model has the promised shape."""
    made = shapes(facts(task, pairs=True))
    server, model = inference_protocol.server_metadata("0.1.0"), inference_protocol.model_metadata(facts(task, True))
    _validator(made, made.responses["/v2"]).validate(server)
    _validator(made, made.responses["/v2/models/{name}"]).validate(model)


def test_refusals_fit() -> None:
    """Every error has the one shape."""
    made = shapes(facts())
    for field in ("texts[3]", None):
        _validator(made, made.refused).validate(Refusal(422, "wrong_kind", "no text", field).as_dict("r1"))


def test_shapes_know_the_model() -> None:
    """Labels and outputs that can be asked for are those of the model, and pairs are there for models of pairs."""
    components = shapes(facts()).components
    assert components["ExplainText"]["properties"]["label"]["enum"] == list(LABELS)
    assert components["WantedOutput"]["properties"]["name"]["enum"] == ["label", "score", "scores", "truncated"]
    assert "OnePair" not in components
    assert "OneText" not in shapes(facts(pairs=True)).components
    assert "x-choices" not in json.dumps(components)


def test_all_is_described() -> None:
    """Every shape says what it is."""
    components = shapes(facts(pairs=None)).components
    assert [name for name, schema in components.items() if not schema.get("description")] == []
