"""Requests that are odd as HTTP, by the rows S09, S12, S13, S19 and S20 of the catalogue of bad input."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest

from served import GOOD, JSON, MARK, Running, posted, running
from small_application import Responses, connected, request

HOST = b"Host: localhost\r\n"
HEAD = b"POST /predict HTTP/1.1\r\n" + HOST + JSON.encode()
SMUGGLED = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"

# Bytes on a connection of their own: what is sent, the status, and the code of the refusal. All close the connection.
BYTES: Mapping[str, tuple[bytes, int, str]] = {
    "S09-told-10-mb": (HEAD + b"Content-Length: 10485760\r\n\r\n" + b"{", 413, "body_too_large"),
    "S09-told-more-than-any-number": (HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{", 400, "bad_request"),
    "S09-chunked": (
        *(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65_536 + b"\r\n") * 20,),
        *(413, "body_too_large"),
    ),
    "S09-hardly-more-than-frames": (
        *(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"1;" + b"x" * 4_000 + b"\r\n \r\n") * 20,),
        *(400, "bad_request"),
    ),
    "S13-header-of-100-kb": (b"GET /info HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 100_000, 431, "headers_too_large"),
    "S13-address-of-100-kb": (b"GET /" + b"a" * 100_000, 431, "headers_too_large"),
    "S13-3000-headers": (
        *(b"GET /info HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 3_000 + b"\r\n",),
        *(431, "headers_too_large"),
    ),
    "S13-line-in-header": (b"GET /info HTTP/1.1\r\n" + HOST + b"A: b\nc: d\re\r\n\r\n", 400, "bad_request"),
    "S13-folded": (b"GET /info HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n", 400, "bad_request"),
    "S13-nul-in-header": (b"GET /info HTTP/1.1\r\n" + HOST + b"A: \0\r\n\r\n", 400, "bad_request"),
    "S13-space-before-colon": (b"GET /info HTTP/1.1\r\n" + HOST + b"A : b\r\n\r\n", 400, "bad_request"),
    "S13-two-lengths": (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, "bad_request"),
    "S13-list-of-lengths": (HEAD + b"Content-Length: 2, 2\r\n\r\n{}", 400, "bad_request"),
    "S13-length-with-sign": (HEAD + b"Content-Length: +2\r\n\r\n{}", 400, "bad_request"),
    "S13-length-below-0": (HEAD + b"Content-Length: -1\r\n\r\n{}", 400, "bad_request"),
    "S13-length-with-chunked": (
        *(HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,),
        *(400, "bad_request"),
    ),
    "S13-unknown-coding": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400, "bad_request"),
    "S13-chunk-that-is-none": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_request"),
    "S13-two-hosts": (b"GET /info HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400, "bad_request"),
    "S13-no-host": (b"GET /info HTTP/1.1\r\n\r\n", 400, "bad_request"),
    "S13-no-http": (MARK.encode() + b"\r\n\r\n", 400, "bad_request"),
    "S20-http-2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
    "S20-tls": (b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03" + bytes(range(200)), 400, "bad_request"),
    "S20-http-3.0": (b"GET /info HTTP/3.0\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "S20-http-0.9": (b"GET /info\r\n\r\n", 400, "bad_request"),
    "S20-proxy": (b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
    "S20-unknown-method": (b"FORGE /info HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
}

# Odd, and answered: what is sent, the status, and headers that the answer has.
ODD: Mapping[str, tuple[bytes, int, dict[str, str]]] = {
    "S20-range": (request("/page/app.js", headers="Range: bytes=0-1\r\n"), 200, {}),
    "S20-many-ranges": (request("/", headers=f"Range: bytes={'0-1,' * 5000}0-1\r\n"), 200, {}),
    "S20-upgrade": (request("/healthz", headers="Connection: Upgrade\r\nUpgrade: websocket\r\n"), 200, {}),
    "S20-websocket": (
        *(request("/predict", headers="Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n"),),
        *(405, {"allow": "POST"}),
    ),
    "S20-http-2-by-upgrade": (
        *(posted("/predict", {"text": GOOD}, f"{JSON}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"),),
        *(200, {}),
    ),
    "S20-http-1.0": (b"GET /healthz HTTP/1.0\r\n\r\n", 200, {"connection": "close"}),
    "S20-http-1.0-keep-alive": (b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, {}),
    "S20-unknown-expectation": (request("/healthz", headers="Expect: 200-ok\r\n"), 200, {}),
    "S20-trace": (request("/info", "TRACE"), 405, {"allow": "GET, HEAD"}),
    "S20-options-of-all": (request("*", "OPTIONS"), 404, {}),
    "S20-head": (request("/healthz", "HEAD"), 200, {}),
}

ALLOWED = {
    "/predict": "POST",
    "/predict/batch": "POST",
    "/explain": "POST",
    "/": "GET, HEAD, POST",
    "/invocations": "POST",
    "/v2/models/best_model/infer": "POST",
    "/info": "GET, HEAD",
    "/metrics": "GET, HEAD",
    "/healthz": "GET, HEAD",
    "/readyz": "GET, HEAD",
    "/openapi.json": "GET, HEAD",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
WRONG = [(path, method) for path, method in product(ALLOWED, METHODS) if method not in ALLOWED[path].split(", ")]

NOWHERE = (
    *("/nothing", f"/{MARK}", "/predict/", "//predict", "/predict//batch", "/Predict", "/predict%00", "/predict;a=b"),
    *("/../etc/passwd", "/page/../app.py", "/page/../../etc/passwd", "/page/%2e%2e/%2e%2e/etc/passwd", "/page/"),
    *("/page/..%2f..%2fetc%2fpasswd", "/page/%252e%252e%252fapp.py", "/page/..\\app.py", "/page//etc/passwd"),
    *("/page/%00index.html", "/page/index.html%00", "/page/.", "/page/..", "/%c0%ae%c0%ae/", "/%ff", "/.git/config"),
    *("/v2/models/other", "/v2/models/..%2f..", "/v2/models/best_model/versions/1", "/redoc", "/static/app.js"),
)

HOSTS = {
    "S19-foreign": ("attacker.example", 421),
    "S19-foreign-with-port": ("attacker.example:8000", 421),
    "S19-begins-alike": ("localhost.attacker.example", 421),
    "S19-ends-alike": ("attacker-localhost", 421),
    "S19-user": ("localhost@attacker.example", 421),
    "S19-foreign-address": ("93.184.216.34", 421),
    "S19-unspecified": ("0.0.0.0", 421),
    "S19-empty": ("", 421),
    "S19-number": ("2130706433", 421),
    "S19-own": ("localhost", 200),
    "S19-own-address": ("127.0.0.1:9", 200),
    "S19-own-in-capitals": ("LOCALHOST.", 200),
    "S19-own-of-ipv6": ("[::1]:9", 200),
}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_are_refused(server: Running, name: str) -> None:
    """What is too large, can be read in two ways or is no HTTP gets one refusal, and nothing behind it is read."""
    sent, status, code = BYTES[name]
    with connected(server.port, 20) as connection:
        connection.sendall(sent)
        replies = Responses(connection)
        got, _, body = replies.next()
        assert (got, code.encode() in body) == (status, True), body
        assert MARK.encode() not in body
        assert replies.ended()


@pytest.mark.parametrize("name", ODD)
def test_odd_protocols_get_a_sane_answer(server: Running, name: str) -> None:
    """What other protocols and versions may ask of HTTP is answered, or not taken up."""
    sent, status, headers = ODD[name]
    with connected(server.port) as connection:
        connection.sendall(sent)
        got, found, _ = Responses(connection).next(with_body=not sent.startswith(b"HEAD"))
    assert got == status
    assert headers.items() <= found.items()


def test_large_bodies_are_refused_before_they_are_sent(server: Running) -> None:
    """S09, S20: who asks first whether to send is told no; who sends without asking is told at once and cut off."""
    with connected(server.port) as connection:
        connection.sendall(HEAD + b"Content-Length: 10485760\r\nExpect: 100-continue\r\n\r\n")
        assert Responses(connection).next()[0] == 413
    with connected(server.port) as connection:
        body = b'{"text": "' + MARK.encode() + b'"}'
        connection.sendall(HEAD + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body))
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert Responses(connection).next()[0] == 200


def test_a_length_that_lies_does_no_harm(server: Running) -> None:
    """S09: a body longer than told is read as what comes next, and refused as that."""
    with connected(server.port) as connection:
        connection.sendall(HEAD + b'Content-Length: 13\r\n\r\n{"text": "a"}' + MARK.encode() + b"\r\n\r\n")
        replies = Responses(connection)
        assert replies.next()[0] == 200
        assert replies.next()[0] == 400
        assert replies.ended()


@pytest.mark.parametrize(("path", "method"), WRONG)
def test_wrong_methods_are_told_the_right_ones(server: Running, path: str, method: str) -> None:
    """S12: 405 with all that the path answers to, and never a change of anything."""
    with connected(server.port) as connection:
        connection.sendall(request(path, method, JSON, b"{}"))
        status, headers, _ = Responses(connection).next(with_body=method != "HEAD")
    assert status == 405
    assert set(headers["allow"].split(", ")) == set(ALLOWED[path].split(", "))


def test_paths_that_lead_nowhere_are_not_found(server: Running) -> None:
    """S12, S28: 404 for whatever is no route; dots, slashes and their codes lead to no file."""
    for path, method in product(NOWHERE, ("GET", "POST")):
        reply = server.send(request(path, method, JSON, b"{}" if method == "POST" else b""))
        assert reply.status in (404, 405), (path, reply)
        assert b"root:" not in reply.body
        assert b"import" not in reply.body


def test_addresses_may_be_whole(server: Running) -> None:
    """S12: an absolute URI leads to its path, whatever host it names; what is neither is refused."""
    assert server.get("http://localhost/healthz").status == 200
    assert server.get(f"http://localhost/{MARK}").status == 404
    assert server.get("http:///healthz").status in (400, 404)
    assert server.get("healthz").status == 400


@pytest.mark.parametrize("name", HOSTS)
def test_foreign_names_are_not_answered(server: Running, name: str) -> None:
    """S19: a page elsewhere that has its own name lead to this machine gets nothing but 421."""
    host, status = HOSTS[name]
    for path in ("/info", "/", "/metrics", "/openapi.json"):
        reply = server.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert reply.status == status
        assert status == 200 or reply.json["code"] == "foreign_host"


def test_other_origins_get_no_leave(server: Running) -> None:
    """S19: there are no CORS headers, neither before a request nor with its answer."""
    origin = "Origin: https://attacker.example\r\n"
    wanted = f"{origin}Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n"
    before = server.send(request("/predict", "OPTIONS", wanted))
    answers = [before, server.post("/predict", {"text": MARK}, JSON + origin), server.get("/info", origin)]
    assert [one.status for one in answers] == [405, 200, 200]
    assert not [name for one in answers for name in one.headers if name.startswith("access-control")]


def test_bodies_that_never_come_are_not_waited_for(engines: Path) -> None:
    """S09: a length larger than what is sent is answered with 408 after the deadline, and the connection closed."""
    with running(engines, "--limit", "receive_s=1") as server:
        began = time.monotonic()
        reply = server.send(HEAD + b'Content-Length: 50\r\n\r\n{"text": "' + MARK.encode())
        assert (reply.status, reply.json["code"]) == (408, "too_slow")
        assert 0.9 < time.monotonic() - began < 10
