"""How fast `forgeml serve` answers, compared with other ways to serve the same model on the same machine.

    python benchmarks/serve.py --model FOLDER --data FOLDER --litserve-python other/bin/python
    python benchmarks/serve.py --model FOLDER --data FOLDER --overload --pin
    python benchmarks/serve.py --model FOLDER --soak 100000

The others are a transformers pipeline in FastAPI, `mlflow models serve`, and LitServe with batches; what is not
installed is left out with a sentence. With `--overload` or `--soak` nothing is compared, and ForgeML alone is measured
unless `--servers` names others. The report is written anew after each kind of texts; JSON with all figures is kept
beside it, and printed at the end.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from serving.processes import choose_cores
from serving.report import write_page
from serving.runs import COMPARISON, OVERLOAD, SOAK, Runs
from serving.servers import FORGEML, NAMES, all_versions
from serving.texts import LONG, SHORT

from forgeml.machine import describe_machine

BENCHMARKS = Path(__file__).resolve().parent
USUAL_MODEL = BENCHMARKS.parent / "quickstart" / "best_model"
THREADS_SET_BY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
"""Variables that the libraries of all servers read; the last one is for tokenizers."""
SETTINGS = {
    COMPARISON: ("threads", "pin", "texts", "compared", "connections", "rounds", "seconds", "warm_up"),
    OVERLOAD: ("threads", "pin", "texts", "connections", "warm_up", "factors", "phase_seconds", "pool"),
    SOAK: ("threads", "pin", "texts", "soak"),
}
"""Options that the figures of each mode depend on."""


def main() -> None:
    """Measure one kind of texts after the other."""
    options = _options()
    signal.signal(signal.SIGTERM, _stop)
    try:
        cores = choose_cores(options.pin)
    except ValueError as error:
        sys.exit(str(error))
    options.threads = options.threads or len(cores.server) or os.cpu_count() or 1
    machine = describe_machine()
    # Servers inherit these variables, and the clients these cores.
    os.environ.update(dict.fromkeys(THREADS_SET_BY, str(options.threads)))
    if cores.client:
        os.sched_setaffinity(0, cores.client)
    mode = OVERLOAD if options.overload else SOAK if options.soak else COMPARISON
    report = options.report or BENCHMARKS / "reports" / f"{mode}-{datetime.date.today()}.md"
    report.parent.mkdir(parents=True, exist_ok=True)
    runs = Runs(options, cores, _say)
    found = {
        "mode": mode,
        "date": str(datetime.date.today()),
        "machine": machine,
        "versions": all_versions(options.litserve_python),
        "load": os.getloadavg(),
        "settings": {name: getattr(options, name) for name in SETTINGS[mode]},
        "left_out": runs.left_out,
        "kinds": {},
    }
    for kind, folder in _models(options).items():
        try:
            found["kinds"][kind] = runs.measure(mode, kind, folder)
        except (OSError, RuntimeError, ValueError) as error:
            sys.exit(f"{kind} texts could not be measured: {error}")
        report.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        report.write_text(write_page(found), encoding="utf-8")
        _say(f"{kind} texts stand in {report}")
    print(json.dumps(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", type=Path, default=USUAL_MODEL, help="saved folder; left out: that of the quickstart")
    add("--long-model", type=Path, help="another one for the long texts")
    add("--data", type=Path, help="folder with tweet_eval_sentiment and imdb; left out: the starter's texts")
    add("--kinds", nargs="+", choices=(SHORT, LONG), default=(SHORT, LONG), help="of texts")
    add("--engines", nargs="+", help="of ForgeML; left out: the first in fp32 and in INT8 of those in the folder")
    add("--servers", nargs="+", choices=NAMES, help="left out: all, or ForgeML for --overload and --soak")
    add("--litserve-python", default=sys.executable, help="a Python with LitServe, torch and transformers")
    add("--threads", type=int, help="of each server; left out: as many as it has cores")
    add("--pin", action="store_true", help="keep the server on one core and the client on another one")
    add("--texts", type=int, default=500, help="texts to ask about, in turn")
    add("--compared", type=int, default=200, help="texts of which answers are compared with the pipeline's")
    add("--connections", type=int, nargs="+", default=[1, 8, 64], help="that ask at the same time")
    add("--rounds", type=int, default=5, help="turns that each server has")
    add("--seconds", type=float, default=4.0, help="of each number of connections in a turn")
    add("--warm-up", type=float, default=1.0, help="seconds before these, which are not counted")
    add("--overload", action="store_true", help="send at fixed rates instead, in steps beyond what can be answered")
    add("--factors", type=float, nargs="+", default=[1, 2, 5, 10], help="of the measured capacity, for these steps")
    add("--phase-seconds", type=float, default=10.0, help="of each step")
    add("--pool", type=int, default=512, help="connections that are opened at most for them")
    add("--soak", type=int, metavar="N", help="send N requests of all kinds instead, and watch the server's memory")
    add("--report", type=Path, help="left out: WHAT-DATE.md in benchmarks/reports; JSON is kept beside it")
    options = parser.parse_args()
    if options.overload and options.soak:
        parser.error("--overload and --soak do not go together")
    options.servers = options.servers or ((FORGEML,) if options.overload or options.soak else NAMES)
    missing = [str(model) for model in _models(options).values() if not (model / "forgeml.json").is_file()]
    if missing:
        parser.error(f"no saved model: {', '.join(missing)}; `make quickstart` trains one, or name it with --model")
    return options


def _models(options: argparse.Namespace) -> dict[str, Path]:
    every = {SHORT: options.model, LONG: options.long_model or options.model}
    return {kind: every[kind] for kind in options.kinds}


def _stop(number: int, frame: FrameType | None) -> None:
    """Leave in the ordinary way, so that no server is left behind."""
    sys.exit(128 + number)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
