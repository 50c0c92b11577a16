from __future__ import annotations

import json
import socket
import struct
import time

import pytest

from forgeml.serving.limits import Limits
from small_application import Responses, SmallApplication, ask, connected, request, served

SOON = Limits(receive_s=0.3, send_s=0.5, idle_s=0.6)
CHUNKED = "Transfer-Encoding: chunked\r\n"
H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\n"


def code(body: bytes) -> str:
    """Code of an error; its other keys must be there."""
    error = json.loads(body)
    assert set(error) == {"code", "message", "field", "request_id"}
    assert len(error["request_id"]) == 32
    return str(error["code"])


def wait_until(reached: object, seconds: float = 10.0) -> bool:
    """Whether it was reached in time."""
    until = time.monotonic() + seconds
    while not reached():  # type: ignore[operator]
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize(
    ("method", "headers", "body"),
    [
        ("GET", "", b""),
        ("POST", "", b"abc"),
        ("POST", "", b"x" * 700_000),
        ("POST", CHUNKED, b"3\r\nabc\r\n2;a=b\r\nde\r\n0\r\nTrailer: x\r\n\r\n"),
        ("POST", "Range: bytes=0-1\r\n", b"abc"),
        ("POST", H2C, b"abc"),
        ("POST", H2C, b"x" * 700_000),
        ("POST", H2C + CHUNKED, b"3\r\nabc\r\n0\r\n\r\n"),
        ("GET", "Connection: Upgrade\r\nUpgrade: websocket\r\n", b""),
    ],
)
def test_bodies_arrive_whole(method: str, headers: str, body: bytes) -> None:
    """A body arrives however it is framed, an upgrade that is asked for is not made, and the connection goes on."""
    size = len(body) if CHUNKED not in headers else {True: 5, False: 3}[b"de" in body]
    with served(SmallApplication()) as port, connected(port) as connection:
        responses = Responses(connection)
        for _ in range(2):
            connection.sendall(request("/a?b=c", method, headers, body))
            status, head, said = responses.next()
            assert (status, json.loads(said)) == (
                200,
                {"method": method, "path": "/a", "query": "b=c", "bytes": size},
            )
            assert "date" in head
            assert "server" not in head


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("//", "//"),
        ("/..//../etc", "/..//../etc"),
        ("/%2e%2e/x", "/../x"),
        ("/%ff%00", "/�\0"),
        ("http://localhost/x?y", "/x"),
        ("http://elsewhere", "/"),
        ("*", "*"),
        ("/x#y", "/x"),
    ],
)
def test_odd_addresses_reach_the_application(target: str, path: str) -> None:
    """Whatever can be meant by an address, the application is asked for it, and nothing fails."""
    with served(SmallApplication()) as port:
        status, _, body = ask(port, request(target))
    assert (status, json.loads(body)["path"]) == (200, path)


