"""`forgeml predict MODEL INPUT -o OUTPUT`: every row of a file."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from forgeml.cli import streams
from forgeml.cli.arguments import Opening
from forgeml.errors import ConfigError, ForgeError, Problem
from forgeml.inference.files.columns import Scorer, Wanted
from forgeml.inference.files.places import looks_like_file, source_of, target_of
from forgeml.inference.files.reading import How
from forgeml.inference.files.scoring import Job, score_file

if TYPE_CHECKING:
    from forgeml.inference.classifier import Classifier

SETTING = re.compile(r"\bdata\.(delimiter|encoding|field|on_bad_rows)(: )?")
"""What errors over files name, as it is in a configuration."""
NO_PART_OF_MODEL = ("forgeml.json", "README.md")
"""Files of a saved model that answers do not depend on; the first is the manifest, which counts by what it says."""
BAD_ROWS = ("error", "skip")


def means_file(texts: list[str], output: str | None) -> bool:
    """Whether a file is meant, and not the texts themselves."""
    return output is not None or (len(texts) == 1 and looks_like_file(texts[0]))


def refuse_files(folder: str, texts: list[str]) -> None:
    """Refuse names of files among texts: a file for the output, named without its option, looks like a second text.

    Raises:
        ConfigError: a text is the name of a data file that is there.
    """
    files = [text for text in texts if looks_like_file(text) and os.path.isfile(os.path.expanduser(text))]
    if files:
        output = next((text for text in texts if text != files[0] and looks_like_file(text)), "scored.csv")
        fix = shlex.join(["forgeml", "predict", folder, files[0], "--output", output])
        raise ConfigError.at("--output", f"is missing: {files[0]} is a file", fix)


def predict_file(opening: Opening, name: str, output: str | None, asked: Mapping[str, Any], as_json: bool) -> None:
    """Score a file and say what was done.

    Args:
        opening: the model, and what runs it.
        name: the input, or `-`.
        output: the output, or `-`; None if it is not given.
        asked: what is given of the options for files, by their names.
        as_json: whether to print what was done as JSON.

    Raises:
        ForgeError: of all kinds; settings are called by the names of the options.
    """
    try:
        job = _job(name, output, asked, as_json)
        # The slow imports come after the checks: a mistake is told in an instant.
        from forgeml.cli.console import Watcher, clock
        from forgeml.events import Note
        from forgeml.inference.classifier import Classifier

        classifier = Classifier.from_pretrained(opening.folder, opening.device, opening.engine)
        with Watcher() as tell:
            if classifier.note:
                tell(Note("engine", classifier.note, warning=True))
            scored = score_file(job, _scorer(classifier, opening), classifier.predict, tell)
            done = scored.as_dict()
            speed = f"{clock(scored.seconds)}, {done['rows_per_second']:,.0f} rows/s"
            tell(Note("result", f"{scored.output}: {scored.rows:,} rows with {', '.join(scored.added)} ({speed})"))
    except ForgeError as error:
        raise _by_options(error) from error
    if as_json:
        typer.echo(json.dumps(done, ensure_ascii=False))


def _job(name: str, output: str | None, asked: Mapping[str, Any], as_json: bool) -> Job:
    """What is to be done, once all that can be seen without the model is seen to fit.

    Raises:
        ConfigError: options that do not fit.
        DataError: no such file.
        MachineError: the output cannot be written.
    """
    if asked["--on-bad-rows"] not in (None, *BAD_ROWS):
        raise ConfigError.at("--on-bad-rows", f"{asked['--on-bad-rows']!r} is not known", "give error or skip")
    if as_json and output == "-":
        raise ConfigError.at("--json", "both the rows and the report would go to stdout", "leave one of them out")
    stream = sys.stdin.buffer if sys.stdin else io.BytesIO()
    source = source_of(name, asked["--from"], stream)
    if output is None:
        example = f"forgeml predict MODEL {name} --output scored.csv, or --output - for standard output"
        raise ConfigError.at("--output", f"is missing, and {source} is to be scored as a file", example)
    target = target_of(output, asked["--to"], source, asked["--overwrite"], streams.write_bytes)
    if target.path is None and target.kind == ".parquet" and sys.stdout.isatty():
        raise ConfigError.at("--output", "a terminal cannot show Parquet", "give a file, or --to jsonl")
    how = How(asked["--delimiter"], asked["--encoding"], asked["--field"], asked["--on-bad-rows"])
    wanted = Wanted(tuple(asked["--text-column"] or ()), asked["--pair-column"], asked["--scores"], asked["--suffix"])
    return Job(source, target, how, wanted, not asked["--no-escape"])


def _scorer(classifier: Classifier, opening: Opening) -> Scorer:
    data = classifier.manifest.get("data", {})
    text = data.get("text_column") or ()
    return Scorer(
        task=classifier.task,
        labels=classifier.labels,
        identity=_identity(classifier, Path(os.path.expanduser(opening.folder))),
        pairs=classifier.pairs,
        text_columns=(text,) if isinstance(text, str) else tuple(text),
        pair_column=data.get("text_pair_column"),
        label_separator=data.get("label_separator"),
    )


def _identity(classifier: Classifier, folder: Path) -> str:
    """Another one for another model: by the hashes that the manifest holds, else by size and time of the files."""
    known = {*classifier.manifest.get("files", {}), *NO_PART_OF_MODEL}
    files = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
    facts = [(name, path.stat().st_size, path.stat().st_mtime_ns) for name, path in files if name not in known]
    runs = (classifier.device, classifier.engine, importlib.metadata.version("forgeml"))
    said = json.dumps([classifier.manifest, facts, runs], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def _by_options(error: ForgeError) -> ForgeError:
    """The error with the names of the options in place of those of the settings."""

    def named(text: str) -> str:
        return SETTING.sub(lambda found: f"--{found[1].replace('_', '-')}{' ' if found[2] else ''}", text)

    return type(error)([Problem(*map(named, (one.where, one.what, one.fix))) for one in error.problems])
