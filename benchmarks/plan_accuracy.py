"""How far the time that `forgeml plan` tells is from the time that `forgeml train` takes.

    python benchmarks/plan_accuracy.py --data imdb --rows 2000 --model quickstart/starter/model --rounds 3

Plan and training alternate. The ratio is that of the told to the measured seconds. Settings such as
`--data.test_split "test[:1000]"` may follow.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    """Run both in turn and print each pair, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="file, folder or name of the data set")
    parser.add_argument("--rows", type=int, required=True, help="training rows, the first ones")
    parser.add_argument("--model", required=True, help="model to start from")
    parser.add_argument("--rounds", type=int, default=1)
    options, settings = parser.parse_known_args()
    ratios = []
    with tempfile.TemporaryDirectory() as work:
        config = Path(work, "config.yaml")
        _forgeml(work, "init", _place(options.data), "--model", _place(options.model))
        changes = [str(config), "--data.train_split", f"train[:{options.rows}]", *settings, "--json"]
        for _ in range(options.rounds):
            told = _forgeml(work, "plan", *changes)["estimate"]
            trained = _forgeml(work, "train", *changes)
            took = trained["seconds"]
            ratios.append(told["seconds"] / took)
            summary = {"told": round(told["seconds"], 1), "took": took, "ratio": round(ratios[-1], 3)}
            print(json.dumps({**summary, "parts": told, "metrics": trained["metrics"]}), flush=True)
    print(json.dumps({"median_ratio": round(statistics.median(ratios), 3), "rounds": len(ratios)}))


def _place(name: str) -> str:
    return str(Path(name).resolve()) if Path(name).exists() else name


def _forgeml(work: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "forgeml", *arguments], cwd=work, check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout) if "--json" in arguments else {}
    return found


if __name__ == "__main__":
    main()
