"""Which engine runs a saved model best on this machine: all are tried, and the winner's files join the folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from forgeml.errors import ModelError
from forgeml.events import Event, Progress
from forgeml.inference.classifier import Classifier
from forgeml.inference.engines import ENGINES, PLAIN, RECORD, open_engine
from forgeml.machine import describe_machine, thread_count, versions
from forgeml.metrics import DEFAULT_METRIC, METRICS, is_defined
from forgeml.model.logits import Logits
from forgeml.model.manifest import FORMAT, MANIFEST, file_hashes, read_manifest
from forgeml.model.publishing import prepared_for, writing
from forgeml.optimizing.building import RECIPES, build_all, refuse_others, remove_others, weights_of
from forgeml.optimizing.measuring import Quality, Speed, quality, speeds
from forgeml.optimizing.samples import Samples
from forgeml.records import Split

Tell = Callable[[Event], None]


@dataclass(frozen=True)
class Guard:
    """How far the answers of an engine may be from those of fp32."""

    max_drop: float = 0.5
    """Of the metric, in points."""
    min_agreement: float = 0.96
    """Share of the texts of which it says the same."""

    def passes(self, found: Quality) -> bool:
        """Whether an engine with this quality may be used."""
        return found.drop <= self.max_drop and found.agreement >= self.min_agreement


@dataclass(frozen=True)
class Trial:
    """One engine: what was measured of it, or why it was not tried."""

    name: str
    quality: Quality | None = None
    speed: Speed | None = None
    inside: bool = False
    """Whether it passes the guard."""
    reason: str = ""
    """Why it was not tried."""

    def as_dict(self) -> dict[str, Any]:
        """As it is written in JSON: flat, without what is not known."""
        told = {name: value for some in (self.quality, self.speed) if some for name, value in asdict(some).items()}
        return {"name": self.name, **told, **({"reason": self.reason} if self.reason else {"inside": self.inside})}


@dataclass(frozen=True)
class Optimized:
    """What came out."""

    best: str
    """The engine that the folder is opened with from now on."""
    trials: Sequence[Trial]
    metric: str
    texts: int
    """That were measured with."""
    written: Sequence[str] = ()
    """Files that joined the folder."""


def optimize(reference: Classifier, folder: Path, samples: Samples, guard: Guard, aim: str, tell: Tell) -> Optimized:
    """Try all engines that are installed, and have the folder opened with the best of them on machines like this.

    The folder is replaced in one move; what else is in it stays. Without an engine that is better than torch in fp32
    no files are added.

    Args:
        reference: the folder, opened with torch in fp32; it says where torch computes.
        folder: that `forgeml train` has saved.
        samples: texts to measure with.
        guard: how far answers may be from those of fp32.
        aim: `throughput` or `latency`: what the best engine is best in.
        tell: is given what happens.

    Raises:
        ModelError: the folder has changed or does not open.
        MachineError: the folder cannot be written.
    """
    folder = folder.resolve()
    with prepared_for(folder) as prepared:
        with writing(prepared):
            shutil.copytree(folder, prepared, ignore=partial(_earlier_files, folder, reference.manifest["files"]))
            # What the folder may not be written with would keep the copy from being completed, and from being removed.
            prepared.chmod(prepared.stat().st_mode | 0o700)
            found, reasons = _open_all(reference, prepared, samples, tell)
        trials = _measure(found, samples, guard, tell)
        best = _best(trials, aim)
        trials += [Trial(name, reason=reason) for name, reason in reasons.items()]
        outcome = Optimized(best, trials, metric_of(reference, samples.measured), len(samples.measured))
        written = _finish(prepared, found[best], outcome, samples, guard)
        if read_manifest(folder) != reference.manifest:
            what = "has changed while it was measured, and is left as it is now"
            raise ModelError.at(str(folder), what, "run forgeml optimize again")
        return replace(outcome, written=written)


def _earlier_files(folder: Path, files: Mapping[str, str], place: str, names: Sequence[str]) -> list[str]:
    """Of some names in a place those that an earlier run has written; what a user keeps there is not among them."""
    inside = {name: (Path(place) / name).relative_to(folder).as_posix() for name in names}
    return [name for name, path in inside.items() if "/" in path and path in files]


def _without_engine(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest as it was before an earlier run."""
    files = {name: known for name, known in manifest["files"].items() if "/" not in name}
    return {**{name: value for name, value in manifest.items() if name != RECORD}, "files": files}


