"""How a run looks in a terminal: notes and bars on stderr, results on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from forgeml.errors import counted
from forgeml.events import Evaluation, Event, Note, StepReport, TrainingResult
from forgeml.events import Progress as Done
from forgeml.inference.explaining.explanation import Word
from forgeml.records import Prediction

SECONDS_BETWEEN_LINES = 10.0
"""Where there is no terminal to redraw, progress is a line from time to time."""
TOPIC_WIDTH = 15

LEVELS = (0.1, 0.3, 0.6)
"""From which parts of the greatest weight on a word is marked, and marked more strongly."""
FOR = ("green", "bold green", "bold black on green")
AGAINST = ("red", "bold red", "bold black on red")
WORDS_LISTED = 8

STATES = {"ok": "green", "warning": "yellow", "problem": "bold red"}
"""Of what is looked at on a machine."""


class Watcher:
    """Shows the events of a run. Use it as a context manager; called with an event, it shows it."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Draw nothing yet, or, if `quiet`, nothing at all."""
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
        self._bars = Progress(
            TextColumn(f"{{task.description:<{TOPIC_WIDTH - 1}}}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]:>10}"),
            TextColumn("{task.fields[detail]}"),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._examples, self._seconds = 0, 0.0
        self._begun: dict[str, tuple[float, Done]] = {}
        self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        """Start drawing."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing, whatever happened."""
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Note():
                self._line(event.topic, event.text, "yellow" if event.warning else "")
            case Done():
                self._done(event)
            case StepReport():
                self._step(event)
            case Evaluation():
                figures = "  ".join(f"{name} {value:.4f}" for name, value in event.metrics.items())
                self._line(event.split, f"step {event.step}  epoch {event.epoch:.2f}  {figures}", "")
            case TrainingResult():
                if event.run_id:
                    served = f", model models:/{event.model_id}" if event.model_id else ""
                    self._line("tracking", f"MLflow run {event.run_id}{served}", "")
                took = clock(event.seconds)
                self._line("result", f"{event.folder} (step {event.best_step} of {event.steps}), {took} in all", "")

    def _step(self, report: StepReport) -> None:
        self._examples += report.examples
        self._seconds += report.seconds
        left = (report.total_steps - report.step) * self._seconds / report.step
        speed = self._examples / self._seconds if self._seconds else 0.0
        self._progress(
            Done("training", report.step, report.total_steps),
            f"loss {report.loss:.4f}  {speed:.0f} examples/s  {clock(left)} left",
        )

    def _done(self, event: Done) -> None:
        if event.rows is None:
            self._progress(event, "")
            return
        # What an earlier run has done took no time of this one.
        since, first = self._begun.setdefault(event.task, (time.monotonic(), event))
        seconds = time.monotonic() - since
        rows, done = event.rows - (first.rows or 0), event.done - first.done
        details = [f"{rows / seconds:,.0f} rows/s"] if rows and seconds else []
        # How long a pipe is nobody knows.
        if done > 0 and event.total > 0:
            details.append(f"{clock((event.total - event.done) * seconds / done)} left")
        self._progress(event, "  ".join(details))

    def _progress(self, event: Done, detail: str) -> None:
        task, done, total = event.task, event.done, event.total
        count = f"{done}/{total}" if event.rows is None else f"{event.rows:,} rows"
        if self._console.is_terminal:
            if task not in self._tasks:
                self._tasks[task] = self._bars.add_task(task, total=total or None, detail=detail, count=count)
            shown = done < total or not total
            self._bars.update(self._tasks[task], completed=done, detail=detail, count=count, visible=shown)
        elif time.monotonic() - self._said_at >= SECONDS_BETWEEN_LINES:
            self._said_at = time.monotonic()
            self._line(task, f"{count}  {detail}", "")

    def _line(self, topic: str, text: str, style: str) -> None:
        self._console.print(Text.assemble((f"{topic:<{TOPIC_WIDTH - 1}} ", "bold"), (text, style)))


def metrics_table(metrics: Mapping[str, Mapping[str, float]]) -> None:
    """Print metrics on stdout, a column for each split."""
    table = Table("metric", *metrics)
    for name in dict.fromkeys(name for values in metrics.values() for name in values):
        # What is not defined on some examples is left out there.
        table.add_row(name, *(f"{values[name]:.4f}" if name in values else "" for values in metrics.values()))
    _stdout().print(table)


def predictions_table(texts: Sequence[str], pairs: Sequence[str] | None, predictions: Sequence[Prediction]) -> None:
    """Print predictions on stdout, a row for each text."""
    table = Table(*_heads(predictions), "text", *(["second text"] if pairs else []))
    for place, (text, answer) in enumerate(zip(texts, predictions, strict=True)):
        table.add_row(*_cells(answer), Text(text), *([Text(pairs[place])] if pairs else []))
    _stdout().print(table)


def _heads(predictions: Sequence[Prediction]) -> list[str]:
    if any(answer.value is not None for answer in predictions):
        return ["value"]
    return ["labels", "scores"] if any(answer.labels is not None for answer in predictions) else ["label", "score"]


def _cells(answer: Prediction) -> list[Text | str]:
    if answer.value is not None:
        return [f"{answer.value:.4f}"]
    if answer.labels is not None:
        return [Text(", ".join(answer.labels)), ", ".join(f"{answer.scores[name]:.4f}" for name in answer.labels)]
    return [Text(answer.label or ""), f"{answer.score:.4f}"]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads on stdout."""
    drawn = Table(*heads)
    for row in rows:
        drawn.add_row(*map(Text, row))
    _stdout().print(drawn)


def explanation_screen(texts: Sequence[str], topic: str, words: Sequence[Word]) -> None:
    """Print a text, or a pair, with the words that matter marked: in colours, or where there are none in brackets."""
    console = _stdout()
    console.print(Text(topic, style="bold"))
    strongest = max((abs(word.weight) for word in words), default=0.0)
    marked = [word for word in words if word.weight and abs(word.weight) >= LEVELS[0] * strongest]
    coloured = console.color_system is not None and not console.no_color
    if not coloured:
        marked = sorted(marked, key=lambda word: -abs(word.weight))[:WORDS_LISTED]
        table = Table("word", "weight")
        for word in marked:
            table.add_row(Text(word.text), f"{word.weight:+.3f}")
        console.print(table if marked else "no word matters")
    for second, text in enumerate(texts):
        own = [word for word in marked if word.in_pair == bool(second)]
        console.print(_coloured(text, own, strongest) if coloured else _bracketed(text, own), soft_wrap=True)
    unread = sum(not word.read for word in words)
    if unread:
        console.print(f"{counted(unread, 'word')} not read: beyond what the model reads of a text")


def _coloured(text: str, words: Sequence[Word], strongest: float) -> Text:
    shown = Text(text)
    for word in words:
        level = sum(abs(word.weight) >= part * strongest for part in LEVELS) - 1
        shown.stylize((FOR if word.weight > 0 else AGAINST)[level], word.start, word.end)
    return shown


def _bracketed(text: str, words: Sequence[Word]) -> Text:
    for word in sorted(words, key=lambda word: -word.start):
        text = f"{text[: word.start]}[{word.text}]{text[word.end :]}"
    return Text(text)


def facts_table(lines: Sequence[tuple[str, str]]) -> None:
    """Print topics and texts on stdout, a line for each."""
    console = _stdout()
    for topic, text in lines:
        console.print(Text.assemble((f"{topic:<10} ", "bold"), text))


def state_line(state: str, topic: str, text: str, fix: str) -> None:
    """Print one finding on stdout, its state coloured, with what to do about it on the next line."""
    lines = Table.grid(padding=(0, 2))
    for width in (7, TOPIC_WIDTH - 3):
        lines.add_column(width=width)
    lines.add_row(Text(state, STATES.get(state, "")), Text(topic, "bold"), Text(text, overflow="fold"))
    if fix:
        lines.add_row("", "", Text(f"fix: {fix}", overflow="fold"))
    _stdout().print(lines)


def clock(seconds: float) -> str:
    """A duration as minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _stdout() -> Console:
    # Rich takes 80 columns where there is no terminal, which would cut texts in files and pipes.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)
