"""The comparison of servers, from a model to the report, and what it measures of ForgeML's own beyond that."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "serve.py"
SMALL = ("--kinds", "short", "--texts", "20", "--threads", "1", "--warm-up", "0.1", "--connections", "1", "2")


@pytest.fixture
def data(reviews: Path, tmp_path: Path) -> Path:
    """A folder as --data takes it, with the made-up reviews as short texts."""
    file = tmp_path / "data" / "tweet_eval_sentiment" / "test.csv.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(gzip.compress((reviews / "test.csv").read_bytes()))
    return tmp_path / "data"


@pytest.mark.slow
def test_report_has_every_server_that_is_there(trained: Path, data: Path, tmp_path: Path) -> None:
    """Speed and sameness of each, ratios to the pipeline, and a sentence for what is not installed."""
    pytest.importorskip("fastapi")
    servers = ("--servers", "forgeml", "pipeline", "litserve", "--litserve-python", str(tmp_path / "no-python"))
    timing = ("--rounds", "1", "--seconds", "0.5", "--compared", "5")
    found, page = _measured(trained / "best_model", data, tmp_path, *servers, *timing)
    one = found["kinds"]["short"]
    assert set(one["figures"]) == set(one["same"]) == {"forgeml torch-fp32", "pipeline"}
    assert set(found["left_out"]) == {"litserve"}
    for every in one["figures"].values():
        assert set(every) == {"1", "2"}
        assert all(point["per_second"]["median"] > 0 and point["broken"] == 0 for point in every.values())
    assert one["figures"]["forgeml torch-fp32"]["2"]["to_pipeline"] > 0
    assert one["same"]["forgeml torch-fp32"]["score_difference"] < 1e-5
    assert "forgeml torch-fp32" in page
    assert "litserve was left out" in page


@pytest.mark.slow
def test_overload_sends_what_it_says(trained: Path, data: Path, tmp_path: Path) -> None:
    """Each step is there with its rate, and every request of it is accounted for."""
    steps = ("--overload", "--factors", "0.2", "2", "--phase-seconds", "1")
    found, page = _measured(trained / "best_model", data, tmp_path, *steps)
    one = found["kinds"]["short"]["overload"]["forgeml torch-fp32"]
    assert [round(step["rate"] / one["capacity"], 3) for step in one["phases"]] == [0.2, 2.0, 0.2]
    for step in one["phases"]:
        told = sum(step["statuses"].values()) + step["broken"] + step["unsent"]
        # A step of a fixed length holds one request more or less, by where its bounds fall.
        assert told == pytest.approx(step["rate"] * step["seconds"], abs=2)
    assert one["phases"][0]["goodput"] > 0
    assert "Goodput/s" in page


@pytest.mark.slow
def test_soak_looks_every_thousand_requests(trained: Path, data: Path, tmp_path: Path) -> None:
    """Memory, files and threads are told, and wrong requests are refused and not broken off."""
    found, page = _measured(trained / "best_model", data, tmp_path, "--soak", "2000")
    one = found["kinds"]["short"]["soak"]["forgeml torch-fp32"]
    assert [look["requests"] for look in one["looks"]] == [0, 1000, 2000]
    assert all(look["memory"] > 1e7 and look["open_files"] > 0 and look["threads"] > 0 for look in one["looks"])
    assert sum(one["statuses"].values()) == 2000
    assert one["statuses"]["200"] > 1000
    assert one["bytes_per_100000"] is not None
    assert "MB per 100,000 requests" in page


def _measured(model: Path, data: Path, work: Path, *options: str) -> tuple[dict[str, Any], str]:
    """The JSON that the script prints, and its page."""
    report = work / "report.md"
    words = [sys.executable, str(SCRIPT), "--model", str(model), "--data", str(data), *SMALL, "--report", str(report)]
    done = subprocess.run([*words, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))
    return found, report.read_text(encoding="utf-8")
