"""How well and how fast all engines answer, compared with `transformers.pipeline`, on models that ForgeML trained.

    python benchmarks/predict.py --models FOLDER --data FOLDER
    python benchmarks/predict.py --model reviews/best_model=test.csv --calibrate reviews/best_model=train.csv

With `--models` and `--data`, a model in FOLDER/NAME/best_model is measured on test.csv or test.csv.gz, or else on
validation, of the folder NAME of the data, and calibrated by train. A line of JSON is printed and kept for each model
as soon as it is done. Started again with the same report and options, the script measures only what is not there yet;
after a change of ForgeML itself, name another report.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgeml.errors import ForgeError
from forgeml.machine import available_cores, describe_machine, versions

REPORTS = Path(__file__).resolve().parent / "reports"
THREADS_SET_BY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
"""Variables that libraries read when they are loaded; the last one is for tokenizers."""
SETTINGS = ("threads", "texts", "rounds", "repeats", "round_seconds", "starts", "files", "file_rows")
"""Options that figures depend on."""


@dataclass(frozen=True)
class Job:
    """A model, and the files that it is measured with."""

    name: str
    model: Path
    test: Path
    train: Path | None
    """Texts for calibration; without it the last rows of `test` serve."""


def main() -> None:
    """Measure one model after the other; the report is written anew after each."""
    options = _options()
    for name in THREADS_SET_BY:
        os.environ[name] = str(options.threads)
    # Only now are libraries loaded that read these variables.
    import torch
    from predicting.processes import MEMORY_TEXTS, scores_files
    from predicting.report import write_page

    torch.set_num_threads(options.threads)
    if options.files and not scores_files():
        _say("this ForgeML has no forgeml predict MODEL FILE -o OUT --engine NAME, so no files are scored")
        options.files = False
    report = options.report or REPORTS / f"predict-{datetime.date.today()}.md"
    report.parent.mkdir(parents=True, exist_ok=True)
    kept = report.with_suffix(".jsonl")
    shared = _shared_facts(options)
    results = _known(kept, shared)
    failed: list[str] = []
    for job in _jobs(options):
        facts = {**shared, **_facts(job)}
        found = results.get(job.name, {})
        if any(found.get(name) != value for name, value in facts.items()):
            try:
                found = {**facts, "date": str(datetime.date.today()), **_measure(job, options)}
            except (ForgeError, RuntimeError, ValueError, OSError) as error:
                # The models behind it are measured all the same.
                _say(f"{job.name} could not be measured: {error}")
                failed.append(job.name)
                continue
            with kept.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(found) + "\n")
        print(json.dumps(found), flush=True)
        results[job.name] = found
        report.write_text(write_page(list(results.values()), MEMORY_TEXTS), encoding="utf-8")
        _say(f"{job.name} stands in {report}")
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--models", type=Path, help="folder that holds a folder for each model, with best_model in it")
    add("--data", type=Path, help="folder that holds a folder of the same name with the data of each")
    add("--only", nargs="*", default=(), help="names of the folders; left out: all")
    add("--model", action="append", default=[], metavar="MODEL=TEST_FILE", help="one model; may be repeated")
    add("--calibrate", action="append", default=[], metavar="MODEL=TRAIN_FILE", help="texts to set numbers by")
    add("--threads", type=int, default=available_cores(), help="left out: as many as there are cores")
    add("--texts", type=int, default=1000, help="texts to measure with at most")
    add("--rounds", type=int, default=5, help="turns that each contender has")
    add("--repeats", type=int, default=50, help="how often one text alone is answered")
    add("--round-seconds", type=float, default=4.0, help="seconds of the pipeline for the texts of a round, about")
    add("--starts", type=int, default=5, help="processes that are started for the time to the first answer")
    add("--files", action="store_true", help="time forgeml predict on a file too, where it can do that")
    add("--file-rows", type=int, default=1000, help="rows of that file at most")
    add("--report", type=Path, help="left out: predict-DATE.md in benchmarks/reports; JSON is kept beside it")
    options = parser.parse_args()
    if bool(options.models) != bool(options.data):
        parser.error("--models and --data go together")
    if not options.models and not options.model:
        parser.error("no models; give --models and --data, or --model MODEL=TEST_FILE")
    if any("=" not in pair for pair in options.model + options.calibrate):
        parser.error("write --model and --calibrate as MODEL=FILE")
    return options


def _jobs(options: argparse.Namespace) -> list[Job]:
    train = {Path(model).resolve(): Path(file) for model, _, file in (one.partition("=") for one in options.calibrate)}
    found = []
    for model, _, file in (one.partition("=") for one in options.model):
        folder = Path(model).resolve()
        found.append(Job(_name(folder), folder, Path(file), train.get(folder)))
    for place in sorted(options.models.iterdir()) if options.models else ():
        folder, data = (place / "best_model").resolve(), options.data / place.name
        if not (folder / "forgeml.json").exists() or (options.only and place.name not in options.only):
            continue
        test = _file(data, "test") or _file(data, "validation")
        if test is None:
            _say(f"{place.name} is left out: the data have no {place.name}/test.csv or test.csv.gz")
        else:
            found.append(Job(place.name, folder, test, train.get(folder) or _file(data, "train")))
    names = [job.name for job in found]
    if len(set(names)) < len(names):
        sys.exit("two models have the same name; a model is called by its folder, or the folder above best_model")
    wrong = [path for job in found for path in (job.model / "forgeml.json", job.test, job.train) if path]
    missing = [str(path) for path in wrong if not path.is_file()]
    if missing or not found:
        sys.exit(f"not there: {', '.join(missing)}" if missing else "no model with data was found")
    return found


def _name(folder: Path) -> str:
    return folder.parent.name if folder.name in ("best_model", "last_model") else folder.name


def _file(data: Path, split: str) -> Path | None:
    files = [data / f"{split}{ending}" for ending in (".csv", ".csv.gz")]
    return next((file for file in files if file.is_file()), None)


def _shared_facts(options: argparse.Namespace) -> dict[str, Any]:
    """What the figures of all models depend on."""
    settings = {name: getattr(options, name) for name in SETTINGS}
    return {"machine": describe_machine(), "versions": versions(), "settings": settings}


def _facts(job: Job) -> dict[str, Any]:
    """What the figures of one model depend on."""
    files = json.loads((job.model / "forgeml.json").read_text(encoding="utf-8"))["files"]
    return {
        "name": job.name,
        "weights": {name: digest for name, digest in files.items() if name.endswith(".safetensors")},
        "test": job.test.name,
        "train": job.train.name if job.train else None,
    }


def _known(kept: Path, shared: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By name what was measured before under the same facts; a line that was cut short does not count."""
    found = {}
    for line in kept.read_text(encoding="utf-8").splitlines() if kept.exists() else ():
        with suppress(json.JSONDecodeError):
            known: dict[str, Any] = json.loads(line)
            if all(known.get(name) == value for name, value in shared.items()):
                found[known["name"]] = known
    return found


