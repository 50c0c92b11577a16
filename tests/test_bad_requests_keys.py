"""Who may ask, what is told, and what cannot be asked: rows S18 and S26 to S28 of the catalogue of bad input."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from served import JSON, MARK, Running, label_values, posted, running
from small_application import request

KEY = f"A-Key-of-{MARK}-and-more"
ASKED = {"/predict": {"text": MARK}, "/predict/batch": {"texts": [MARK]}, "/explain": {"text": MARK}}
ASKED |= {"/": {"inputs": MARK}, "/invocations": {"inputs": [MARK]}}
GUARDED = (
    "/",
    "/page/app.js",
    "/info",
    "/metrics",
    "/version",
    "/docs",
    "/openapi.json",
    "/v2",
    "/v2/models/best_model",
)
OPEN = ("/healthz", "/readyz", "/health", "/ping", "/v2/health/live", "/v2/health/ready")

WRONG: Mapping[str, tuple[str, str]] = {
    "S18-no-key": ("", ""),
    "S18-wrong-key": ("", f"Authorization: Bearer {KEY[:-1]}x\r\n"),
    "S18-part-of-the-key": ("", f"Authorization: Bearer {KEY[:-1]}\r\n"),
    "S18-more-than-the-key": ("", f"Authorization: Bearer {KEY}{KEY}\r\n"),
    "S18-other-case": ("", f"Authorization: Bearer {KEY.lower()}\r\n"),
    "S18-query": (f"?key={KEY}&api_key={KEY}&access_token={KEY}", ""),
    "S18-other-header": ("", f"X-API-Key: {KEY}\r\nCookie: key={KEY}\r\nProxy-Authorization: Bearer {KEY}\r\n"),
    "S18-bare": ("", f"Authorization: {KEY}\r\n"),
    "S18-other-kind": ("", f"Authorization: Digest {KEY}\r\n"),
    "S18-key-as-user": ("", f"Authorization: Basic {base64.b64encode(f'{KEY}:'.encode()).decode()}\r\n"),
    "S18-no-base64": ("", f"Authorization: Basic {KEY}\r\n"),
    "S18-latin-1": ("", "Authorization: Bearer \u00e9\u00e9\u00e9\r\n"),
    "S18-empty": ("", "Authorization: \r\n"),
    "S18-long": ("", f"Authorization: Bearer {MARK * 6_000}\r\n"),
    "S18-two-headers": ("", f"Authorization: Bearer {KEY}\r\nAuthorization: Bearer wrong-{MARK}-wrong\r\n"),
}


@pytest.fixture(scope="module")
def guarded(engines: Path) -> Iterator[Running]:
    """A server that wants a key."""
    with running(engines, "--docs", key=KEY) as server:
        yield server


@pytest.mark.parametrize("name", WRONG)
def test_every_route_wants_a_key(guarded: Running, name: str) -> None:
    """S18: 401 of one shape for each wrong way to show a key; nothing of it comes back or into the log."""
    query, headers = WRONG[name]
    sent = [request(path + query, headers=headers) for path in GUARDED]
    sent += [request(f"/{MARK}", headers=headers), request("/predict", "PUT", headers=headers)]
    sent += [posted(path + query, body, JSON + headers) for path, body in ASKED.items()]
    sent += [posted("/predict", b"not json", headers), posted("/predict", b" " * 2_000_000, JSON + headers)]
    replies = [guarded.send(one) for one in sent]
    assert {reply.status for reply in replies} == {401}
    shapes = {json.dumps({**reply.json, "request_id": ""}) for reply in replies}
    assert len(shapes) == 1
    assert MARK not in shapes.pop()
    assert {reply.headers["www-authenticate"] for reply in replies} == {
        'Bearer, Basic realm="forgeml", charset="UTF-8"'
    }
    guarded.check()


def test_keys_of_a_megabyte_are_refused_as_headers(guarded: Running) -> None:
    """S18: a key that is larger than all headers may be is refused before anything compares it."""
    began = time.monotonic()
    reply = guarded.send(request("/info", headers=f"Authorization: Bearer {'x' * 1_000_000}\r\n"))
    assert reply.status == 431
    assert time.monotonic() - began < 10


def test_health_is_told_to_all(guarded: Running) -> None:
    """S18: probes have no key, and may know the server by another name."""
    for path in OPEN:
        assert guarded.send(f"GET {path} HTTP/1.1\r\nHost: 10.0.0.9\r\n\r\n".encode()).status == 200


def test_the_key_opens_every_route(guarded: Running) -> None:
    """S18: as Bearer, or as the password that a browser asks for; a key in the query does no harm beside it."""
    password = base64.b64encode(f"anybody:{KEY}".encode()).decode()
    for headers in (f"Authorization: Bearer {KEY}\r\n", f"Authorization: bAsIc {password}\r\n"):
        for path in GUARDED:
            assert guarded.send(request(f"{path}?key={KEY}", headers=headers)).status == 200, path
        for path, body in ASKED.items():
            assert guarded.send(posted(path, body, JSON + headers)).status == 200, path
    guarded.check()


def test_labels_of_the_counts_stay_those_of_the_server(guarded: Running) -> None:
    """S26: whatever paths, methods, names, keys and headers are sent, no count has a label of them."""
    guarded.get("/nothing")
    known = label_values(guarded.counts())
    paths = [f"/{MARK}{number}" for number in range(20)] + [f"/page/{MARK}", f"/v2/models/{MARK}", "/%0a%22%7d"]
    for path, method in product(paths, ("GET", "POST", "PUT", "PROPFIND")):
        headers = f"Authorization: Bearer {KEY}\r\nReferer: {MARK}\r\nUser-Agent: {MARK}\r\n{JSON}"
        guarded.send(request(path, method, headers, b"{}" if method == "POST" else b""))
        guarded.send(request(path, method, f"Authorization: Bearer {MARK * 8}\r\n"))
    found = label_values(guarded.counts())
    assert MARK not in str(found)
    new = {(label, value) for label, values in found.items() for value in values - known.get(label, set())}
    assert {label for label, _ in new} <= {"route", "status", "code"}
    assert len(new) < 10
    document = guarded.get("/openapi.json").json
    known_routes = {*document["paths"], "other", "/page/{name}", "/docs", "/openapi.json", "/"}
    assert found["route"] <= known_routes
    assert all(re.fullmatch(r"[1-5]\d\d", status) for status in found["status"])


def test_what_looks_like_a_line_of_the_log_is_none(guarded: Running) -> None:
    """S27: no line of the log begins where a client says, and no escape code gets into it."""
    line = '{"time": "2030-01-01", "level": "error", "event": "forged"}'
    # Twice, as a line of what was sent before may be on its way still.
    before = [len(guarded.said()) for _ in range(2)][-1]
    authorized = f"Authorization: Bearer {KEY}\r\n"
    hostile = [f"\\n{line}", "\x1b[31mred\x1b[0m", f"a\r\n{line}\r\n", "\u2028forged\u2029", "%0d%0aforged"]
    for text in hostile:
        guarded.send(posted("/predict", {"text": text}, JSON + authorized))
        guarded.send(posted("/predict", {text: text}, JSON + authorized))
    for path in ("/%0a%7b%22event%22:%22forged%22%7d", "/%1b%5b31mforged", "/page/%0d%0aforged"):
        guarded.send(request(path, headers=authorized))
    for name in ("forged event", '","event":"forged', "a" * 65, "\x7f", "forged\t1"):
        guarded.send(request("/info", headers=f"{authorized}X-Request-ID: {name}\r\n"))
    said = guarded.said()[before:]
    # A header with a control character is refused before it gets as far as the log; the last is the look at it.
    assert len(said) == len(hostile) * 2 + 3 + 4 + 1
    assert {one["event"] for one in said} == {"request"}
    assert all(re.fullmatch(r"[0-9a-f]{32}", one["request_id"]) for one in said)
    log = guarded.log.read_text(encoding="utf-8")
    assert "forged" not in log
    assert log.isascii()
    assert all(character.isprintable() for character in log.replace("\n", ""))


def test_a_request_may_have_a_name_of_its_clients(guarded: Running) -> None:
    """S27: a plain one comes back and stands in the log; it is how a request is found there."""
    reply = guarded.get("/info", "X-Request-ID: order-66.b_1\r\n")
    assert reply.headers["x-request-id"] == "order-66.b_1"
    assert guarded.said()[-2]["request_id"] == "order-66.b_1"


def test_nothing_takes_a_path(guarded: Running) -> None:
    """S28: no parameter and no field names a file, a folder or an address to be read or written."""
    document = guarded.get("/openapi.json").json
    names = set(_names(document["components"]["schemas"]))
    names |= {one["name"] for path in document["paths"].values() for way in path.values() for one in _parameters(way)}
    assert len(names) > 20
    assert [name for name in names if re.search(r"path|file|folder|dir|uri|url|source|output_", name)] == []
    for body in ({"text": "file:///etc/passwd"}, {"text": "/etc/passwd"}, {"text": "http://127.0.0.1:1/"}):
        assert guarded.post("/predict", body).status == 200


def _names(schemas: Any) -> Iterator[str]:
    for schema in schemas.values():
        yield from schema.get("properties", {})


def _parameters(operation: dict[str, Any]) -> list[dict[str, Any]]:
    return operation.get("parameters", [])
