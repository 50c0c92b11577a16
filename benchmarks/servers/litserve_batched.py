"""A model behind LitServe, which gathers requests into padded batches.

python litserve_batched.py MODEL PORT MAX_LENGTH
"""

from __future__ import annotations

import sys
from typing import Any

import litserve
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


class Predictions(litserve.LitAPI):
    """Up to 16 texts that arrive within 10 ms are read by the model at once."""

    def setup(self, device: str) -> None:
        """Load the model, in the process that runs it."""
        self._tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
        self._model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1]).to(device).eval()

    def decode_request(self, request: dict[str, str]) -> str:
        """The text of a body."""
        return request["text"]

    @torch.inference_mode()
    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """The most likely label of each text with its score."""
        cut = {"truncation": True, "max_length": int(sys.argv[3])}
        batch = self._tokenizer(texts, padding=True, return_tensors="pt", **cut).to(self._model.device)
        scores, places = self._model(**batch).logits.softmax(-1).max(-1)
        names = self._model.config.id2label
        return [
            {"label": names[place], "score": score}
            for place, score in zip(places.tolist(), scores.tolist(), strict=True)
        ]

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """The body of the answer."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Predictions(max_batch_size=16, batch_timeout=0.01), accelerator="cpu")
    server.run(
        port=int(sys.argv[2]), host="127.0.0.1", num_api_servers=1, log_level="warning", generate_client_file=False
    )
