"""A first configuration for some data: what was found is written down, and what may be changed stands beside it."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forgeml.config.checks import FORBIDDEN
from forgeml.config.schema import Config, DataConfig
from forgeml.data.guess import complete
from forgeml.data.source import read_source
from forgeml.data.splits import make_splits
from forgeml.errors import ConfigError
from forgeml.metrics import DEFAULT_METRIC
from forgeml.records import Splits
from forgeml.training import story
from forgeml.training.materials import Tell, reporter

RATES = {512: "1e-4", 1023: "5e-5", math.inf: "2e-5"}
"""Learning rates by the greatest width of the models that they suit: the wider a model, the less it bears."""
USUAL_WIDTH = 768
MANY_TEXTS = 20_000
"""Of so many training texts one pass is enough to begin with."""
LOPSIDED = 0.8
"""Share of the most frequent class from which on accuracy says little."""
WORD = re.compile(r"(?:[A-Za-z_/]|\.\.?/)[\w./-]*", re.ASCII)
"""What YAML takes for a text without quotes."""
VALUES = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
"""Words that YAML, or older YAML, takes for something else than a text."""

TEMPLATE = """\
# A first configuration for {dataset}. {what}
# Look at it first with: forgeml plan {file}        Then: forgeml train {file}
# Every line may be changed, and every setting can be given on the command line: --training.num_epochs 1
# A line with a # before its key is a setting that is left out. docs/configuration.md explains all of them.

model:
  name: {model} # on the Hugging Face hub, or a local folder
  # max_length: 256 # tokens of a text that are read
  # long_texts: windows # what is read of longer texts: truncate, head_tail or windows

data:
{data}

training:
  batch_size: {batch_size} # texts in a batch; fewer need less memory
  learning_rate: {learning_rate} # {why_rate}
  num_epochs: {num_epochs} # {why_epochs}
  best_metric: {best_metric} # {why_metric}
  # class_weights: balanced # rare classes weigh as much as frequent ones
  # patience: 2 # stop after so many evaluations without a better one

mlflow:
  tracking_uri: sqlite:///mlflow.db # a local file, or a server such as http://localhost:5000

output_dir: . # best_model/ is written here
"""


def first_config(data: DataConfig, model: str, file: str, tell: Tell = lambda event: None) -> str:
    """The text of a configuration that trains on these data as it is.

    Args:
        data: at least where the data are.
        model: to start from; it is not looked at unless it is a local folder.
        file: under which the text will be saved, for the commands in its comments.
        tell: is given progress.

    Raises:
        ForgeError: the data are not there or cannot be learnt from.
    """
    report = reporter(tell)
    source = read_source(data, report)
    chosen = complete(source, data)
    splits = make_splits(source, chosen, Config.model_fields["training"].default.seed, report)
    for note in story.data(source, splits):
        tell(note)
    rate, why_rate = _learning_rate(model)
    epochs, why_epochs = _epochs(splits)
    metric, why_metric = _metric(splits)
    return TEMPLATE.format(
        dataset=_on_one_line(source.name),
        what=_rows(splits),
        file=_on_one_line(file),
        model=scalar(model),
        data="\n".join(_data_lines(chosen, splits)),
        batch_size=32 if len(splits.train) >= 2_000 else 16,
        learning_rate=rate,
        why_rate=why_rate,
        num_epochs=epochs,
        why_epochs=why_epochs,
        best_metric=metric,
        why_metric=why_metric,
    )


def scalar(value: object) -> str:
    """A value as YAML 1.2 has it on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {scalar(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(scalar(part) for part in value) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    for pattern, what, fix in FORBIDDEN:
        if re.search(pattern, value):
            raise ConfigError.at(repr(value), f"cannot be written in a configuration: {what}", f"rename it, or: {fix}")
    if WORD.fullmatch(value) and value.lower() not in VALUES:
        return value
    return "'" + value.replace("'", "''") + "'"


def _on_one_line(text: str) -> str:
    """As it can stand in a comment: YAML allows neither line breaks nor control characters there."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _rows(splits: Splits) -> str:
    return "Rows: " + ", ".join(f"{part.name} {len(part):,}" for part in splits.parts()) + "."


def _data_lines(chosen: DataConfig, splits: Splits) -> list[str]:
    found: dict[str, Any] = {
        **chosen.model_dump(exclude_defaults=True, exclude={"dataset", "task"}),
        **{key: value for key, value in splits.columns.items() if value is not None},
    }
    comments = {"label_separator": "between several labels in one value", "text_pair_column": "the second text"}
    lines = [f"  dataset: {scalar(chosen.dataset)}"]
    for key, value in found.items():
        lines.append(f"  {key}: {scalar(value)}" + (f" # {comments[key]}" if key in comments else ""))
    lines.append(f"  task: {splits.task} # {_on_one_line(story.understood(splits))}")
    if chosen.validation_split is None and splits.validation.texts.columns == splits.train.texts.columns:
        lines.append("  validation_split: 0.1 # share of train, as the data have no validation split")
    if not chosen.drop_duplicates:
        lines.append("  # drop_duplicates: true # leave out of train what also stands in validation or test")
    return lines


def _learning_rate(model: str) -> tuple[str, str]:
    why = "the highest of the run; 2e-5 to 5e-5 suit models of usual size, 1e-4 small ones"
    try:
        config = json.loads(Path(os.path.expanduser(model), "config.json").read_text(encoding="utf-8"))
        width = config.get("hidden_size") or config.get("dim") or USUAL_WIDTH
    except (OSError, ValueError, AttributeError):
        width = USUAL_WIDTH
    width = width if isinstance(width, int) else USUAL_WIDTH
    return next(rate for widest, rate in RATES.items() if width <= widest), why


def _epochs(splits: Splits) -> tuple[int, str]:
    if len(splits.train) > MANY_TEXTS:
        return 1, "times that all texts are seen; more may help a little"
    return 3, "times that all texts are seen"


def _metric(splits: Splits) -> tuple[str, str]:
    usual = DEFAULT_METRIC[splits.task]
    counts = story.class_counts(splits, splits.train)
    if splits.task == "single_label" and counts:
        share = max(counts.values()) / len(splits.train)
        if share > LOPSIDED:
            return "macro_f1", f"decides which model is the best; {share:.0%} of the texts are of one class"
    return usual, "decides which model is the best"
