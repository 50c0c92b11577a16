"""What tracking costs a training: with a file, and with servers that are slow, silent or gone, against none at all.

    python benchmarks/tracking.py --model quickstart/starter/model --data quickstart/starter/data

Each run is a process of its own, the ways take turns, and what is compared is the time from the end of the first step
to the end of the last one. Every step is tracked.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NONE = "none"
SLOW_S = 2.0


class _Slow(BaseHTTPRequestHandler):
    """Answers late, and that something is wrong."""

    def do_GET(self) -> None:
        time.sleep(SLOW_S)
        self.send_error(500)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def main() -> None:
    """Compare the ways; or be one of the measuring processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="model to start from")
    parser.add_argument("--data", required=True, help="data with the columns text and label")
    parser.add_argument("--rows", type=int, default=2_400, help="of them that are trained on")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.store:
        print(_seconds(options.model, options.data, options.rows, options.store))
        return
    with _stores() as stores:
        found: dict[str, list[float]] = {way: [] for way in stores}
        for _ in range(options.rounds):
            for way, store in stores.items():
                found[way].append(_measured(store))
                print(f"{way}: {found[way][-1]:.2f} s", file=sys.stderr, flush=True)
    base = statistics.median(found[NONE])
    for way, seconds in found.items():
        middle = statistics.median(seconds)
        ratios = [one / other for one, other in zip(seconds, found[NONE], strict=True)]
        figures = {"median_s": round(middle, 2), "against_none": round(middle / base, 4)}
        pairs = {"median_of_pairs": round(statistics.median(ratios), 4)}
        print(json.dumps({"tracking": way, **figures, **pairs, "seconds": [round(one, 2) for one in seconds]}))


@contextmanager
def _stores() -> Iterator[Mapping[str, str]]:
    """Addresses by what is to be expected there."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.create_server(("127.0.0.1", 0)) as gone,
        ThreadingHTTPServer(("127.0.0.1", 0), _Slow) as slow,
    ):
        threading.Thread(target=slow.serve_forever, daemon=True).start()
        port = gone.getsockname()[1]
        gone.close()
        yield {
            NONE: NONE,
            "a file": "file",
            "a slow server": f"http://127.0.0.1:{slow.server_port}",
            "a silent server": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "a server that is gone": f"http://127.0.0.1:{port}",
        }
        slow.shutdown()


def _measured(store: str) -> float:
    command = [sys.executable, __file__, *sys.argv[1:], "--store", store]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)


def _seconds(model: str, data: str, rows: int, store: str) -> float:
    """From the end of the first step to the end of the last one."""
    from forgeml.config.schema import Config
    from forgeml.events import Event, StepReport
    from forgeml.training.tracking.tracker import Tracker
    from forgeml.training.train import train

    if store == NONE:
        Tracker._begin = lambda self: None  # type: ignore[method-assign]
    times: list[float] = []

    def tell(event: Event) -> None:
        if isinstance(event, StepReport):
            times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "model": {"name": model, "max_length": 128},
            "data": {"dataset": data, "train_split": f"train[:{rows}]"},
            "training": {"batch_size": 16, "num_epochs": 1},
            "logging": {"log_interval": 1},
            "mlflow": {"tracking_uri": store if "://" in store else f"sqlite:///{Path(folder) / 'mlflow.db'}"},
            "output_dir": folder,
        }
        train(Config.model_validate(settings), tell)
    return times[-1] - times[0]


if __name__ == "__main__":
    main()
