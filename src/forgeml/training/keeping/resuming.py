"""Whether a run may go on from a checkpoint: what would make it another run is found out and listed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from forgeml.config.loading import flatten
from forgeml.config.schema import Config
from forgeml.errors import ConfigError, Problem, nearest
from forgeml.events import Note
from forgeml.machine import processor_name, versions
from forgeml.training.keeping.checkpoints import Checkpoint, Damaged
from forgeml.training.materials import Materials
from forgeml.training.result import resolved

ANOTHER_RUN = ("model.", "data.", "training.", "logging.eval_interval")
"""Settings that the weights depend on, by how their names begin."""
SPARED = frozenset({"training.keep_checkpoints", "training.device"})
FRESH = "--fresh starts over and removes it; or see below what to set back"
DATA, MODEL = "data", "model"
"""What the names of the facts are that no setting tells: the rows themselves, and the weights that a run began with."""

Facts = dict[str, Any]


def facts(config: Config, materials: Materials) -> dict[str, Facts]:
    """What the weights that come out of a run depend on.

    Returns:
        `same`: what must be the same for it to be the same run. `near`: what the last bits of the weights depend on.
    """
    settings = flatten(resolved(config, materials))
    runtime = materials.runtime
    same = {name: value for name, value in settings.items() if name.startswith(ANOTHER_RUN) and name not in SPARED}
    near = {
        "device": runtime.device,
        "precision": runtime.precision,
        "threads": runtime.threads,
        "processes": materials.processes.count,
        "processor": processor_name(),
        **versions(),
    }
    return {"same": {**same, DATA: materials.splits.fingerprint, MODEL: _beginning(materials)}, "near": near}


def pinned(config: Config, checkpoint: Checkpoint | None) -> Config:
    """The configuration with the commits that a checkpoint recorded, so that the hub need not be asked again.

    Where another model or other data are named by now, these have commits of their own.
    """
    if checkpoint is None:
        return config
    commits, before = checkpoint.state["commits"], checkpoint.state["asked"]
    now = asked(config)
    pins = {name: commits[name] for name in (MODEL, DATA) if commits[name] and before[name] == now[name]}
    sections: dict[str, Any] = {MODEL: config.model, DATA: config.data}
    changed = {name: sections[name].model_copy(update={"revision": commit}) for name, commit in pins.items()}
    return config.model_copy(update=changed)


def asked(config: Config) -> dict[str, Any]:
    """What the hub is asked for, as JSON has it: the model, and the data."""
    source = config.data.model_dump(mode="json", include={"dataset", "subset", "revision"})
    return {MODEL: [config.model.name, config.model.revision], DATA: source}


def check_same(checkpoint: Checkpoint, found: Mapping[str, Facts], allowed: Sequence[str]) -> None:
    """See that a run goes on as it began.

    Raises:
        ConfigError: something differs that is not allowed to.
    """
    before, now = checkpoint.state["facts"]["same"], found["same"]
    unknown = [name for name in allowed if name not in {*before, *now}]
    if unknown:
        close = nearest(unknown[0], now)
        fix = f"did you mean {close}?" if close else "name one of those that a refusal lists"
        raise ConfigError.at("--allow-changed", f"{unknown[0]} is nothing that a run depends on", fix)
    problems = [_problem(name, *pair) for name, pair in _differences(before, now) if name not in allowed]
    if problems:
        raise ConfigError([Problem("checkpoint", f"{checkpoint.folder} is of another run", FRESH), *problems])


def differing(checkpoint: Checkpoint, found: Mapping[str, Facts]) -> Iterator[Note]:
    """Sentences on what has changed and is no reason to refuse."""
    pairs = list(_differences(checkpoint.state["facts"]["near"], found["near"]))
    if pairs:
        told = "; ".join(f"{name} {then} then, {now} now" for name, (then, now) in pairs)
        yield Note("checkpoint", f"the weights will not be the same bit for bit: {told}", warning=True)


def passed_over(damaged: Sequence[Damaged]) -> Iterator[Note]:
    """A sentence on each checkpoint that is not whole."""
    for one in damaged:
        yield Note("checkpoint", f"{one.folder} is passed over: {one.what}", warning=True)


def _differences(before: Facts, now: Facts) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield name, (before.get(name), now.get(name))


def _problem(name: str, then: Any, now: Any) -> Problem:  # noqa: ANN401 values of settings
    if name in (DATA, MODEL):
        things = {DATA: "the rows are", MODEL: "the weights to begin with are"}
        return Problem(name, f"{things[name]} not those that the run began with", f"--allow-changed {name} goes on")
    return Problem(name, f"{then!r} then, {now!r} now", f"set it back, or go on with --allow-changed {name}")


def _beginning(materials: Materials) -> str:
    """What tells the weights that a run begins with: their commit, or for a local folder the hash of its files."""
    pretrained = materials.pretrained
    if pretrained.commit:
        return pretrained.commit
    digest = hashlib.sha256()
    for file in sorted(Path(pretrained.folder).glob("*.safetensors")):
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
