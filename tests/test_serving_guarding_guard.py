"""The wall around all routes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from asgi import JSON, Answered, ask
from forgeml.serving.guarding.exchange import KEY, Exchange
from forgeml.serving.guarding.guard import HEALTH, Guard, Rules, Scope, Send
from forgeml.serving.guarding.hosts import Hosts
from forgeml.serving.guarding.keys import Keys
from forgeml.serving.limits import Limits
from forgeml.serving.refusals import ClientGone, Refusal

SECRET = "a-key-of-many-characters"
Inner = Callable[[Scope, object, Send], Awaitable[None]]


class _Told:
    def __init__(self) -> None:
        self.began_with: list[Exchange] = []
        self.ended_with: list[Exchange] = []

    def began(self, exchange: Exchange) -> None:
        self.began_with.append(exchange)

    def ended(self, exchange: Exchange) -> None:
        self.ended_with.append(exchange)


async def _echo(scope: Scope, receive: object, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope[KEY].body})


def _guard(inner: Inner = _echo, keys: str = "", told: _Told | None = None) -> Guard:
    hosts = Hosts(frozenset({"api.example.com"}), any_address=False)
    return Guard(inner, Rules(Keys.read(None, keys), hosts, Limits()), told or _Told())  # type: ignore[arg-type]


async def _ask(guard: Guard, method: str = "POST", path: str = "/predict", **more: object) -> Answered:
    answered = await ask(guard, method, path, b"{}", **more)  # type: ignore[arg-type]
    assert answered is not None
    return answered


async def test_a_good_request_goes_through() -> None:
    """Its body is read, its response is marked with its name, and it is told of once."""
    told = _Told()
    answered = await _ask(_guard(told=told), headers=JSON | {"X-Request-ID": "mine"})
    assert (answered.status, answered.body, answered.headers["x-request-id"]) == (200, b"{}", "mine")
    assert answered.headers["x-content-type-options"] == "nosniff"
    assert [one.status for one in told.ended_with] == [200]
    assert told.began_with == told.ended_with


async def test_foreign_names_are_refused() -> None:
    """A Host that is not this server's is refused whatever the route, but for those of health."""
    for host, status in (("api.example.com", 200), ("evil.example", 421), ("", 421)):
        assert (await _ask(_guard(), headers=JSON | {"host": host})).status == status
    for path in HEALTH:
        assert (await _ask(_guard(), "GET", path, headers={"host": "10.0.0.1"})).status == 200


async def test_without_a_key_nothing_is_told() -> None:
    """All routes but those of health want a key, in one shape of refusal, and no answer names what was given."""
    guard = _guard(keys=SECRET)
    for headers in (
        {},
        {"authorization": "Bearer wrong-but-long-enough"},
        {"authorization": f"Bearer {SECRET.upper()}"},
    ):
        for path in ("/", "/predict", "/metrics", "/info", "/docs", "/v2", "/nowhere", "/healthz/"):
            answered = await _ask(guard, "GET", path, headers=JSON | headers)
            assert (answered.status, answered.json["code"]) == (401, "no_key")
            assert "wrong" not in answered.body.decode()
            assert "Bearer" in answered.headers["www-authenticate"]
    assert (await _ask(guard, headers=JSON | {"authorization": f"Bearer {SECRET}"})).status == 200
    for path in HEALTH:
        assert (await _ask(guard, "GET", path)).status == 200


async def test_without_keys_only_this_machine_is_answered() -> None:
    """Behind a server that listens to all, a client of another machine gets nothing but health."""

    async def from_elsewhere(scope: Scope, receive: Any, send: Send) -> None:
        await _guard()({**scope, "client": ("10.0.0.7", 1234)}, receive, send)

    for path, status in (("/predict", 401), ("/healthz", 200)):
        answered = await ask(from_elsewhere, "GET", path)
        assert answered is not None
        assert answered.status == status


async def test_refusals_have_one_shape() -> None:
    """What a route refuses is told with code, message, field and the request's name, and with its headers."""

    async def refusing(scope: Scope, receive: object, send: Send) -> None:
        raise Refusal(413, "too_many", "fewer are wanted", "texts", {"Retry-After": "1"})

    answered = await _ask(_guard(refusing), headers=JSON | {"X-Request-ID": "mine"})
    assert (answered.status, answered.headers["retry-after"]) == (413, "1")
    expected = {"code": "too_many", "message": "fewer are wanted", "field": "texts", "request_id": "mine"}
    assert answered.json == expected


async def test_a_bug_is_told_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    """An error of the server is a 500 that says nothing of its inside; the log has it, under the request's name."""

    async def failing(scope: Scope, receive: object, send: Send) -> None:
        raise ZeroDivisionError("a secret")

    with caplog.at_level(logging.ERROR):
        answered = await _ask(_guard(failing))
    assert (answered.status, answered.json["code"]) == (500, "bug")
    assert "secret" not in answered.body.decode()
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].facts["request_id"] == answered.json["request_id"]  # type: ignore[attr-defined]


async def test_a_client_that_goes_gets_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is sent to who has gone, and that is nobody's error."""

    async def left(scope: Scope, receive: object, send: Send) -> None:
        raise ClientGone

    told = _Told()
    assert await ask(_guard(left, told=told), "POST", "/predict", b"{}") is None
    assert [one.status for one in told.ended_with] == [499]
    assert not caplog.records


async def test_no_other_origin_is_let_in() -> None:
    """A page elsewhere gets no header that would let it read an answer, and its question beforehand is refused."""
    answered = await _ask(_guard(), headers=JSON | {"origin": "http://evil.example"})
    assert not [name for name in answered.headers if name.startswith("access-control")]
