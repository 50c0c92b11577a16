"""What the pipeline itself says of texts, as JSON: the scores of all labels, text by text.

python pipeline_scores.py MODEL MAX_LENGTH < TEXTS.json
"""

from __future__ import annotations

import json
import sys

from transformers import pipeline

if __name__ == "__main__":
    pipe = pipeline("text-classification", model=sys.argv[1], device="cpu")
    cut = {"truncation": True, "max_length": int(sys.argv[2])}
    told = [pipe(text, top_k=None, **cut) for text in json.load(sys.stdin)]
    print(json.dumps([{one["label"]: one["score"] for one in row} for row in told]))
