"""A transformers pipeline behind FastAPI, as it is usually written: one text a request, in the pool of threads.

python fastapi_pipeline.py MODEL PORT MAX_LENGTH
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

FOLDER, PORT, MAX_LENGTH = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
app = FastAPI()
pipe = pipeline("text-classification", model=FOLDER, device="cpu")


class Body(BaseModel):
    """A request."""

    text: str


@app.post("/predict")
def predict(body: Body) -> Any:  # noqa: ANN401
    """The most likely label with its score."""
    return pipe(body.text, truncation=True, max_length=MAX_LENGTH)


@app.get("/health")
def health() -> str:
    """Answers once the model is loaded."""
    return "ready"


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, log_level="warning")
