"""prometheus.yml and alerts.yml: their syntax, and that they ask for figures that the server has."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deployed import DEPLOY, documents, load, program, serving_source
from forgeml.serving.limits import Limits

METRICS = {
    "forgeml_requests_total": {"route", "status"},
    "forgeml_request_seconds": {"route"},
    "forgeml_texts_total": set(),
    "forgeml_batch_texts": set(),
    "forgeml_batch_tokens": set(),
    "forgeml_waiting_texts": set(),
    "forgeml_connections": set(),
    "forgeml_refused_total": {"code"},
    "forgeml_clients_gone_total": set(),
    "forgeml_model_info": {"version", "engine"},
    "forgeml_reloads_total": {"result"},
    "forgeml_ready": set(),
}
"""What the server tells, and the labels that it gives."""

OWN_LABELS = {"job", "instance", "le"}
"""Labels that Prometheus adds, and the one of every histogram."""

(GROUP,) = load("alerts.yml")["groups"]
RULES = {rule["alert"]: rule for rule in GROUP["rules"]}

FIRING = {
    "ForgeMLDown": [("up{job='forgeml', instance='a'}", "0x60")],
    "ForgeMLNotReady": [("forgeml_ready{instance='a'}", "0x60")],
    "ForgeMLBug": [("forgeml_requests_total{route='/predict', status='500'}", "0+1x60")],
    "ForgeMLRefusing": [
        ("forgeml_requests_total{route='/predict', status='200'}", "0+90x60"),
        ("forgeml_requests_total{route='/predict', status='503'}", "0+10x60"),
    ],
    "ForgeMLQueueGrows": [("forgeml_waiting_texts{instance='a'}", "80x60")],
    "ForgeMLSlow": [
        ("forgeml_request_seconds_bucket{route='/predict', le='1'}", "0+90x60"),
        ("forgeml_request_seconds_bucket{route='/predict', le='2.5'}", "0+100x60"),
        ("forgeml_request_seconds_bucket{route='/predict', le='+Inf'}", "0+100x60"),
    ],
    "ForgeMLConnectionsNearLimit": [("forgeml_connections{instance='a'}", "950x60")],
    "ForgeMLReloadFailed": [("forgeml_reloads_total{instance='a', result='failed'}", "0+1x60")],
    "ForgeMLVersionsDiffer": [
        ("forgeml_model_info{instance='a', version='1', engine='onnx-int8'}", "1x60"),
        ("forgeml_model_info{instance='b', version='2', engine='onnx-int8'}", "1x60"),
    ],
}
"""Figures of an hour, one a minute, at the end of which each alert must be there."""


def _selectors(expression: str) -> Iterator[Any]:
    parser = pytest.importorskip("promql_parser")
    found: list[Any] = []
    parser.walk(parser.parse(expression), lambda node: found.append(node))
    return (node for node in found if isinstance(node, parser.VectorSelector))


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The two files with a key that is there, since the checker looks for it."""
    (tmp_path / "key").write_text("a key")
    text = (DEPLOY / "prometheus.yml").read_text(encoding="utf-8")
    (tmp_path / "prometheus.yml").write_text(text.replace("/run/secrets/metrics_key", str(tmp_path / "key")))
    shutil.copy(DEPLOY / "alerts.yml", tmp_path)
    return tmp_path / "prometheus.yml"


def test_prometheus_takes_the_files(settings: Path) -> None:
    """Prometheus' own checker finds no fault in the configuration and the rules."""
    done = subprocess.run(
        [program("promtool"), "check", "config", settings], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(RULES))
def test_alerts_come_when_they_should(name: str, settings: Path) -> None:
    """Prometheus' own evaluation of the rule on figures like those that it is for gives the alert."""
    series = [{"series": series.replace("'", '"'), "values": values} for series, values in FIRING[name]]
    query = f'count(ALERTS{{alertname="{name}", alertstate="firing"}})'
    expected = {"expr": query, "eval_time": "50m", "exp_samples": [{"labels": "{}", "value": 1}]}
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [expected]}
    with (settings.parent / "test.yml").open("w") as file:
        YAML(typ="safe").dump({"rule_files": ["alerts.yml"], "tests": [test]}, file)
    done = subprocess.run(
        [program("promtool"), "test", "rules", settings.parent / "test.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(RULES))
def test_alerts_ask_for_figures_that_there_are(name: str) -> None:
    """The expression can be read, its figures are the server's, and so are the labels that it chooses by."""
    for selector in _selectors(RULES[name]["expr"]):
        metric = re.sub(r"_(bucket|sum|count)$", "", selector.name)
        assert metric == "up" or metric in METRICS
        assert {one.name for one in selector.matchers.matchers} <= METRICS.get(metric, set()) | OWN_LABELS


@pytest.mark.parametrize("name", sorted(RULES))
def test_alerts_tell_whom_they_wake_and_what_to_do(name: str) -> None:
    """Each has a severity, a sentence of what is so, and one of what to do."""
    assert RULES[name]["labels"].keys() == {"severity"}
    assert RULES[name]["labels"]["severity"] in {"page", "ticket"}
    assert RULES[name]["annotations"].keys() == {"summary", "action"}


def test_thresholds_are_inside_the_limits() -> None:
    """Alerts on what the server bounds come before it refuses, and name its bounds."""
    limits = Limits()
    for name, limit in (
        ("ForgeMLQueueGrows", limits.waiting_texts),
        ("ForgeMLConnectionsNearLimit", limits.connections),
    ):
        assert 0.5 * limit < float(RULES[name]["expr"].rpartition(" > ")[2]) < limit
        assert str(limit) in RULES[name]["annotations"]["summary"]


def test_the_server_has_the_figures() -> None:
    """Every figure named here is one that the server's source names, with its labels."""
    source = serving_source()
    if "forgeml_requests" not in source:
        pytest.skip("the server counts nothing yet")
    stems = {name: name.removeprefix("forgeml_").removesuffix("_total").removesuffix("_info") for name in METRICS}
    assert [name for name, stem in stems.items() if stem not in source] == []
    assert [label for labels in METRICS.values() for label in labels if f'"{label}"' not in source] == []


def test_every_alert_is_tried() -> None:
    """The table of figures above has an entry for each alert and no other."""
    assert FIRING.keys() == RULES.keys()


def test_the_autoscaler_s_other_figure_is_the_server_s() -> None:
    """The figure in the comment of kubernetes.yaml is one that the server has."""
    assert len(documents("kubernetes.yaml")) > 1
    (name,) = re.findall(r"# +name: (\w+)", (DEPLOY / "kubernetes.yaml").read_text())
    assert name in METRICS
