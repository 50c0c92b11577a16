"""Nothing of this machine is told to the makers of the libraries."""

from __future__ import annotations

import os
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


SWITCHES = """
import os
import forgeml
from huggingface_hub import constants
assert constants.HF_HUB_DISABLE_TELEMETRY
assert constants.HF_HUB_DISABLE_XET
assert os.environ["DISABLE_SAFETENSORS_CONVERSION"] == "1"
assert os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] == "0"
assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
"""


def test_switches_are_set_before_the_libraries_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever imports any part of ForgeML has reports and the conversion of weights off, without setting anything."""
    for name in list(os.environ):
        if name.startswith(("HF_", "DISABLE_", "MLFLOW_")):
            monkeypatch.delenv(name)
    done = run(sys.executable, "-c", SWITCHES)
    assert done.returncode == 0, done.stderr
