"""What the server counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from forgeml.serving.guarding.exchange import Exchange
from forgeml.serving.refusals import Refusal
from forgeml.serving.telling.metrics import Metrics


def _values(metrics: Metrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        "{}{}".format(one.name, sorted(one.labels.items()) if one.labels else ""): one.value
        for family in families
        for one in family.samples
    }


def _exchange(status: int, code: str | None = None, texts: int = 0) -> Exchange:
    return Exchange("id", "POST", {}, route="/predict", status=status, code=code, texts=texts)


def test_requests_are_counted_by_route_and_status() -> None:
    """Answers, refusals and clients that went are told apart."""
    metrics = Metrics()
    for one in (_exchange(200, texts=3), _exchange(200, texts=1), _exchange(503, "too_busy"), _exchange(499)):
        metrics.ended(one)
    metrics.refused_early(Refusal(503, "too_busy", "too much"))
    values = _values(metrics)
    assert values["forgeml_requests_total[('route', '/predict'), ('status', '200')]"] == 2
    assert values["forgeml_refused_total[('code', 'too_busy')]"] == 2
    assert values["forgeml_requests_total[('route', '/predict'), ('status', '499')]"] == 1
    assert values["forgeml_texts_total"] == 4


def test_batches_are_counted() -> None:
    """Texts, tokens and time of each batch."""
    metrics = Metrics()
    metrics.batch(3, 60, 0.01)
    values = _values(metrics)
    assert (values["forgeml_batch_texts_sum"], values["forgeml_batch_tokens_sum"]) == (3, 60)


def test_two_servers_in_one_process_do_not_share() -> None:
    """Each has its own counts."""
    one, other = Metrics(), Metrics()
    one.texts.inc(5)
    assert _values(other)["forgeml_texts_total"] == 0


def test_workers_count_together(tmp_path: Path) -> None:
    """Where a folder for it is named, each worker tells the sums of all."""
    code = (
        "import sys; from forgeml.serving.telling.metrics import Metrics; m = Metrics(); m.texts.inc(2); "
        "sys.stdout.write(m.render().decode())"
    )
    for _ in range(3):
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "forgeml_texts_total 6.0" in run.stdout
