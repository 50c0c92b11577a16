"""All who are told of requests and of the model: counts, the log and traces."""

from __future__ import annotations

import logging
import math
import time

from forgeml.serving.answering.served import Served
from forgeml.serving.guarding.exchange import Exchange
from forgeml.serving.refusals import Refusal
from forgeml.serving.telling.metrics import Metrics
from forgeml.serving.telling.tracing import Tracing

log = logging.getLogger(__name__)


class Tellers:
    """Told of requests by the guard, and of the model by who holds it."""

    def __init__(self) -> None:
        """Begin."""
        self.metrics = Metrics()
        self._tracing = Tracing()
        self._refused, self._told_at = 0, -math.inf
        self._models: list[tuple[str, str]] = []

    def began(self, exchange: Exchange) -> None:
        """A request has come."""
        self._tracing.began(exchange)

    def ended(self, exchange: Exchange) -> None:
        """It is answered, refused, or its client has gone."""
        self.metrics.ended(exchange)
        self._tracing.ended(exchange)
        if log.isEnabledFor(logging.INFO):
            log.info("request", extra={"facts": _facts(exchange)})

    def refused_early(self, refusal: Refusal) -> None:
        """A request was refused before it came to the application. Of thousands a second the log has one line."""
        self.metrics.refused_early(refusal)
        self._refused += 1
        now = time.monotonic()
        if now - self._told_at >= 1:
            log.warning("refused", extra={"facts": {"code": refusal.code, "requests": self._refused}})
            self._told_at, self._refused = now, 0

    def model_changed(self, served: Served | None, result: str) -> None:
        """Another model answers from now on, or a folder could not be opened; in any thread."""
        self.metrics.reloads.labels(result).inc()
        if served is None:
            return
        facts, engine = served.facts, served.classifier.engine
        self.metrics.ready.set(1)
        # Between workers labels can be set to nothing, but not be taken away.
        for before in self._models:
            self.metrics.model_info.labels(*before).set(0)
        self._models = [(facts.version, engine)]
        self.metrics.model_info.labels(facts.version, engine).set(1)
        told = {"result": result, "model": facts.name, "version": facts.version, "engine": engine}
        log.info("model", extra={"facts": told | ({"note": served.classifier.note} if served.classifier.note else {})})


def _facts(exchange: Exchange) -> dict[str, object]:
    told: dict[str, object] = {
        "request_id": exchange.request_id,
        "method": exchange.method,
        "route": exchange.route,
        "status": exchange.status,
        "ms": round(exchange.seconds * 1000, 1),
    }
    if exchange.code is not None:
        told["code"] = exchange.code
    if exchange.texts:
        told |= {"texts": exchange.texts, "model_version": exchange.model_version}
    return told
