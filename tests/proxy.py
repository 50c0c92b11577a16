"""Stands before a server and fails as networks and servers do, when it is told to."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

WAYS = ("refuse", "hang", "error", "slow", "forget")
"""To fail: hang up on whoever comes; take a request and say nothing; answer 500; answer late; let the server do what
was asked, and hang up instead of saying so."""


class Proxy(ThreadingHTTPServer):
    """Hands requests on to a server, as long as it is not told otherwise."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, target: str) -> None:
        """Listen on a free port of the loopback address, before the server at this address."""
        super().__init__(("127.0.0.1", 0), _Request)
        self.target = urlsplit(target).netloc
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.way = ""
        """To fail; empty to hand on."""
        self.failing: set[int] = set()
        """Numbers of requests that fail that way, counted from 1; empty for all of them."""
        self.delay = 0.1
        """Seconds that a slow answer takes."""
        self.over = threading.Event()
        self.asked = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever came has hung up; that is what this is for."""


class _Request(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self._body()
        self.server.asked += 1
        failing = self.server.failing
        way = self.server.way if not failing or self.server.asked in failing else ""
        if way == "refuse":
            self._hang_up()
        elif way == "hang":
            self.server.over.wait(30)
            self._hang_up()
        elif way == "error":
            self._answer(500, {"Content-Type": "text/html"}, b"<h1>Internal error</h1>")
        else:
            if way == "slow":
                time.sleep(self.server.delay)
            self._hand_on(body, way == "forget")

    def do_GET(self) -> None:
        self.do_POST()

    def do_PUT(self) -> None:
        self.do_POST()

    def do_PATCH(self) -> None:
        self.do_POST()

    def do_DELETE(self) -> None:
        self.do_POST()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        # MLflow sends an empty file so.
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _hand_on(self, body: bytes, forget: bool) -> None:
        asking = http.client.HTTPConnection(self.server.target, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
        asking.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
        answer = asking.getresponse()
        content = answer.read()
        asking.close()
        if forget:
            self._hang_up()
        else:
            self._answer(answer.status, dict(answer.getheaders()), content)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def before(target: str) -> Iterator[Proxy]:
    """A proxy before the server at this address, until the block ends."""
    with Proxy(target) as proxy:
        serving = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        serving.start()
        try:
            yield proxy
        finally:
            proxy.over.set()
            proxy.shutdown()
            serving.join()
