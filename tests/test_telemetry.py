"""Nothing of this machine is told to the makers of the libraries."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from command import run

OPENED = """
import os, sys
from forgeml.inference.classifier import Classifier
for engine in ("onnx-fp32", "openvino-fp32"):
    Classifier.from_pretrained(sys.argv[1], engine=engine).predict(["A film"])
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
"""


@pytest.mark.slow
def test_engines_leave_no_trace_in_the_home(engines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime and OpenVINO are opened without the identity that they would write down to report by."""
    monkeypatch.setenv("HOME", str(tmp_path))
    done = run(sys.executable, "-c", OPENED, engines)
    assert done.returncode == 0, done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
