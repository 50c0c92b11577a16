"""A run that tells of steps until it is killed: `python killed_tracker.py TESTS STORE OUTPUT`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from forgeml.config.schema import MlflowConfig
from forgeml.training.tracking import run
from forgeml.training.tracking.tracker import Tracker
from tracked import tell_beginning, tell_steps


def main(store: str, output: Path) -> None:
    """Say each step once it has been told."""
    run.OPENING_S = 0.5 if store.startswith("http") else 20.0
    tracker = Tracker(MlflowConfig(tracking_uri=store, run_name="cut off"), output, lambda reason: None)
    with tracker.running():
        tell_beginning(tracker)
        for step in range(1, 1_000_000):
            tell_steps(tracker, [step])
            sys.stdout.write(f"{step}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[2], Path(sys.argv[3]))
