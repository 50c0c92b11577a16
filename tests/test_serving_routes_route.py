"""What a route is."""

from __future__ import annotations

from fastapi import Request, Response

from forgeml.serving.guarding.exchange import KEY, Exchange
from forgeml.serving.routes.route import Route, as_json


async def test_the_handler_gets_what_is_known() -> None:
    """The handler is given the exchange, which from then on knows the path as the table has it."""
    exchange = Exchange("id", "GET", {})

    async def handler(given: Exchange, request: Request) -> Response:
        assert given is exchange
        return as_json({"path": request.url.path}, 201)

    route = Route("GET", "/things/{name}", handler, "things", "A thing.")
    scope = {"type": "http", "method": "GET", "path": "/things/one", "headers": [], KEY: exchange}
    response = await route.endpoint()(Request(scope | {"query_string": b"", "server": ("localhost", 80)}))
    assert (response.status_code, response.body) == (201, b'{"path":"/things/one"}')
    assert exchange.route == "/things/{name}"
