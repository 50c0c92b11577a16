"""All who are told of requests and of the model."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from forgeml.serving.answering.served import Opening, Served
from forgeml.serving.guarding.exchange import Exchange
from forgeml.serving.limits import Limits
from forgeml.serving.telling.tellers import Tellers


def test_a_request_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    """Route, status, time and model are told; the body and the headers are not."""
    exchange = Exchange(
        "id", "POST", {b"authorization": b"Bearer secret"}, body=b"a secret", route="/predict", status=200
    )
    exchange.texts, exchange.model_version = 1, "0123456789ab"
    tellers = Tellers()
    with caplog.at_level(logging.INFO):
        tellers.began(exchange)
        tellers.ended(exchange)
    [record] = caplog.records
    facts = record.facts  # type: ignore[attr-defined]
    assert (facts["route"], facts["status"], facts["texts"]) == ("/predict", 200, 1)
    assert "secret" not in str(facts)


def test_the_model_that_answers_is_counted(trained: Path) -> None:
    """One process answers by one version; the version before is none any more, and failures are counted."""
    tellers = Tellers()
    served = Served.open(Opening(str(trained / "best_model"), "auto", "auto", Limits()), lambda *told: None)
    tellers.model_changed(served, "loaded")
    tellers.model_changed(None, "failed")
    served.batcher.close()
    said = tellers.metrics.render().decode()
    assert f'forgeml_model_info{{engine="torch-fp32",version="{served.facts.version}"}} 1.0' in said
    assert 'forgeml_reloads_total{result="failed"} 1.0' in said
    assert "forgeml_ready 1.0" in said
