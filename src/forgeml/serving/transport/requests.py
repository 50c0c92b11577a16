"""Requests as they come off a connection: heads and bodies, within the limits, or a refusal."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import httptools

from forgeml.serving.limits import Limits
from forgeml.serving.transport.error_responses import head_too_large, malformed

CHUNK_OVERHEAD = 8
"""Bytes that may be spent for each byte of a body that comes in chunks, beside as many as a head may have: enough for
chunks of a single byte, and an end to chunks whose extensions or trailers never end."""


class Head(NamedTuple):
    """What is known of a request before its body."""

    method: bytes
    path: bytes
    """As it was sent, without the query."""
    query: bytes
    version: str
    """`1.0` or `1.1`."""
    headers: list[tuple[bytes, bytes]]
    """Names in small letters."""
    length: int | None
    """Bytes of the body; None where it comes in chunks."""
    keep_alive: bool
    """Whether the client means to go on using the connection."""
    expects_continue: bool


class Receiver(Protocol):
    """Is told what has come, in the order in which it came."""

    def request_begun(self) -> None:
        """The first byte of a request is there."""

    def request_head(self, head: Head) -> None:
        """A head is complete."""

    def request_body(self, data: bytes) -> None:
        """A part of the body is there."""

    def request_complete(self) -> None:
        """The body is complete."""


class RequestParser:
    """Reads the requests of one connection, one after the other."""

    def __init__(self, limits: Limits, receiver: Receiver) -> None:
        """Wait for the first byte."""
        self._limits = limits
        self._receiver = receiver
        self._parser = httptools.HttpRequestParser(self)
        self._begun = 0
        """Requests so far."""
        self._in_head = self._in_body = False
        self._body_size = 0
        self._muted = False

    def feed(self, data: bytes | memoryview) -> None:
        """Read on.

        Args:
            data: what has come, in parts of a few thousand bytes: the limit on a head is kept to within one of them.

        Raises:
            Refusal: this is not a request, or not one within the limits; nothing more can be read.
        """
        begun, in_head, in_body, body_size = self._begun, self._in_head, self._in_body, self._body_size
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade()
            self.feed(data[upgrade.args[0] :])
            return
        except httptools.HttpParserCallbackError as error:
            # What a callback below has raised; anything else than a refusal is a bug.
            raise error.__context__ or error from None
        except httptools.HttpParserError as error:
            raise malformed(f"This is not HTTP/1.1: {error}.") from None
        if begun != self._begun:
            return
        if in_head and self._in_head:
            self._unfinished += len(data)
            self._check_size(self._unfinished)
        elif in_body and self._in_body:
            self._check_overhead(len(data) - (self._body_size - body_size))

    def on_message_begin(self) -> None:
        """Start a head."""
        self._begun += 1
        self._in_head = True
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._size = self._unfinished = 0
        if not self._muted:
            self._receiver.request_begun()

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        self._url += url
        self._size += len(url)
        self._check_size(self._size)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those that come after the body are dropped."""
        self._size += len(name) + len(value) + 4
        if self._size > self._limits.header_bytes:
            self._check_size(self._size)
        if self._in_head:
            self._headers.append((name.lower(), value))
            if len(self._headers) > self._limits.headers:
                raise head_too_large(f"{self._limits.headers} headers")

    def on_headers_complete(self) -> None:
        """Check the head and hand it on."""
        self._in_head, self._in_body = False, True
        self._body_size = self._overhead = 0
        if not self._muted:
            self._head = self._checked_head()
            self._receiver.request_head(self._head)

    def on_body(self, data: bytes) -> None:
        """Hand on a part of the body."""
        self._body_size += len(data)
        self._receiver.request_body(data)

    def on_message_complete(self) -> None:
        """Hand on that the body is complete; before an upgrade the parser says so although none was read."""
        if not self._parser.should_upgrade():
            self._in_body = False
            self._receiver.request_complete()

    def _decline_upgrade(self) -> None:
        """Go on with the body as if no upgrade had been asked for: the parser takes it for another protocol's.

        A parser of its own is put where this one would stand, by a head that has nothing but the body's framing.
        """
        head = self._head
        framing = b"Transfer-Encoding: chunked" if head.length is None else b"Content-Length: %d" % head.length
        self._parser = httptools.HttpRequestParser(self)
        self._muted = True
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%b%b\r\n\r\n" % (b"" if head.keep_alive else CLOSES, framing))
        self._muted = False

    def _checked_head(self) -> Head:
        version = self._parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise malformed("HTTP/1.1 or HTTP/1.0 is wanted.")
        method = self._parser.get_method()
        if method == b"CONNECT":
            raise malformed("This is no proxy.")
        framing = {name: value for name, value in self._headers if name in FRAMING}
        hosts = [name for name, _ in self._headers].count(b"host")
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            raise malformed("One Host header is wanted.")
        chunked = framing.get(b"transfer-encoding")
        if chunked is not None and (chunked.lower() != b"chunked" or version == "1.0"):
            raise malformed("The one Transfer-Encoding known is chunked, of HTTP/1.1.")
        path, query = _target(self._url)
        return Head(
            method=method,
            path=path,
            query=query,
            version=version,
            headers=self._headers,
            length=None if chunked else int(framing.get(b"content-length", b"0")),
            keep_alive=version == "1.1" and self._parser.should_keep_alive(),
            expects_continue=framing.get(b"expect", b"").lower() == b"100-continue",
        )

    def _check_size(self, size: int) -> None:
        if size > self._limits.header_bytes:
            raise head_too_large(f"{self._limits.header_bytes:,} bytes for the line and all headers of a request")

    def _check_overhead(self, overhead: int) -> None:
        self._overhead += overhead
        if self._overhead > self._limits.header_bytes + CHUNK_OVERHEAD * self._body_size:
            raise malformed("The body is hardly more than the frames of its chunks.")


CLOSES = b"Connection: close\r\n"
FRAMING = frozenset((b"content-length", b"transfer-encoding", b"expect"))
"""Headers that say how a body comes."""


def _target(url: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request's address, which may be a whole URI as for proxies, or `*`."""
    if not url.startswith((b"/", b"*")):
        try:
            parsed = httptools.parse_url(url)
        except httptools.HttpParserInvalidURLError:
            raise malformed("The address is not a path, and not a URI.") from None
        return parsed.path or b"/", parsed.query or b""
    path, _, query = url.partition(b"#")[0].partition(b"?")
    return path, query
