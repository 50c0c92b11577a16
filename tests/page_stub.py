"""A stand-in for the server behind the page: its real files and headers, canned answers, and troubles on demand."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from forgeml.serving.limits import Limits
from forgeml.serving.pages import page

VERSION = "0123456789ab"
FILES = {"/": "index.html", "/docs": "docs.html"}
HOSTILE = "<img src=x onerror=alert(1)>"
"""What a page must show as it is written."""

OPENAPI: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "reviews", "version": "1", "description": "Answers in `JSON`."},
    "tags": [{"name": "Answers", "description": "What the model says."}, {"name": "Empty"}],
    "paths": {
        "/predict": {
            "post": {
                "tags": ["Answers"],
                "summary": "One text",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ask"}}}},
                "responses": {
                    "200": {
                        "description": "Answered",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tree"}}},
                    }
                },
            }
        },
        "/healthz": {"get": {"responses": {"200": {"description": HOSTILE}}}},
    },
    "components": {
        "schemas": {
            "Ask": {
                "type": "object",
                "required": ["text"],
                "properties": {"text": {"type": "string", "maxLength": 9, "description": f"What is read: {HOSTILE}"}},
            },
            "Tree": {
                "type": "object",
                "properties": {"parts": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}},
            },
        }
    },
}
"""A document with a reference, a schema that holds itself, a tag without operations, and a hostile text."""


@dataclass(frozen=True)
class Trouble:
    """One answer that is not what was asked for."""

    status: int
    message: str = "too many texts are waiting"
    headers: dict[str, str] = field(default_factory=dict)


class StubServer(ThreadingHTTPServer):
    """Answers like the server in the way of one task."""

    daemon_threads = True

    def __init__(self, model: dict[str, Any], limits: Limits | None = None) -> None:
        """Listen on a free port of the loopback address."""
        super().__init__(("127.0.0.1", 0), _Answering)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.model = {"name": "reviews", "version": VERSION, "pairs": False, "thresholds": None, "note": ""} | model
        self.model |= {"engine": "onnx-int8", "device": "cpu", "max_length": 256, "long_texts": "truncate"}
        self.limits = limits or Limits()
        self.asked: list[tuple[str, Any]] = []
        """Path and body of each request for an answer of the model, in the order in which they came."""
        self.troubles: dict[str, list[Trouble]] = {}
        """By path: what the next requests get."""
        self.delay_s = 0.0
        """How long each answer of the model takes."""
        self.openapi = OPENAPI
        self.docs = True

    def info(self) -> dict[str, Any]:
        """The body of `/info`."""
        metrics = {"validation": {"accuracy": 0.8712, "macro_f1": 0.8701}, "test": {"accuracy": 0.8655}}
        return {
            "model": self.model,
            "limits": self.limits.as_dict(),
            "docs": self.docs,
            "metrics": metrics,
            "manifest": {"data": {"text_column": "text", "text_pair_column": None}},
            "versions": {"forgeml": "0.1.0"},
        }

    def predict(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body of `/predict`."""
        return self._one(body["text"]) | {"model_version": VERSION}

    def predict_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body of `/predict/batch`."""
        return {"predictions": [self._one(text) for text in body["texts"]], "model_version": VERSION}

    def explain(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body of `/explain`: `good` speaks for the label and `bad` against it."""
        texts = [body[name] for name in ("text", "text_pair") if name in body]
        words = [
            {
                "text": found[0],
                "start": found.start(),
                "end": found.end(),
                "weight": _weight(found[0]),
                "in_pair": bool(place),
                "read": found[0] != "unread",
            }
            for place, text in enumerate(texts)
            for found in re.finditer(r"\w+|[^\w\s]", text)
        ]
        label = body.get("label", self.model["labels"][-1])
        return {"label": label, "score": 0.9, "words": words, "model_version": VERSION}

    def _one(self, text: str) -> dict[str, Any]:
        reading = {"truncated": len(text) > self.limits.characters, "empty": not text.strip()}
        if self.model["task"] == "regression":
            return {"value": len(text) / 8} | reading
        labels = self.model["labels"]
        first = len(labels) - 1 if "good" in text else 0
        scores = {label: round(0.1 / len(labels), 6) for label in labels} | {labels[first]: 0.9}
        if self.model["task"] == "multi_label":
            return {"labels": [labels[0], labels[-1]] if "good" in text else [], "scores": scores} | reading
        return {"label": labels[first], "score": 0.9, "scores": scores} | reading


def _weight(word: str) -> float:
    return {"good": 0.9, "bad": -0.7, "rather": 0.2}.get(word.lower(), 0.01)


class _Answering(BaseHTTPRequestHandler):
    server: StubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = FILES.get(self.path) or self.path.removeprefix("/page/")
        found = page(name)
        if found is not None:
            self._send(200, found.body, dict(found.headers))
        elif self.path in ("/info", "/openapi.json"):
            self._answer(self.server.info if self.path == "/info" else lambda: self.server.openapi)
        else:
            self._send(404, b"{}", {"Content-Type": "application/json"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        answers = {
            "/predict": self.server.predict,
            "/predict/batch": self.server.predict_batch,
            "/explain": self.server.explain,
        }
        time.sleep(self.server.delay_s)
        self._answer(lambda: answers[self.path](body))

    def _answer(self, content: Callable[[], dict[str, Any]]) -> None:
        headers = {"Content-Type": "application/json", "X-Request-ID": "request-1"}
        troubles = self.server.troubles.get(self.path)
        if not troubles:
            self._send(200, json.dumps(content()).encode(), headers)
            return
        trouble = troubles.pop(0)
        refusal = {"code": "trouble", "message": trouble.message, "field": None, "request_id": "request-1"}
        self._send(trouble.status, json.dumps(refusal).encode(), headers | trouble.headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            # The page asks no longer for what it has ended.
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def stub_server(model: dict[str, Any], limits: Limits | None = None) -> Iterator[StubServer]:
    """A server that answers until the block ends.

    Args:
        model: what `/info` tells of it: `task` and `labels`, and `pairs` where it reads pairs.
        limits: left out: the usual ones.
    """
    with StubServer(model, limits) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
