from __future__ import annotations

import asyncio
from typing import Any

import pytest

from forgeml.serving.transport.cycles import JOINED_BYTES, Cycle, Flow, Outlet, scope_of
from forgeml.serving.transport.requests import Head

HEAD = Head(b"GET", b"/a%20b", b"c=d", "1.1", [(b"host", b"localhost")], 0, keep_alive=True, expects_continue=False)


class Pipe(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        """Nothing is written, and it is read."""
        super().__init__()
        self.written: list[bytes] = []
        self.reading = True

    def write(self, data: Any) -> None:
        """Keep it, if it is anything."""
        if data:
            self.written.append(bytes(data))

    def pause_reading(self) -> None:
        """Note it."""
        self.reading = False

    def resume_reading(self) -> None:
        """Note it."""
        self.reading = True


def respond(method: bytes, body: list[bytes], is_last: bool = False) -> tuple[list[bytes], list[str]]:
    """What is written for a response of these parts, and what the connection is told."""
    told: list[str] = []

    async def main() -> list[bytes]:
        pipe = Pipe()
        outlet = Outlet(pipe, lambda: told.append("end"), lambda: False)
        cycle = Cycle(
            scope_of(HEAD._replace(method=method), None, None, {}),
            flow=Flow(pipe),
            outlet=outlet,
            headers=[(b"date", b"today")],
            is_last=lambda: is_last,
            answered=lambda: told.append("answered"),
        )
        length = str(sum(map(len, body))).encode()
        await cycle.send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        assert pipe.written == []
        for number, part in enumerate(body, 1):
            await cycle.send({"type": "http.response.body", "body": part, "more_body": number < len(body)})
        outlet.flush()
        return pipe.written

    return asyncio.run(main()), told


def test_a_small_answer_is_one_piece() -> None:
    """Head and body go out together."""
    written, told = respond(b"GET", [b"abc"])
    assert written == [b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 3\r\n\r\nabc"]
    assert told == ["answered"]


@pytest.mark.parametrize("body", [[b"x" * (JOINED_BYTES + 1)], [b"", b"abc", b"d"], [b""]])
def test_all_parts_go_out_in_order(body: list[bytes]) -> None:
    """Large bodies, bodies of several parts and none at all follow their head."""
    written, _ = respond(b"GET", body)
    assert b"".join(written).partition(b"\r\n\r\n")[2] == b"".join(body)


def test_an_answer_to_head_has_no_body() -> None:
    """The head alone goes out when the connection asks for what is left."""
    written, _ = respond(b"HEAD", [b"abc"])
    assert written == [b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 3\r\n\r\n"]


def test_the_last_answer_says_close() -> None:
    """When the connection says that this is the last one, the client learns of it, and the connection ends."""
    written, told = respond(b"GET", [b"abc"], is_last=True)
    assert b"connection: close\r\n" in written[0]
    assert told == ["end", "answered"]


def test_held_reading_stays_held() -> None:
    """What a request wants does not set reading going again while the connection holds it."""

    async def main() -> None:
        pipe = Pipe()
        flow = Flow(pipe)
        flow.hold()
        flow.resume_reading()
        assert not pipe.reading
        flow.release()
        assert pipe.reading

    asyncio.run(main())


def test_the_scope() -> None:
    """The application gets what ASGI promises it."""
    scope = scope_of(HEAD, ("127.0.0.1", 8000), ("127.0.0.1", 5), {"a": 1})
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "GET",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"c=d",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 5),
        "state": {"a": 1},
    }