def _open_all(
    reference: Classifier, prepared: Path, samples: Samples, tell: Tell
) -> tuple[dict[str, Classifier], dict[str, str]]:
    """All engines that can be had, opened, the reference first; and why the others cannot."""
    refuse_others(prepared)
    record, reasons = build_all(
        prepared,
        reference.manifest["files"],
        samples.calibration,
        reference.cut,
        lambda done, total: tell(Progress("build engines", done, total)),
    )
    manifest = {**_without_engine(reference.manifest), RECORD: record}
    found = {PLAIN: reference}
    for name in ENGINES:
        if name != PLAIN and name not in reasons:
            device = "cpu" if name in RECIPES else reference.device
            found[name] = Classifier(open_engine(prepared, name, manifest, device), manifest)
    return found, reasons


def _measure(found: Mapping[str, Classifier], samples: Samples, guard: Guard, tell: Tell) -> list[Trial]:
    part, reference, metric = samples.measured, found[PLAIN], metric_of(found[PLAIN], samples.measured)
    exact = _logits(reference, part, tell)
    qualities = {
        name: quality(reference, part, metric, exact, exact if name == PLAIN else _logits(classifier, part, tell))
        for name, classifier in found.items()
    }
    timed = speeds(found, part, lambda done, total: tell(Progress("time engines", done, total)))
    passes = {name for name in found if name == PLAIN or guard.passes(qualities[name])}
    return [Trial(name, qualities[name], timed[name], name in passes) for name in found]


def metric_of(classifier: Classifier, part: Split) -> str:
    """The metric that decided over the training, or the first of the task that can be told on these texts."""
    chosen = classifier.manifest["config"].get("training", {}).get("best_metric")
    wanted = [chosen, DEFAULT_METRIC[classifier.task], *METRICS[classifier.task]]
    names = [name for name in wanted if name in METRICS[classifier.task]]
    return next(str(name) for name in names if is_defined(classifier.task, name, part.labels))


def _logits(classifier: Classifier, part: Split, tell: Tell) -> Logits:
    task = f"score {classifier.engine}"
    return classifier.logits(part.texts, lambda done: tell(Progress(task, done, len(part))))


def _best(trials: Sequence[Trial], aim: str) -> str:
    """Of the engines inside the guard the one that is best in what is aimed at; torch in fp32 always is inside."""
    allowed = [(trial.name, trial.speed) for trial in trials if trial.inside and trial.speed]
    if aim == "latency":
        return min(allowed, key=lambda pair: pair[1].ms_one_text)[0]
    return max(allowed, key=lambda pair: pair[1].texts_per_second)[0]


def _finish(prepared: Path, found: Classifier, outcome: Optimized, samples: Samples, guard: Guard) -> list[str]:
    """Leave the winner's files, and those of its kind in fp32 for other machines; write the record."""
    record = found.manifest.get(RECORD, {})
    family = outcome.best.partition("-")[0]
    names = [name for name in record.get("files", {}) if name in (outcome.best, f"{family}-fp32")]
    files = {name: record["files"][name] for name in names}
    told: dict[str, Any] = {
        "name": outcome.best,
        "device": "cpu" if outcome.best in RECIPES else found.device,
        "machine": describe_machine(),
        "threads": thread_count(),
        "files": files,
        "weights": weights_of(found.manifest["files"], prepared),
        "measured_on": {"data": samples.data, "split": samples.measured.name, "texts": outcome.texts},
        "metric": outcome.metric,
        "guard": asdict(guard),
        "trials": [trial.as_dict() for trial in outcome.trials],
        "versions": versions(),
    }
    kept = [file for some in files.values() for file in some]
    if files:
        told |= {"tokenizer": record["tokenizer"], "max_length": record["max_length"]}
        kept.append(record["tokenizer"]["file"])
    remove_others(prepared, kept)
    manifest = {**_without_engine(found.manifest), RECORD: told}
    added = {name: known for name, known in file_hashes(prepared).items() if name in kept and "/" in name}
    manifest["files"] = {**manifest["files"], **added}
    with writing(prepared / MANIFEST):
        text = json.dumps({**manifest, "format": FORMAT}, indent=2, ensure_ascii=False)
        (prepared / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return sorted(added)
