"""Accelerate as a run has it."""

from __future__ import annotations

import pytest

from forgeml.records import Runtime
from forgeml.training.accelerator import build_accelerator


@pytest.mark.parametrize(
    ("precision", "autocast", "mixed"), [("fp32", True, "no"), ("bf16", True, "bf16"), ("bf16", False, "no")]
)
def test_precision_is_that_of_the_run_and_not_of_an_earlier_one(precision: str, autocast: bool, mixed: str) -> None:
    """Accelerate keeps its state for the whole process; each run begins anew."""
    build_accelerator(Runtime("cpu", "bf16" if mixed == "no" else "fp32", 1))
    accelerator = build_accelerator(Runtime("cpu", precision, 1), autocast=autocast)
    assert (accelerator.mixed_precision, accelerator.device.type) == (mixed, "cpu")
