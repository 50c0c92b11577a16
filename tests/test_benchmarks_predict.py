"""The comparison of all engines with the pipeline, from models to the report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from forgeml.inference.engines import ENGINES

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "predict.py"
SMALL = ("--texts", "40", "--rounds", "1", "--repeats", "2", "--round-seconds", "0.1", "--starts", "1")


@pytest.mark.slow
def test_report_has_every_engine(trained: Path, reviews: Path, tmp_path: Path) -> None:
    """Quality, speed, memory, start and size of each, and of the pipeline."""
    for package in ("onnx", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    model = trained / "best_model"
    asked = [f"{model}={reviews / 'test.csv'}", "--calibrate", f"{model}={reviews / 'train.csv'}"]
    words = [sys.executable, str(SCRIPT), "--model", *asked, *SMALL, "--report", str(tmp_path / "report.md")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["names"]) == {"pipeline", "pipeline-32", *ENGINES}
    assert found["reasons"] == {}
    assert found["quality"]["of"]["onnx-fp32"]["from_pipeline"] < 1e-5
    assert all(found[part].keys() >= set(ENGINES) for part in ("memory", "start", "sizes"))
    assert found["speed"]["of"]["openvino-int8"]["texts_per_second"]["median"] > 0
    assert "openvino-int8" in (tmp_path / "report.md").read_text(encoding="utf-8")
