"""A file in, the same file with answers out: the story."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from typing import Any

from forgeml.data.reading.opening import identity_of
from forgeml.errors import DataError, MachineError, Stopped, counted
from forgeml.events import Event, Note, Progress
from forgeml.inference.files.chunks import Chunk
from forgeml.inference.files.columns import Added, Scorer, TextColumns, Wanted, added_by, text_columns
from forgeml.inference.files.outputs import Output, open_output
from forgeml.inference.files.places import Source, Target
from forgeml.inference.files.reading import How, Input, open_input
from forgeml.inference.files.resuming import Merge, Reached
from forgeml.inference.files.writing import Encoder, Layout, encoder_for, finisher_for
from forgeml.records import Prediction

Predict = Callable[[list[str], list[str] | None, Callable[[int], None]], list[Prediction]]
"""What a classifier says of some texts, and of their second texts."""


@dataclass(frozen=True)
class Job:
    """What is to be done."""

    source: Source
    target: Target
    how: How = field(default_factory=How)
    wanted: Wanted = field(default_factory=Wanted)
    escape: bool = True
    """Whether cells of CSV that a spreadsheet would run get an apostrophe in front."""


@dataclass(frozen=True)
class Scored:
    """What was done."""

    output: str
    rows: int
    """Of the output."""
    added: tuple[str, ...]
    """Names of the added columns."""
    empty_texts: int
    left_out: int
    """Rows of the input that are not in the output, as they could not be read."""
    continued_from: int
    """Rows that an earlier run had done."""
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The same, with the speed of this run, as it is written in JSON."""
        speed = (self.rows - self.continued_from) / self.seconds if self.seconds else 0.0
        return {**asdict(self), "seconds": round(self.seconds, 3), "rows_per_second": round(speed, 1)}


def score_file(job: Job, scorer: Scorer, predict: Predict, tell: Callable[[Event], None]) -> Scored:
    """Score every row of a file or a stream, and write all its columns with the answers behind them.

    A run that was stopped, in whatever way, is gone on with by the same call, and the output is the same to the byte.

    Args:
        job: what is read, what is written, and how.
        scorer: what has to be known of the classifier.
        predict: the classifier; gives as many predictions as it gets texts, and tells how many are done.
        tell: told of the progress, and of what the user may not expect.

    Raises:
        ConfigError: options that do not fit together.
        DataError: the input cannot be read, or its columns do not fit.
        MachineError: the output cannot be written.
    """
    begun = time.monotonic()
    identity = _identity(job.source)
    key = None if identity is None else _key(job, scorer, identity)
    target = job.target
    in_pieces = finisher_for(target.kind) is None
    run = _Run(job, scorer, added_by(scorer, job.wanted), tell)
    with ExitStack() as stack:
        source = stack.enter_context(open_input(job.source, job.how))
        output = stack.enter_context(open_output(target.path, target.sink, in_pieces, key))
        try:
            run.go(source, output, predict)
            if identity != _identity(job.source):
                raise DataError.at(str(job.source), "it changed while it was read", "try again when it is finished")
            output.finish(run.last, run.merge)
        except (Stopped, MachineError):
            if key is not None:
                run.tell_how_to_go_on(output.reached.rows)
            raise
    return run.told(source, time.monotonic() - begun)


