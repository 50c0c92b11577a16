"""ForgeML turns one YAML file into a text classifier in use.

The front door: `load_config`, `train` and `Classifier`, each looked up when it is first asked for, so that
`import forgeml` stays light.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forgeml.config.loading import load_config
    from forgeml.inference.classifier import Classifier
    from forgeml.training.train import train

__all__ = ["Classifier", "load_config", "train"]

_HOMES = {
    "Classifier": "forgeml.inference.classifier",
    "load_config": "forgeml.config.loading",
    "train": "forgeml.training.train",
}

# The libraries read these once, when they are imported: no usage reports, no token posted to a service that converts
# pickled weights, and no second way of fetching files, which could not be held to a time limit.
for _variable, _value in {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    "ORT_DISABLE_TELEMETRY": "1",
    "DISABLE_SAFETENSORS_CONVERSION": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "TOKENIZERS_PARALLELISM": "true",
}.items():
    os.environ.setdefault(_variable, _value)

# OpenVINO has no variable for that: it reports when it is imported, unless this package cannot be.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def __getattr__(name: str) -> object:
    """Look a public name up in its home."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    if name == "train":
        # Before any of these packages is imported.
        importlib.import_module("forgeml.floors").check_floors("train")
    return getattr(importlib.import_module(_HOMES[name]), name)
