"""Spans of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forgeml.serving.guarding.exchange import Exchange
from forgeml.serving.telling import tracing

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="the packages of OpenTelemetry are not installed")

from opentelemetry import trace  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Where spans go, set up as somebody would who wants them."""
    found, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield found
    provider.shutdown()


def _exchange(**headers: str) -> Exchange:
    raw = {name.encode(): value.encode() for name, value in headers.items()}
    return Exchange("id", "POST", raw, route="/predict", status=200, texts=3, model_version="abc")


def test_a_request_is_a_span_under_its_clients(exporter: InMemorySpanExporter) -> None:
    """It has the route, the status and the model, belongs to the trace that its client began, and has no text."""
    spans = tracing.Tracing()
    exchange = _exchange(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    exchange.body = b"a secret"
    spans.began(exchange)
    spans.ended(exchange)
    [span] = exporter.get_finished_spans()
    assert span.name == "POST /predict"
    assert span.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["forgeml.model_version"] == "abc"
    assert "secret" not in span.to_json()


def test_without_a_place_for_them_there_are_no_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody has set up where spans go, or the packages are absent, nothing is begun."""
    for module in (trace, None):
        monkeypatch.setattr(tracing, "trace", module)
        spans = tracing.Tracing()
        spans.began(_exchange())
        spans.ended(_exchange())