def _measure(job: Job, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one model, on a copy of it."""
    from predicting import contenders, processes, texts, timing

    manifest = json.loads((job.model / "forgeml.json").read_text(encoding="utf-8"))
    sample = texts.read_sample(manifest, job.test, job.train, options.texts)
    measured = sample.measured

    def say(line: str) -> None:
        _say(f"{job.name}: {line}")

    with tempfile.TemporaryDirectory() as work:
        place = Path(work, "model")
        say("building the files of all engines")
        reasons = contenders.build_apart(job.model, place, sample.calibration)
        names = contenders.names_without(reasons)
        cut = contenders.cut_of(place)
        apart = processes.Processes(place, cut.max_length, say)
        found = {
            "task": manifest["task"],
            "labels": len(manifest["labels"]),
            "pairs": measured.texts.pairs,
            "max_length": cut.max_length,
            "long_texts": cut.long_texts,
            "names": names,
            "reasons": reasons,
            "texts": len(measured),
            "held_out": sample.held_out,
            "left_out": sample.left_out,
            "calibrated_by": sample.calibrated_by,
            "sizes": contenders.sizes(place, names),
            "memory": apart.peaks(names, measured.texts, Path(work)),
            "start": apart.starts(
                [name for name in names if name != contenders.BATCHED], measured.texts, options.starts
            ),
        }
        columns = [manifest["data"][name] for name in ("text_column", "text_pair_column") if manifest["data"][name]]
        if options.files and all(isinstance(name, str) for name in columns):
            some = texts.picked(measured.texts, range(min(options.file_rows, len(measured))))
            found["files"] = apart.files(names, some, columns, Path(work))
        say("opening all engines")
        reference, every = contenders.open_all(place, names)
        found["quality"] = timing.qualities(reference, every, measured, say)
        found["speed"] = timing.speeds(
            every, measured.texts, options.rounds, options.repeats, options.round_seconds, say
        )
    return found


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
