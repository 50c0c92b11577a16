"""Spans of OpenTelemetry for requests, where its packages are installed and somebody has set up where spans go."""

from __future__ import annotations

from typing import Any

from forgeml.serving.guarding.exchange import Exchange

try:
    from opentelemetry import propagate, trace
except ModuleNotFoundError:
    trace = None  # type: ignore[assignment]


class Tracing:
    """One span a request, under the span of its client."""

    def __init__(self) -> None:
        """Look whether spans go anywhere."""
        self._on = trace is not None and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        self._spans: dict[int, Any] = {}

    def began(self, exchange: Exchange) -> None:
        """Begin the span."""
        if not self._on:
            return
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.headers.items()}
        tracer = trace.get_tracer("forgeml.serving")
        context = propagate.extract(carrier)
        self._spans[id(exchange)] = tracer.start_span(exchange.method, context, trace.SpanKind.SERVER)

    def ended(self, exchange: Exchange) -> None:
        """End the span, with what is known by then. No text of the request is told."""
        span = self._spans.pop(id(exchange), None)
        if span is None:
            return
        span.update_name(f"{exchange.method} {exchange.route}")
        span.set_attribute("http.request.method", exchange.method)
        span.set_attribute("http.route", exchange.route)
        span.set_attribute("http.response.status_code", exchange.status)
        span.set_attribute("forgeml.request_id", exchange.request_id)
        span.set_attribute("forgeml.texts", exchange.texts)
        if exchange.model_version is not None:
            span.set_attribute("forgeml.model_version", exchange.model_version)
        if exchange.status >= 500:
            span.set_status(trace.StatusCode.ERROR)
        span.end()
