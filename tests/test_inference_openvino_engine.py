"""A saved model run by OpenVINO."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from engines_made import INPUTS
from forgeml.inference.optimized import Loaded

pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")


def test_file_says_what_it_takes(engines: Path) -> None:
    """Inputs by name; any number of texts and tokens."""
    from forgeml.inference.openvino_engine import load

    loaded: Loaded = load(engines / "openvino" / "model.xml", "fp32")
    assert loaded.inputs == ("input_ids", "attention_mask", "token_type_ids")
    assert loaded.run(INPUTS).shape == (1, 2)
    many = {name: np.repeat(np.repeat(values, 3, axis=0), 5, axis=1) for name, values in INPUTS.items()}
    assert loaded.run(many).dtype == np.float32
    assert loaded.run(many).shape == (3, 2)


def test_answers_do_not_change_afterwards(engines: Path) -> None:
    """What one reading gave stays when the next one is made in the same memory."""
    from forgeml.inference.openvino_engine import load

    loaded: Loaded = load(engines / "openvino" / "model.xml", "fp32")
    first = loaded.run(INPUTS)
    before = first.copy()
    loaded.run({**INPUTS, "input_ids": INPUTS["input_ids"] + 1})
    assert np.array_equal(first, before)


def test_signals_come_after_models_have_gone(engines: Path) -> None:
    """Models may go in any order, and a signal still finds its handler; it used to end the process."""
    program = """
        import faulthandler, gc, signal, sys
        from pathlib import Path
        from forgeml.inference.openvino_engine import load

        faulthandler.enable()
        first, second = (load(Path(sys.argv[1]), "fp32") for _ in range(2))
        del first
        gc.collect()
        del second
        gc.collect()
        signal.signal(signal.SIGTERM, lambda number, frame: print("handled"))
        signal.raise_signal(signal.SIGTERM)
    """
    words = [sys.executable, "-c", textwrap.dedent(program), str(engines / "openvino" / "model.xml")]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "handled\n"