BAD = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "unknown method": request(method="HELLO"),
    "proxy": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "no address": b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "raw bytes in the address": "GET /é HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "folded header": request(headers="A: b\r\n c\r\n"),
    "newline in a header": request(headers="A: b\nC: d\r\n"),
    "return in a header": request(headers="A: b\rC: d\r\n"),
    "NUL in a header": request(headers="A: b\0c\r\n"),
    "space before the colon": request(headers="A : b\r\n"),
    "two lengths": request("/", "POST", "Content-Length: 3\r\nContent-Length: 4\r\n"),
    "length twice": request("/", "POST", "Content-Length: 3, 3\r\n"),
    "negative length": request("/", "POST", "Content-Length: -3\r\n"),
    "endless length": request("/", "POST", f"Content-Length: {'9' * 40}\r\n"),
    "length and chunks": request("/", "POST", CHUNKED + "Content-Length: 3\r\n"),
    "unknown coding": request("/", "POST", "Transfer-Encoding: gzip, chunked\r\n"),
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk without a size": request("/", "POST", CHUNKED, b"zz\r\nabc"),
    "chunk longer than its size": request("/", "POST", CHUNKED, b"1\r\nabc\r\n0\r\n\r\n"),
    "nothing but frames": request("/", "POST", CHUNKED, b"1;" + b"e" * 60_000),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_not_http_is_refused(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is malformed, or could be read in two ways, gets 400 in the one shape and the end of the connection."""
    application = SmallApplication()
    with served(application) as port, connected(port) as connection:
        connection.sendall(data)
        responses = Responses(connection)
        status, head, body = responses.next()
        assert (status, code(body), head["connection"]) == (400, "bad_request", "close")
        assert responses.ended()
    assert [refusal.status for refusal in application.refusals] == [400]
    assert caplog.records == []


@pytest.mark.parametrize(
    "data",
    [
        request(headers=f"A: {'x' * 100_000}\r\n"),
        request("/" + "x" * 100_000),
        request(headers="A: b\r\n" * 3_000),
        request(headers="A: b\r\n" * 100),
        b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000,
        request("/", "POST", CHUNKED, b"0\r\nA: " + b"x" * 40_000 + b"\r\n\r\n"),
    ],
    ids=["long header", "long address", "3,000 headers", "one too many", "never ends", "trailer"],
)
def test_large_heads_are_refused(data: bytes) -> None:
    """A head beyond the limits gets 431 without being read to its end, and the connection ends."""
    with served(SmallApplication()) as port, connected(port) as connection:
        connection.sendall(data)
        responses = Responses(connection)
        status, _, body = responses.next()
        assert (status, code(body)) == (431, "headers_too_large")
        assert responses.ended()


def test_heads_at_the_limits_pass() -> None:
    """As many headers as allowed, and as many bytes, are no reason to refuse."""
    line = len("/" + "Host" + "localhost") + 4
    with served(SmallApplication()) as port:
        assert ask(port, request(headers="A: b\r\n" * 99))[0] == 200
        assert ask(port, request(headers=f"A: {'x' * (32_768 - line - 5)}\r\n"))[0] == 200
        assert ask(port, request(headers=f"A: {'x' * (32_768 - line - 4)}\r\n"))[0] == 431


@pytest.mark.parametrize(
    "data",
    [
        b"G",
        b"GET / HTTP/1.1\r\nHos",
        request("/", "POST", "Content-Length: 5\r\n") + b"abc",
        request("/", "POST", CHUNKED),
    ],
    ids=["first byte", "half a head", "half a body", "no chunk"],
)
def test_slow_requests_are_refused(data: bytes) -> None:
    """A request that is not whole in time gets 408, and the connection ends."""
    application = SmallApplication(SOON)
    with served(application) as port, connected(port) as connection:
        connection.sendall(data)
        responses = Responses(connection)
        status, _, body = responses.next()
        assert (status, code(body)) == (408, "too_slow")
        assert responses.ended()
    assert application.gone == 0


def test_a_trickle_does_not_extend_the_time() -> None:
    """A byte from time to time does not keep a request alive beyond its time."""
    with served(SmallApplication(SOON)) as port, connected(port) as connection:
        connection.settimeout(0.1)
        said = b""
        begun = time.monotonic()
        while not said and time.monotonic() - begun < 10:
            connection.sendall(b"G" if time.monotonic() == begun else b"E")
            try:
                said = connection.recv(1000)
            except TimeoutError:
                continue
    assert said.startswith((b"HTTP/1.1 408", b"HTTP/1.1 400"))


@pytest.mark.parametrize("before", [b"", b"\r\n\r\n", request()], ids=["nothing", "empty lines", "a request"])
def test_idle_connections_are_closed_quietly(before: bytes) -> None:
    """A connection on which nothing more comes is closed after a while without a word."""
    application = SmallApplication(SOON)
    with served(application) as port, connected(port) as connection:
        connection.sendall(before)
        responses = Responses(connection)
        if before.strip():
            assert responses.next()[0] == 200
        assert responses.ended()
        assert wait_until(lambda: application.open == 0)
    assert (application.refusals, application.gone) == ([], 0)


def test_pipelined_requests_are_answered_in_order() -> None:
    """Hundreds of requests sent at once, refused ones and ones with bodies among them, get their answers in order."""
    application = SmallApplication()
    wanted = []
    data = b""
    for number in range(400):
        kind = number % 4
        data += (
            request(f"/{number}"),
            request("/busy", "POST", body=b"x" * 50),
            request("/busy", "POST", CHUNKED, b"3\r\nabc\r\n0\r\n\r\n"),
            request(f"/{number}", "POST", body=b"x" * number),
        )[kind]
        wanted.append(f"/{number}" if kind in (0, 3) else "overloaded")
    with served(application) as port, connected(port) as connection:
        connection.sendall(data)
        responses = Responses(connection)
        said = [json.loads(responses.next()[2]) for _ in wanted]
    assert [one.get("path") or one["code"] for one in said] == wanted


def test_an_endless_pipeline_is_not_read_ahead() -> None:
    """Requests sent ahead of a slow one are left in the network: the client cannot send without end."""
    application = SmallApplication()
    with served(application) as port, connected(port) as connection:
        connection.settimeout(1.0)
        connection.sendall(request("/slow"))
        sent = 0
        many = request() * 10_000
        with pytest.raises(TimeoutError):
            while sent < 500_000_000:
                sent += connection.send(many)
        application.go_now()
    assert sent < 100_000_000


def test_a_bad_request_behind_a_good_one() -> None:
    """What is wrong with a later request is said after the earlier ones are answered."""
    with served(SmallApplication()) as port, connected(port) as connection:
        connection.sendall(request("/a") + request("/b") + b"nonsense\r\n\r\n")
        responses = Responses(connection)
        assert [responses.next()[0] for _ in range(3)] == [200, 200, 400]
        assert responses.ended()


def test_what_follows_the_last_request_is_ignored() -> None:
    """A client that asks to close gets its answer, whatever it sends after it."""
    with served(SmallApplication()) as port, connected(port) as connection:
        connection.sendall(request("/a", headers="Connection: close\r\n") + request("/b"))
        responses = Responses(connection)
        status, head, _ = responses.next()
        assert (status, head["connection"]) == (200, "close")
        assert responses.ended()


@pytest.mark.parametrize("headers", ["", CHUNKED], ids=["length", "chunks"])
def test_a_body_too_large_is_not_read_to_its_end(headers: str) -> None:
    """A client that sends 20 MB reads 413 rather than a reset, and then the end of the connection."""
    body = b"x" * 20_000_000
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if headers else body
    with served(SmallApplication()) as port, connected(port) as connection:
        connection.sendall(request("/early", "POST", headers, framed))
        responses = Responses(connection)
        assert responses.next()[0] == 413
        assert responses.ended()


def test_an_endless_body_is_cut_off() -> None:
    """A client that never stops sending is cut off after its answer."""
    with served(SmallApplication()) as port, connected(port) as connection:
        connection.sendall(request("/early", "POST", "Content-Length: 100000000000\r\n"))
        with pytest.raises(ConnectionError):
            for _ in range(10_000):
                connection.sendall(b"x" * 1_000_000)


def test_an_early_answer_to_a_short_body_keeps_the_connection() -> None:
    """A body within the limit that nobody wants is read and dropped, and the next request answered."""
    with served(SmallApplication()) as port, connected(port) as connection:
        responses = Responses(connection)
        for _ in range(3):
            connection.sendall(request("/early", "POST", "Content-Length: 200000\r\n"))
            assert responses.next()[0] == 413
            connection.sendall(b"x" * 200_000)


def test_continue_is_said_when_the_body_is_wanted() -> None:
    """A client that waits for leave to send its body gets it, and one whose request is refused gets the refusal."""
    with served(SmallApplication()) as port, connected(port) as connection:
        responses = Responses(connection)
        connection.sendall(request("/a", "POST", "Expect: 100-continue\r\nContent-Length: 3\r\n"))
        assert responses.next()[0] == 100
        connection.sendall(b"abc")
        assert json.loads(responses.next()[2])["bytes"] == 3
        connection.sendall(request("/early", "POST", "Expect: 100-continue\r\nContent-Length: 9000000\r\n"))
        assert responses.next()[0] == 413


def test_http_1_0_is_answered_and_closed() -> None:
    """A client of the older version needs no Host, gets its answer and the end of the connection."""
    with served(SmallApplication()) as port, connected(port) as connection:
        connection.sendall(b"GET /a HTTP/1.0\r\n\r\n")
        responses = Responses(connection)
        assert responses.next()[0] == 200
        assert responses.ended()


def test_a_refused_body_beyond_the_limit_ends_the_connection() -> None:
    """An overloaded server does not read a body on and on that it does not want."""
    body = b"x" * 3_000_000
    with served(SmallApplication()) as port, connected(port) as connection:
        connection.sendall(request("/busy", "POST", CHUNKED, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)))
        responses = Responses(connection)
        assert responses.next()[0] == 503
        assert responses.ended()


def test_a_slow_reader_is_cut_off() -> None:
    """A client that leaves its answer unread for too long loses the connection."""
    application = SmallApplication(SOON)
    with served(application) as port, connected(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(request("/large"))
        assert wait_until(lambda: application.open == 1)
        assert wait_until(lambda: application.open == 0)


def test_a_client_that_reads_on_is_not_cut_off() -> None:
    """A client that reads slowly but steadily gets its whole answer, however long that takes."""
    with served(SmallApplication(SOON)) as port, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 131_072)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", port))
        connection.sendall(request("/large", headers="Connection: close\r\n"))
        read = 0
        while data := connection.recv(131_072):
            read += len(data)
            time.sleep(0.05)
    assert read > 4_000_000


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize(
    "data",
    [b"GET / HT", request("/a", "POST", "Content-Length: 10\r\n", b""), request("/slow")],
    ids=["in the head", "in the body", "before the answer"],
)
def test_clients_that_leave_are_counted(data: bytes, reset: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A client that leaves is counted once, the application is told if it works for it, and no log is written."""
    application = SmallApplication()
    with served(application) as port:
        with connected(port) as connection:
            connection.sendall(data)
            assert wait_until(lambda: application.open == 1)
            time.sleep(0.1)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert wait_until(lambda: application.gone == 1)
        assert wait_until(lambda: application.open == 0)
    assert application.gone == 1
    assert len(application.left) == (0 if data.startswith(b"GET / HT") else 1)
    assert caplog.records == []


def test_clients_that_leave_in_the_middle_of_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    """Leaving while the answer is on its way is no error either."""
    application = SmallApplication()
    with served(application) as port:
        for _ in range(5):
            with connected(port) as connection:
                connection.sendall(request("/large") * 3)
                connection.recv(1000)
        assert wait_until(lambda: application.open == 0)
    assert caplog.records == []


def test_a_bug_gets_500_in_the_same_shape(caplog: pytest.LogCaptureFixture) -> None:
    """When the application raises, the client is told in the one shape, the log has the traceback, and others go on."""
    with served(SmallApplication()) as port:
        status, _, body = ask(port, request("/fails"))
        assert (status, code(body)) == (500, "internal")
        assert ask(port, request())[0] == 200
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_beyond_the_limit_the_longest_idle_connection_is_closed() -> None:
    """A new connection takes the place of the one that has rested longest."""
    with served(SmallApplication(Limits(connections=2))) as port, connected(port) as first, connected(port) as second:
        second.sendall(request())
        assert Responses(second).next()[0] == 200
        with connected(port) as third:
            third.sendall(request())
            assert Responses(third).next()[0] == 200
            assert Responses(first).ended()
            second.sendall(request())
            assert Responses(second).next()[0] == 200


def test_beyond_the_limit_a_new_connection_is_refused_when_all_are_busy() -> None:
    """Without an idle connection the new one gets 503 with Retry-After and is closed; busy ones are not disturbed."""
    application = SmallApplication(Limits(connections=2))
    with served(application) as port, connected(port) as first, connected(port) as second:
        for busy in (first, second):
            busy.sendall(request("/slow"))
        assert wait_until(lambda: application.open == 2)
        time.sleep(0.2)
        with connected(port) as third:
            third.sendall(request())
            responses = Responses(third)
            status, head, body = responses.next()
            assert (status, code(body), head["retry-after"]) == (503, "too_many_connections", "1")
            assert responses.ended()
        application.go_now()
        assert [Responses(busy).next()[0] for busy in (first, second)] == [200, 200]


def test_small_answers_are_not_held_back() -> None:
    """A hundred requests one after the other take no hundred times the forty milliseconds of a delayed answer."""
    with served(SmallApplication()) as port, connected(port) as connection:
        responses = Responses(connection)
        begun = time.monotonic()
        for _ in range(100):
            connection.sendall(request("/a", "POST", body=b"x"))
            assert responses.next()[0] == 200
    assert time.monotonic() - begun < 3
