"""The README.md of a saved folder, in the form that the hub reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CARD = """---
library_name: transformers
pipeline_tag: text-classification
---

# Text classifier

{says}

Fine-tuned with ForgeML from `{model}` on `{data}` ({rows} texts).

{metrics}

```python
from transformers import pipeline

classify = pipeline("text-classification", model="path/of/this/folder")
classify({example})
```

`forgeml.json` has the whole configuration, the versions, the fingerprint of the data and the hash of each file.
"""


SAYS = {
    "single_label": "One of these classes: {}.",
    "multi_label": "Any of these classes: {}.",
    "regression": "A number: {}.",
}


def model_card(manifest: Mapping[str, Any]) -> str:
    """The card of a model with this manifest."""
    data, task = manifest["data"], manifest.get("task", "single_label")
    text = '{"text": "A text.", "text_pair": "Another."}' if data.get("text_pair_column") else '"A text."'
    return CARD.format(
        says=SAYS.get(task, SAYS["single_label"]).format(", ".join(manifest["labels"])),
        example=f"{text}, truncation=True" + (", top_k=None" if task == "multi_label" else ""),
        model=manifest["model"]["name"],
        data=data["name"],
        rows=", ".join(f"{count} {split}" for split, count in data["rows"].items()),
        metrics=_table(manifest["metrics"]),
    )


def _table(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """One row a metric, one column a split; a model of a run that did not end may have none."""
    if not metrics:
        return "No metrics were taken of this model."
    names = dict.fromkeys(name for values in metrics.values() for name in values)
    rows = [f"| metric | {' | '.join(metrics)} |", "|---" * (1 + len(metrics)) + "|"]
    for name in names:
        cells = (f"{values[name]:.4f}" if name in values else "" for values in metrics.values())
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)
