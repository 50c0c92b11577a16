"""The routes as an application, and its document."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from forgeml.serving.guarding.exchange import Exchange
from forgeml.serving.routes.framework import build, document
from forgeml.serving.routes.predicting import INFER
from forgeml.serving.routes.route import Route, as_json
from wire_made import MODELS


async def _nothing(exchange: Exchange, request: Request) -> Response:
    return as_json({})


ROUTES = [
    Route("POST", "/predict", _nothing, "predict", "Classify."),
    Route("GET", "/readyz", _nothing, "health", "Ready?"),
    Route("GET", "/metrics", _nothing, "about", "Counts."),
    Route("POST", "/v2/models/{name}/versions/{version}/infer", _nothing, "protocol", "Classify.", shape=INFER),
    Route("GET", "/", _nothing, "about", "The page.", shown=False),
]


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*(_references(inner) for inner in value.values()))
    return set().union(*map(_references, value)) if isinstance(value, list) else set()


def test_the_document_is_whole_for_every_kind_of_model() -> None:
    """Every shape that is referred to is there, hidden routes are not, and health is told in one shape either way."""
    app = build(ROUTES)
    for facts in MODELS:
        made = document(app, ROUTES, facts)
        assert {reference.rpartition("/")[2] for reference in _references(made)} <= made["components"]["schemas"].keys()
        assert "/" not in made["paths"]
        answers = made["paths"]["/readyz"]["get"]["responses"]
        assert answers["200"]["content"] == answers["503"]["content"]
        assert "text/plain" in made["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
        assert made["paths"]["/predict"]["post"]["requestBody"]["required"]
