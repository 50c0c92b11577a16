"""Save a pipeline the way `mlflow models serve` takes it.

python save_mlflow.py MODEL TARGET MAX_LENGTH
"""

from __future__ import annotations

import sys

import mlflow
from transformers import pipeline

if __name__ == "__main__":
    mlflow.transformers.save_model(
        pipeline("text-classification", model=sys.argv[1], device="cpu"),
        sys.argv[2],
        model_config={"truncation": True, "max_length": int(sys.argv[3])},
        pip_requirements=["transformers", "torch"],
    )
