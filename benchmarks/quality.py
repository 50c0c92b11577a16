"""Test figures of a model on many data sets, each trained as `forgeml init` proposes.

    python benchmarks/quality.py --data FOLDER_OF_FOLDERS --model quickstart/starter/model --work runs/quality

Results are kept in the work folder, one a data set, so that a run that was cut short goes on. `--write` puts the table
into docs/results.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results.md"
SHOWN = {
    "single_label": ("accuracy", "macro_f1", "macro_recall"),
    "multi_label": ("micro_f1", "macro_f1", "mean_average_precision"),
    "regression": ("pearson", "spearman", "rmse"),
}

PAGE = """\
# Results

What the starter model (MiniLM, 6 layers, 22.7 million parameters, on a processor) reaches with the configuration that
`forgeml init` proposes, nothing changed. Figures are those of the test split, or of validation where there is no test
split; rows are those that were trained on.

| Data | Task | Rows | Epochs | Scored on | Figures | Without texts that stand in train |
|---|---|---|---|---|---|---|
{rows}

The table is written by `benchmarks/quality.py`. One seed; on the smaller sets another seed moves a figure by a point
or two.

"""
END = "<!-- end of the table -->\n"


def main() -> None:
    """Train what is not there yet, and show the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds a folder for each data set")
    parser.add_argument("--model", required=True, help="model to start from")
    parser.add_argument("--work", type=Path, required=True, help="folder for configurations, models and results")
    parser.add_argument("--only", nargs="*", default=(), help="names of the folders; left out: all")
    parser.add_argument("--write", action="store_true", help="write docs/results.md")
    options = parser.parse_args()
    names = options.only or sorted(folder.name for folder in options.data.iterdir() if folder.is_dir())
    for name in names:
        work = options.work / name
        if not (work / "best_model" / "forgeml.json").exists():
            work.mkdir(parents=True, exist_ok=True)
            data, model = (options.data / name).resolve(), Path(options.model).resolve()
            _forgeml(work, "init", str(data), "--model", str(model), "--force")
            _forgeml(work, "train")
    manifests = {name: _manifest(options.work / name) for name in names}
    rows = "\n".join(_row(name, manifest) for name, manifest in manifests.items())
    print(rows)
    if options.write:
        # What stands below the table was written by hand.
        below = RESULTS.read_text(encoding="utf-8").partition(END)[2] if RESULTS.exists() else "\n"
        RESULTS.write_text(PAGE.format(rows=rows) + END + below, encoding="utf-8")


def _forgeml(work: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "forgeml", *arguments], cwd=work, check=True)


def _manifest(work: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((work / "best_model" / "forgeml.json").read_text(encoding="utf-8"))
    return found


def _row(name: str, manifest: dict[str, Any]) -> str:
    task, metrics = manifest["task"], manifest["metrics"]
    split = "test" if "test" in metrics else "validation"
    pairs = " on pairs" if manifest["data"]["text_pair_column"] else ""
    classes = "" if task == "regression" else f", {len(manifest['labels'])} classes"
    cells = [name, f"`{task}`{pairs}{classes}", f"{manifest['data']['rows']['train']:,}"]
    cells += [str(manifest["config"]["training"]["num_epochs"]), f"{split}, {manifest['data']['rows'][split]:,}"]
    cells += [_figures(task, metrics[split]), _figures(task, metrics.get("test_without_duplicates"))]
    return f"| {' | '.join(cells)} |"


def _figures(task: str, metrics: dict[str, float] | None) -> str:
    return ", ".join(f"{name} {metrics[name]:.3f}" for name in SHOWN[task]) if metrics else ""


if __name__ == "__main__":
    main()
