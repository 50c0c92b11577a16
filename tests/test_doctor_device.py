"""Device and precision in the doctor's report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from doctoring import findings, wrong
from forgeml.config.schema import Config
from forgeml.doctor import device as module
from forgeml.errors import MachineError
from forgeml.runtime import Memory, choose_device, choose_precision


def config_of(**training: Any) -> Config:
    """A configuration with these settings for the training."""
    return Config.model_validate({"model": {"name": "m"}, "data": {"dataset": "d"}, "training": training})


def test_what_auto_takes_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as a run takes, and why."""
    monkeypatch.setattr(module, "NVIDIA_DRIVER", Path("absent"))
    found = {one.topic: one for one in findings("device")}
    device = choose_device("auto")
    assert found["device"].facts["auto"] == device
    assert found["precision"].facts["auto"] == choose_precision("auto", device)[0]
    if device == "cpu":
        assert "times as fast as fp32 here" in found["precision"].text


def test_gpus_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its name and its memory."""
    monkeypatch.setattr(module, "choose_device", lambda wanted: "cuda")
    monkeypatch.setattr(module, "device_names", lambda: {"cuda:0": "Fast 100"})
    monkeypatch.setattr(module, "memory_of", lambda device: Memory(0, 80 * 10**9))
    monkeypatch.setattr(module, "choose_precision", lambda wanted, device: ("fp16", ()))
    found = {one.topic: one.text for one in findings("device")}
    assert found["device"] == "auto takes cuda; found cpu, cuda:0 (Fast 100, 80.0 GB)"
    assert found["precision"] == "auto takes fp16: this GPU is older than those that compute in bf16"


def test_gpu_that_torch_does_not_see(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A driver is there, and torch was built for processors alone."""
    (tmp_path / "version").write_text("550")
    monkeypatch.setattr(module, "NVIDIA_DRIVER", tmp_path / "version")
    monkeypatch.setattr(module, "device_names", dict)
    assert "torch finds no GPU" in wrong(findings("device")).text


def test_what_the_configuration_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A precision that will be another one is a warning, a device that is not there an error in words."""
    monkeypatch.setattr(module, "NVIDIA_DRIVER", Path("absent"))
    one = wrong(findings("device", config=config_of(device="cpu", precision="fp16")))
    assert (one.state, one.fix) == ("warning", "set training.precision to auto")
    assert one.text.startswith("fp16 needs a CUDA GPU; on this cpu the run uses ")
    with pytest.raises(MachineError, match="cuda:99 is not on this machine"):
        findings("device", config=config_of(device="cuda:99"))
