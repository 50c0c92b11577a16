"""The routes that tell of the server: what it is, its counts, its pages, and its OpenAPI document."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

from fastapi import Request, Response

from forgeml.machine import versions
from forgeml.serving.answering.answerer import Answerer
from forgeml.serving.guarding.exchange import Exchange
from forgeml.serving.limits import Limits
from forgeml.serving.pages import page
from forgeml.serving.refusals import Refusal
from forgeml.serving.routes.predicting import check_named
from forgeml.serving.routes.route import Handler, Route, as_json
from forgeml.serving.strict_json import render_json
from forgeml.serving.telling.metrics import CONTENT_TYPE, Metrics
from forgeml.serving.wire import inference_protocol

FORGEML = importlib.metadata.version("forgeml")


def routes(answerer: Answerer, limits: Limits, metrics: Metrics, *, with_docs: bool) -> list[Route]:
    """The routes that tell of the model and of the server.

    Args:
        answerer: has the model.
        limits: that hold.
        metrics: of this process.
        with_docs: whether the OpenAPI document and its page are shown.
    """
    of_server = {"limits": limits.as_dict(), "versions": versions(), "docs": with_docs}

    async def info(exchange: Exchange, request: Request) -> Response:
        return as_json({**answerer.served().about(), **of_server, "problem": answerer.problem})

    async def counts(exchange: Exchange, request: Request) -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    async def version(exchange: Exchange, request: Request) -> Response:
        return Response(FORGEML, media_type="text/plain")

    async def server(exchange: Exchange, request: Request) -> Response:
        return as_json(inference_protocol.server_metadata(FORGEML))

    async def model(exchange: Exchange, request: Request) -> Response:
        facts = answerer.served().facts
        check_named(facts, request.path_params)
        return as_json(inference_protocol.model_metadata(facts))

    async def model_ready(exchange: Exchange, request: Request) -> Response:
        facts = answerer.served().facts
        check_named(facts, request.path_params)
        return as_json({"name": facts.name, "ready": True})

    protocol = "open inference protocol"
    return [
        Route("GET", "/info", info, "about", "The model, its metrics, the limits."),
        Route("GET", "/metrics", counts, "about", "Counts, in the text format of Prometheus."),
        Route("GET", "/version", version, "about", "ForgeML's version, as MLflow tells its own."),
        Route("GET", "/v2", server, protocol, "The server."),
        Route("GET", "/v2/models/{name}", model, protocol, "The model."),
        Route("GET", "/v2/models/{name}/ready", model_ready, protocol, "Whether it answers."),
    ]


def pages(document: Callable[[], dict[str, Any]], with_docs: bool) -> list[Route]:
    """The routes of the pages.

    Args:
        document: gives the OpenAPI document.
        with_docs: whether it, and its page, are shown.
    """

    def of(name: str) -> Handler:
        async def show(exchange: Exchange, request: Request) -> Response:
            return _page(name, exchange)

        return show

    async def part(exchange: Exchange, request: Request) -> Response:
        # The pages themselves have their own addresses, from which they name their parts.
        name = request.path_params["name"]
        return _page("" if name.endswith(".html") else name, exchange)

    async def openapi(exchange: Exchange, request: Request) -> Response:
        return Response(render_json(document()), media_type="application/json")

    shown = [
        Route("GET", "/", of("index.html"), "about", "The page for people.", shown=False),
        Route("GET", "/page/{name}", part, "about", "A part of a page.", shown=False),
    ]
    if with_docs:
        shown += [
            Route("GET", "/docs", of("docs.html"), "about", "The routes, for people.", shown=False),
            Route("GET", "/openapi.json", openapi, "about", "The routes, for programs.", shown=False),
        ]
    return shown


def _page(name: str, exchange: Exchange) -> Response:
    found = page(name)
    if found is None:
        raise Refusal(404, "not_found", "there is no such page")
    if found.is_held(exchange.header(b"if-none-match")):
        return Response(status_code=304, headers=dict(found.headers))
    return Response(found.body, headers=dict(found.headers))
