"""The routes as a FastAPI application, whose errors look like all others, and their OpenAPI document."""

from __future__ import annotations

import copy
import importlib.metadata
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from forgeml.serving.asking import Facts
from forgeml.serving.guarding.exchange import GONE, KEY
from forgeml.serving.guarding.guard import BUG, HEALTH, refusal_response
from forgeml.serving.refusals import ClientGone, Refusal
from forgeml.serving.routes.route import Route
from forgeml.serving.shapes.by_route import shapes

ERRORS = {
    "GET": (401, 404, 405, 421, 503),
    "POST": (400, 401, 404, 408, 413, 415, 421, 422, 503),
}
"""What each kind of operation may be refused with."""

TEXT = {"text/plain": {"schema": {"type": "string"}}}

CODES = {404: "not_found", 405: "wrong_method"}


def build(routes: Sequence[Route]) -> FastAPI:
    """The application of these routes, in their order."""
    app = FastAPI(
        title="ForgeML",
        version=importlib.metadata.version("forgeml"),
        summary="A text classifier in use.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _of_framework, Refusal: _refused, ClientGone: _gone, Exception: _bug},
    )
    for route in routes:
        described: dict[str, Any] = {"summary": route.summary, "tags": [route.tag], "include_in_schema": route.shown}
        app.add_api_route(route.path, route.endpoint(), methods=[route.method], response_model=None, **described)
        if route.method == "GET":
            app.add_api_route(route.path, route.endpoint(), methods=["HEAD"], include_in_schema=False)
    return app


def document(app: FastAPI, routes: Sequence[Route], facts: Facts) -> dict[str, Any]:
    """The OpenAPI document of an application that `build` has made of these routes, for the model that answers."""
    made, known = copy.deepcopy(app.openapi()), shapes(facts)
    for route in routes:
        if not route.shown:
            continue
        operation = made["paths"][route.path][route.method.lower()]
        name = route.shape or route.path
        if route.method == "POST":
            operation["requestBody"] = {"required": True, "content": _json(known.requests[name])}
        done = _json(known.responses[name]) if name in known.responses else TEXT
        refused = _json(known.refused)
        operation["responses"] = {"200": {"description": "Done", "content": done}} | {
            str(status): {"description": HTTPStatus(status).phrase, "content": refused}
            for status in ERRORS[route.method]
        }
        if route.path in HEALTH:
            # The same shape tells that requests are not answered.
            operation["responses"]["503"]["content"] = done
    made["components"] = {"schemas": dict(known.components)}
    return made


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return refusal_response(error, request.scope[KEY])


async def _gone(request: Request, error: Exception) -> Response:
    """What nobody reads any more; the framework wants a response all the same."""
    return Response(status_code=GONE)


async def _bug(request: Request, error: Exception) -> Response:
    """The response to what nobody has foreseen; the framework raises the error once more, and the guard logs it."""
    return refusal_response(BUG, request.scope[KEY])


async def _of_framework(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: paths that it does not have, and methods."""
    assert isinstance(error, HTTPException)
    allow = _allowed(request)
    message = f"this path answers to {allow}" if allow else "there is no such path"
    headers = {"Allow": allow} if allow else {}
    refusal = Refusal(error.status_code, CODES.get(error.status_code, "refused"), message, headers=headers)
    return refusal_response(refusal, request.scope[KEY])


def _allowed(request: Request) -> str:
    """All methods that the path answers to; the framework knows those of one of its routes. Empty for no path."""
    matching = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in matching for method in route.methods}))
