"""What the server counts, in the text format of Prometheus."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from forgeml.serving.guarding.exchange import Exchange
from forgeml.serving.refusals import Refusal

CONTENT_TYPE = CONTENT_TYPE_LATEST

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder through which several workers count together; the library reads it when it is imported."""

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
TEXTS = (1, 2, 4, 8, 16, 32)
TOKENS = (16, 64, 256, 1024, 4096, 16384)


class Metrics:
    """All that one process counts. Labels have values of fixed sets: nothing that a client says is among them."""

    def __init__(self) -> None:
        """Begin at nothing."""
        registry = CollectorRegistry()
        here: dict[str, Any] = {"registry": registry}
        self._registry = registry
        self._early: dict[tuple[int, str], tuple[Counter, Counter]] = {}
        """Looked up once: there may be thousands of these a second."""
        self.requests = Counter("forgeml_requests", "Requests by route and status.", ["route", "status"], **here)
        self.request_seconds = Histogram(
            "forgeml_request_seconds", "From a request to its response.", ["route"], buckets=SECONDS, **here
        )
        self.refused = Counter("forgeml_refused", "Requests refused, by the code of the error.", ["code"], **here)
        self.clients_gone = Counter("forgeml_clients_gone", "Clients that left in the middle of a request.", **here)
        self.texts = Counter("forgeml_texts", "Texts answered.", **here)
        self.batch_texts = Histogram("forgeml_batch_texts", "Texts read at once.", buckets=TEXTS, **here)
        self.batch_tokens = Histogram("forgeml_batch_tokens", "Tokens read at once.", buckets=TOKENS, **here)
        self.batch_seconds = Histogram("forgeml_batch_seconds", "What reading them took.", buckets=SECONDS, **here)
        self.reloads = Counter("forgeml_reloads", "Times that the model was opened.", ["result"], **here)
        # Of several workers, the numbers of those that live are added up.
        here["multiprocess_mode"] = "livesum"
        self.waiting_texts = Gauge("forgeml_waiting_texts", "Texts at work or waiting.", **here)
        self.connections = Gauge("forgeml_connections", "Open connections.", **here)
        self.ready = Gauge("forgeml_ready", "Processes that answer.", **here)
        self.model_info = Gauge("forgeml_model_info", "Processes by their model.", ["version", "engine"], **here)

    def ended(self, exchange: Exchange) -> None:
        """Count a request that is over."""
        self.requests.labels(exchange.route, exchange.status).inc()
        self.request_seconds.labels(exchange.route).observe(exchange.seconds)
        if exchange.code is not None:
            self.refused.labels(exchange.code).inc()
        self.texts.inc(exchange.texts)

    def refused_early(self, refusal: Refusal) -> None:
        """Count a request that was refused before its route was looked for."""
        kind = (refusal.status, refusal.code)
        if kind not in self._early:
            self._early[kind] = (self.requests.labels("other", refusal.status), self.refused.labels(refusal.code))
        for count in self._early[kind]:
            count.inc()

    def batch(self, texts: int, tokens: int, seconds: float) -> None:
        """Count a batch that the model has read."""
        self.batch_texts.observe(texts)
        self.batch_tokens.observe(tokens)
        self.batch_seconds.observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """Each count with its name, kind and help, without those of other workers."""
        return self._registry.collect()

    def render(self) -> bytes:
        """All counts, of all workers if there are several."""
        registry = self._registry
        if SHARED in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def forget_worker(process: int) -> None:
    """Take the numbers of a worker that has ended out of the sums that are of the living."""
    mark_process_dead(process)  # type: ignore[no-untyped-call]
