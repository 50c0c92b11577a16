"""What settings of the training do to the quality of a model, on four data sets, at equal epochs.

    python benchmarks/recipes.py --data FOLDER_OF_FOLDERS --model quickstart/starter/model --work runs/recipes

Every training is a `forgeml train` of its own. Results are kept in the work folder, so that a run that was cut short
goes on. `--write` puts the table into docs/recipes.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from training.materials import drawn, write_rows

PAGE = Path(__file__).resolve().parent.parent / "docs" / "recipes.md"
START, END = "<!-- measured: the table starts here -->\n", "<!-- measured: the table ends here -->\n"
TEST_ROWS = 2_000
EVALUATIONS = 8
"""In a run, so that there are several whose weights can be averaged."""

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Texts:
    """A data set, and how much of it is learnt from for how long."""

    folder: str
    rows: int
    epochs: int
    batch_size: int
    max_length: int


TEXTS = (
    Texts("tweet_eval_sentiment", 2_048, 2, 32, 128),
    Texts("vader_movies", 2_048, 2, 32, 128),
    Texts("banking77", 2_048, 5, 32, 128),
    Texts("imdb", 1_024, 2, 16, 128),
)

PLAIN: Settings = {"learning_rate": 1e-4}
RECIPES: Mapping[str, Settings] = {
    "plain": {},
    "`learning_rate: 2e-4`": {"learning_rate": 2e-4},
    "`learning_rate: 5e-5`": {"learning_rate": 5e-5},
    "`learning_rate: 2e-5`": {"learning_rate": 2e-5},
    "`layer_decay: 0.9`": {"layer_decay": 0.9},
    "`layer_decay: 0.8`, `learning_rate: 2e-4`": {"layer_decay": 0.8, "learning_rate": 2e-4},
    "`label_smoothing: 0.1`": {"label_smoothing": 0.1},
    "`average_last: 3`": {"average_last": 3},
    "`freeze_layers: 2`": {"freeze_layers": 2},
    "`lora_rank: 8`, `learning_rate: 1e-3`": {"lora_rank": 8, "learning_rate": 1e-3},
}
"""By their name in the table, what differs from the plain run."""


def main() -> None:
    """Train what is not there yet, and show the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds a folder for each data set")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model to start from")
    parser.add_argument("--work", type=Path, required=True, help="folder for data, runs and results")
    names = [texts.folder for texts in TEXTS]
    parser.add_argument("--texts", choices=names, nargs="+", default=names, help="data sets to train on now")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="of the trainings")
    parser.add_argument("--write", action="store_true", help="write the table into docs/recipes.md")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    results = options.work / "results.jsonl"
    # All of a round before the next one, so that a table can be made early.
    for seed, texts, recipe in product(options.seeds, TEXTS, RECIPES):
        if texts.folder in options.texts and not any(_is_of(known, texts, recipe, seed) for known in _read(results)):
            record = _train(options, texts, recipe, seed)
            with results.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(record) + "\n")
            print(json.dumps(record), flush=True)
    table = _table(_read(results))
    print(table)
    if options.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
        PAGE.write_text(before + START + table + END + rest.partition(END)[2], encoding="utf-8")


def _train(options: argparse.Namespace, texts: Texts, recipe: str, seed: int) -> dict[str, Any]:
    source, work = options.data / texts.folder, options.work / texts.folder
    work.mkdir(exist_ok=True)
    files = {
        "train": str(write_rows(drawn(source, ["train"], texts.rows), work / "train.csv").resolve()),
        "test": str(write_rows(drawn(source, ["test"], TEST_ROWS), work / "test.csv").resolve()),
    }
    steps = texts.epochs * -(-int(0.9 * texts.rows) // texts.batch_size)
    training = {"batch_size": texts.batch_size, "num_epochs": texts.epochs, "seed": seed, **PLAIN, **RECIPES[recipe]}
    config = {
        "model": {"name": str(options.model.resolve()), "max_length": texts.max_length},
        "data": {"dataset": files, "validation_split": 0.1},
        "training": training,
        "logging": {"eval_interval": -(-steps // EVALUATIONS)},
    }
    (work / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    before = _processor_seconds()
    subprocess.run([sys.executable, "-m", "forgeml", "train"], cwd=work, check=True, capture_output=True)
    metrics = json.loads((work / "best_model" / "forgeml.json").read_text(encoding="utf-8"))["metrics"]
    return {
        "texts": texts.folder,
        "recipe": recipe,
        "seed": seed,
        "accuracy": metrics["test"]["accuracy"],
        "macro_f1": metrics["test"]["macro_f1"],
        "loss": metrics["test"]["loss"],
        "processor_seconds": round(_processor_seconds() - before, 1),
    }


def _processor_seconds() -> float:
    """Of all processes that were started and have ended: less disturbed by other work than the time on the wall."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()] if results.exists() else []


def _is_of(record: Mapping[str, Any], texts: Texts, recipe: str, seed: int) -> bool:
    return (record["texts"], record["recipe"], record["seed"]) == (texts.folder, recipe, seed)


def _table(records: list[dict[str, Any]]) -> str:
    """Mean accuracy on test in percent for each set, and the mean difference from the plain run."""
    heads = ["", *(texts.folder for texts in TEXTS), "mean of the differences", "its standard error", "processor time"]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "--:|" * (len(heads) - 1)]
    for recipe in RECIPES:
        own = [record for record in records if record["recipe"] == recipe]
        pairs = list(_pairs(own, records))
        if not pairs:
            continue
        accuracies = [[one["accuracy"] for one in own if one["texts"] == texts.folder] for texts in TEXTS]
        cells = [f"{100 * statistics.mean(found):.1f}" if found else "" for found in accuracies]
        differences = [100 * (one["accuracy"] - plain["accuracy"]) for one, plain in pairs]
        error = statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
        time_taken = statistics.median(one["processor_seconds"] / plain["processor_seconds"] for one, plain in pairs)
        cells += [f"{statistics.mean(differences):+.2f}", f"{error:.2f}", f"{time_taken:.2f}"]
        lines.append(f"| {recipe} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _pairs(own: list[dict[str, Any]], records: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each run with the plain one on the same texts under the same seed."""
    for one in own:
        for plain in records:
            if plain["recipe"] == "plain" and (plain["texts"], plain["seed"]) == (one["texts"], one["seed"]):
                yield one, plain


if __name__ == "__main__":
    main()
