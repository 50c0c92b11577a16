"""How fast ForgeML trains, compared with the library's Trainer in three settings and with two cheap alternatives.

    python benchmarks/train.py --model FOLDER --data FOLDER
    python benchmarks/train.py --model FOLDER --data FOLDER --texts short --sizes model --measures speed --rounds 3
    python benchmarks/train.py --model FOLDER --data FOLDER --device cuda

Each training is a process of its own. For speed, contenders have their turns in rounds, each round in another order;
for accuracy each of them trains on more rows with several seeds, and is scored. A line of JSON is kept for each
training as soon as it is done. Started again with the same report and options, the script measures only what is not
there yet; after a change of ForgeML itself, name another report.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from training.materials import drawn
from training.plans import ACCURACY, CONTENDERS, MODEL, SIZES, SPEED, SPEED_ROWS, TEXTS
from training.processes import measure, run, why_not
from training.report import write_page
from training.turns import Kept, Table

from forgeml.machine import available_cores, describe_machine, versions

BENCHMARKS = Path(__file__).resolve().parent
STARTER = BENCHMARKS.parent / "quickstart" / "starter"
MORE_PACKAGES = ("scikit-learn", "fasttext-modern")
SETTINGS = ("threads", "device", "rows", "validation_rows", "speed_rows")
"""Options that figures depend on."""
FOLDERS = ("--model", "--data", "--report")


def main() -> None:
    """Measure one table after the other; the report is written anew after each training."""
    options = _options()
    signal.signal(signal.SIGTERM, _stop)
    report = options.report or BENCHMARKS / "reports" / f"train-{datetime.date.today()}.md"
    report.parent.mkdir(parents=True, exist_ok=True)
    left_out = {name: reason for name in options.contenders if (reason := why_not(name))}
    results: list[dict[str, Any]] = []
    failed: list[str] = []
    try:
        with tempfile.TemporaryDirectory() as work:
            for found, problem in _measured(options, Kept(report.with_suffix(".jsonl")), left_out, Path(work)):
                if problem:
                    # The others are measured all the same.
                    _say(f"that failed: {problem}")
                    failed.append(f"{found['contender']} on {found['texts']} texts ({problem})")
                    continue
                results.append(found)
                report.write_text(write_page(results, _command(), left_out), encoding="utf-8")
    except (RuntimeError, ValueError) as error:
        sys.exit(f"there is nothing to measure with: {error}")
    if failed or not results:
        sys.exit(f"not measured: {'; '.join(failed) or 'anything'}")
    _say(f"{len(results)} trainings stand in {report}")


def _measured(
    options: argparse.Namespace, kept: Kept, left_out: dict[str, str], work: Path
) -> Iterator[tuple[dict[str, Any], str | None]]:
    """What was measured of each training, before or now; or what it was to be, and why it was not."""
    shared = _shared_facts(options)
    rounds = {SPEED: range(1, options.rounds + 1), ACCURACY: options.seeds}
    wanted = {kind: rounds[kind] for kind in options.measures}
    names = [name for name in options.contenders if name not in left_out]
    for table in _tables(options, work):
        facts = {**shared, **table.facts()}
        for turn in table.turns(wanted, names, options.device):
            found = kept.find(facts, turn)
            if found is None:
                _say(f"{table.texts} texts, {table.size}: {turn.kind} {turn.turn} of {turn.contender}")
                found = {**facts, **asdict(turn), "date": str(datetime.date.today())}
                try:
                    found |= measure(table.job(turn, options.device, options.threads, work))
                except (OSError, RuntimeError, ValueError) as error:
                    yield found, str(error)
                    continue
                kept.add(found)
            yield found, None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", type=Path, default=STARTER / "model", help="pre-trained BERT; left out: that of the starter")
    add("--data", type=Path, help="folder with tweet_eval_sentiment and imdb; left out: the starter's short texts")
    add("--texts", nargs="+", choices=TEXTS, help="left out: both, as far as they are there")
    add("--sizes", nargs="+", choices=SPEED_ROWS["cpu"]["short"], help="of models; left out: model and distilbert")
    add("--measures", nargs="+", choices=(SPEED, ACCURACY), default=(SPEED, ACCURACY), help="left out: both")
    add("--contenders", nargs="+", choices=CONTENDERS, default=tuple(CONTENDERS), help="left out: all")
    add("--rounds", type=int, default=5, help="turns that each contender has for speed")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3], help="for accuracy")
    add("--rows", type=int, default=2048, help="to train on for accuracy")
    add("--validation-rows", type=int, default=2000, help="to score")
    add("--speed-rows", type=int, help="to train on for speed; left out: by texts and size")
    add("--threads", type=int, default=available_cores(), help="left out: as many as there are cores")
    add("--device", choices=SPEED_ROWS, default="cpu", help="on a GPU all compute in bf16; left out: cpu")
    add("--report", type=Path, help="left out: train-DATE.md in benchmarks/reports; JSON is kept beside it")
    options = parser.parse_args()
    options.texts = options.texts or (tuple(TEXTS) if options.data else ("short",))
    options.sizes = options.sizes or SIZES[options.device]
    if not options.data and "long" in options.texts:
        parser.error("the starter has no long texts; name a folder with imdb by --data")
    folders = [options.data / TEXTS[kind].folder if options.data else STARTER / "data" for kind in options.texts]
    missing = [str(folder) for folder in (options.model, *folders) if not folder.is_dir()]
    if missing:
        parser.error(f"not there: {', '.join(missing)}; `make starter` gets a model and short texts")
    return options


def _tables(options: argparse.Namespace, work: Path) -> Iterator[Table]:
    for size in options.sizes:
        model = options.model.resolve()
        if size != MODEL:
            _say(f"writing a {size} of random weights")
            model = work / size
            run("training.materials", [size, str(options.model.resolve()), str(model)], options.threads, work)
        for kind in options.texts:
            data = options.data / TEXTS[kind].folder if options.data else STARTER / "data"
            rows = {SPEED: options.speed_rows or SPEED_ROWS[options.device][kind][size], ACCURACY: options.rows}
            train = drawn(data, ["train"], max(rows.values()))
            validation = drawn(data, ["validation", "test"], options.validation_rows)
            yield Table(kind, size, model, train, validation, rows)


def _shared_facts(options: argparse.Namespace) -> dict[str, Any]:
    """What the figures of all tables depend on."""
    found = versions()
    for name in MORE_PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    settings = {name: getattr(options, name) for name in SETTINGS}
    return {"machine": describe_machine(), "versions": found, "settings": settings}


def _command() -> str:
    """The command without the names of folders, which are different elsewhere."""
    words = ["python", "benchmarks/train.py"]
    for before, word in zip(sys.argv, sys.argv[1:], strict=False):
        name, equals, _ = word.partition("=")
        if before in FOLDERS:
            words.append(before.strip("-").upper())
        else:
            words.append(f"{name}={name.strip('-').upper()}" if equals and name in FOLDERS else word)
    return " ".join(words)


def _stop(number: int, frame: FrameType | None) -> None:
    """Leave in the ordinary way, so that no program is left behind."""
    sys.exit(128 + number)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
