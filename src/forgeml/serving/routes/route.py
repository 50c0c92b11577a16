"""What a route is: a method and a path, who answers, and what the OpenAPI document says of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response

from forgeml.serving.guarding.exchange import KEY, Exchange
from forgeml.serving.strict_json import render_json

Handler = Callable[[Exchange, Request], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """One operation of the server."""

    method: str
    path: str
    """With names in braces for what varies."""
    handler: Handler
    tag: str
    summary: str
    shape: str = ""
    """The route whose shapes this one has, where that is another."""
    shown: bool = True
    """Whether it stands in the OpenAPI document."""

    def endpoint(self) -> Callable[[Request], Awaitable[Response]]:
        """The handler as the framework calls it."""
        path, handler = self.path, self.handler

        async def answer(request: Request) -> Response:
            exchange: Exchange = request.scope[KEY]
            exchange.route = path
            return await handler(exchange, request)

        return answer


def as_json(value: Any, status: int = 200) -> Response:  # noqa: ANN401 whatever JSON can hold
    """A response with this as its body."""
    return Response(render_json(value), status, media_type="application/json")