class _Run:
    """The part of the story in which the rows pass."""

    def __init__(self, job: Job, scorer: Scorer, added: Added, tell: Callable[[Event], None]) -> None:
        self._job, self._scorer, self._added, self._tell = job, scorer, added, tell
        self._names: list[str] = []
        self._rows = self._empty = self._continued_from = 0
        self._total = 0
        """Rows in all; 0 where that is not known."""
        self._escaped = 0
        """Cells of this run that got an apostrophe in front."""
        self.last = b""
        """What stands behind the last row."""
        self.merge: Merge | None = None
        """Makes the file of the pieces, where the kind needs that."""

    def go(self, source: Input, output: Output, predict: Predict) -> None:
        """Score the rows that an earlier run has not done."""
        for note in output.notes:
            self._tell(Note("output", note, warning=True))
        self._rows = self._continued_from = output.reached.rows
        memory = output.reached.memory
        self._empty, self._names = memory.get("empty", 0), memory.get("names", [])
        self._total = memory.get("total", 0)
        if not self._rows and self._job.source.path is not None:
            self._look_through()
        if self._rows:
            self._tell(Note("output", f"{counted(self._rows, 'row')} done by an earlier run; going on behind them"))
        with closing(source.chunks(self._rows)) as chunks:
            self._pass(chunks, source, output, predict)

    def _look_through(self) -> None:
        """Count the rows, and find what would end the run later before hours are spent on the rows before it."""
        with open_input(self._job.source, self._job.how) as source, closing(source.chunks()) as chunks:
            first = next(chunks, None)
            columns, _ = self._begin(source, first)
            bare = Layout(self._names, {})
            encoder = encoder_for(self._job.target.kind, False, bare, True, {})
            for chunk in chain([first] if first is not None else [], chunks):
                self._added.check(chunk, str(self._job.source))
                columns.texts(chunk)
                encoder.piece(chunk, {})
                self._total += len(chunk)
                self._tell(Progress("check", *source.progress(), rows=self._total))

    def _begin(self, source: Input, first: Chunk | None) -> tuple[TextColumns, Layout]:
        """What has to be known of the first rows, before others pass.

        Raises:
            DataError: there are none.
        """
        if first is None and not self._rows:
            raise _no_rows(self._job.source, source.left_out.count)
        self._names = self._names or list(first.names if first else ())
        columns = text_columns(self._names, self._job.wanted, self._scorer, str(self._job.source))
        return columns, self._layout(source)

    def _pass(self, chunks: Iterator[Chunk], source: Input, output: Output, predict: Predict) -> None:
        """All chunks from their texts to their bytes."""
        memory = output.reached.memory
        first = next(chunks, None)
        columns, layout = self._begin(source, first)
        target = self._job.target
        if columns.note:
            self._tell(Note("data", columns.note, warning=True))
        encoder = encoder_for(target.kind, target.packed, layout, self._rows > 0, memory.get("encoder", {}))
        for chunk in chain([first] if first is not None else [], chunks):
            self._score(chunk, columns, partial(self._predicted, predict), encoder, output)
        self._escaped = encoder.escaped
        self.last = encoder.end()
        merge = finisher_for(target.kind)
        self.merge = None if merge is None else lambda part, whole: merge(part, whole, layout, encoder.memory)

    def tell_how_to_go_on(self, rows: int) -> None:
        """Tell that nothing is lost of the rows that are done."""
        if rows:
            done = f"{counted(rows, 'row')} done and kept beside {self._job.target}"
            self._tell(Note("output", f"{done}; run the same command again to go on behind them"))

    def told(self, source: Input, seconds: float) -> Scored:
        """Tell of what the user may not expect, and sum up."""
        if self._empty:
            texts = "text is" if self._empty == 1 else "texts are"
            self._tell(Note("data", f"{self._empty:,} {texts} missing or blank, scored as empty", warning=True))
        if self._escaped:
            cells = "cell" if self._escaped == 1 else "cells"
            said = f"{self._escaped:,} {cells} that a spreadsheet would run got an apostrophe in front"
            self._tell(Note("output", f"{said}; --no-escape leaves them as they are", warning=True))
        if count := source.left_out.count:
            first = source.left_out.first.partition(" (row")[0]
            self._tell(Note("data", f"{counted(count, 'row')} left out, the first at {first}", warning=True))
        return Scored(
            output=str(self._job.target),
            rows=self._rows,
            added=tuple(self._added.kinds),
            empty_texts=self._empty,
            left_out=count,
            continued_from=self._continued_from,
            seconds=seconds,
        )

    def _score(
        self,
        chunk: Chunk,
        columns: TextColumns,
        predicted: Callable[[list[str], list[str] | None], list[Prediction]],
        encoder: Encoder,
        output: Output,
    ) -> None:
        """One chunk from its texts to its bytes."""
        self._added.check(chunk, str(self._job.source))
        firsts, seconds, empty = columns.texts(chunk)
        answers = self._added.values(predicted(firsts, seconds))
        piece = encoder.piece(chunk, answers)
        self._rows += len(chunk)
        self._empty += empty
        output.append(piece, self._reached(encoder))

    def _predicted(self, predict: Predict, firsts: list[str], seconds: list[str] | None) -> list[Prediction]:
        """The predictions for a chunk, with the progress told in between."""

        def tell(done: int) -> None:
            self._tell(Progress("score", self._rows + done, self._total, rows=self._rows + done))

        tell(0)
        return predict(firsts, seconds, tell)

    def _reached(self, encoder: Encoder) -> Reached:
        known = {"names": self._names, "empty": self._empty, "total": self._total, "encoder": dict(encoder.memory)}
        return Reached(self._rows, known)

    def _layout(self, source: Input) -> Layout:
        same = source.opened.kind == ".csv" == self._job.target.kind
        delimiter = "\t" if self._job.target.kind == ".tsv" else source.delimiter if same else ","
        separator = self._scorer.label_separator or ","
        return Layout(self._names, self._added.kinds, delimiter, self._job.escape, separator)


def _identity(source: Source) -> str | None:
    """What is different whenever the content of the file is; None for a stream."""
    return None if source.path is None else repr(identity_of(source.path))


def _key(job: Job, scorer: Scorer, identity: str) -> Mapping[str, str]:
    """All that the bytes of the output depend on, by what it is called in messages."""
    options = (job.target.kind, job.target.packed, job.escape, asdict(job.how), asdict(job.wanted))
    columns = (scorer.text_columns, scorer.pair_column, scorer.pairs, scorer.label_separator)
    return {"another input": identity, "another model": scorer.identity, "other options": repr((options, columns))}


def _no_rows(source: Source, left_out: int) -> DataError:
    what = f"no rows that can be read, {left_out:,} are left out" if left_out else "no rows"
    return DataError.at(str(source), what, "give a file with at least one row")
