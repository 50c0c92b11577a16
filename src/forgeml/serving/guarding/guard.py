"""The wall around all routes: who may ask, what may be asked, how errors look, and what is told of it."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.responses import Response

from forgeml.serving.guarding.bodies import Receive, read_body
from forgeml.serving.guarding.exchange import GONE, Exchange
from forgeml.serving.guarding.hosts import Hosts
from forgeml.serving.guarding.keys import Keys
from forgeml.serving.limits import Limits
from forgeml.serving.refusals import ClientGone, Refusal
from forgeml.serving.strict_json import render_json

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH = frozenset({"/healthz", "/readyz", "/health", "/ping", "/v2/health/live", "/v2/health/ready"})
"""Asked by machines that have no key and may know the server by its address only."""

UNAUTHORIZED = {"WWW-Authenticate": 'Bearer, Basic realm="forgeml", charset="UTF-8"'}

BUG = Refusal(500, "bug", "an error of the server; its log tells more under this request_id")


class Telling(Protocol):
    """Who is told of requests."""

    def began(self, exchange: Exchange) -> None:
        """A request has come."""

    def ended(self, exchange: Exchange) -> None:
        """It is answered, refused, or its client has gone."""


@dataclass(frozen=True)
class Rules:
    """What is let in."""

    keys: Keys
    hosts: Hosts
    limits: Limits


class Guard:
    """An ASGI application around the routes."""

    def __init__(self, routes: Application, rules: Rules, telling: Telling) -> None:
        """Stand in front of the routes."""
        self._routes, self._rules, self._telling = routes, rules, telling

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; whatever happens, it ends with one response or with its client gone."""
        exchange = Exchange.of(scope)
        self._telling.began(exchange)

        async def marked(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_marks(exchange)]
            await send(message)

        try:
            self._admit(exchange, scope)
            if exchange.method == "POST":
                exchange.body = await read_body(exchange.headers, receive, self._rules.limits)
            await self._routes(scope, receive, marked)
        except Refusal as refusal:
            await refusal_response(refusal, exchange)(scope, receive, marked)
        except ClientGone:
            exchange.status = GONE
        except Exception:
            log.exception("bug", extra={"facts": {"request_id": exchange.request_id}})
            if exchange.status == GONE:
                await refusal_response(BUG, exchange)(scope, receive, marked)
        finally:
            self._telling.ended(exchange)

    def _admit(self, exchange: Exchange, scope: Scope) -> None:
        """Raise what is told to those who are not let in."""
        if scope["path"] in HEALTH:
            return
        if not self._rules.hosts.allow(exchange.header(b"host")):
            message = "this server does not go by that name; it is started with --allowed-host for other names"
            raise Refusal(421, "foreign_host", message, "Host")
        if not self._rules.keys and not _is_local(scope.get("client")):
            message = "without keys only this machine is answered; start the server with --keys"
            raise Refusal(401, "no_key", message, "Authorization", UNAUTHORIZED)
        if self._rules.keys and not self._rules.keys.accept(exchange.header(b"authorization")):
            message = "a key is wanted: Authorization: Bearer KEY"
            raise Refusal(401, "no_key", message, "Authorization", UNAUTHORIZED)


def _is_local(client: tuple[str, int] | None) -> bool:
    """Whether a client is on this machine; one without an address has come through a socket of its file system."""
    if client is None:
        return True
    try:
        return ipaddress.ip_address(client[0].partition("%")[0]).is_loopback
    except ValueError:
        return False


def refusal_response(refusal: Refusal, exchange: Exchange) -> Response:
    """The one response that all refusals have."""
    exchange.code = refusal.code
    body = render_json(refusal.as_dict(exchange.request_id))
    return Response(body, refusal.status, dict(refusal.headers), "application/json")


def _marks(exchange: Exchange) -> Iterator[tuple[bytes, bytes]]:
    """What every response says."""
    yield b"x-request-id", exchange.request_id.encode()
    yield b"x-content-type-options", b"nosniff"
    if exchange.model_version is not None:
        yield b"x-model-version", exchange.model_version.encode()
