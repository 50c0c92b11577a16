"""How a run looks in a terminal: notes and bars on stderr, results on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from forgeml.events import Evaluation, Event, Note, StepReport, TrainingResult
from forgeml.events import Progress as Done
from forgeml.records import Prediction

SECONDS_BETWEEN_LINES = 10.0
"""Where there is no terminal to redraw, progress is a line from time to time."""
TOPIC_WIDTH = 15


class Watcher:
    """Shows the events of a run. Use it as a context manager; called with an event, it shows it."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bars = Progress(
            TextColumn(f"{{task.description:<{TOPIC_WIDTH - 1}}}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._examples, self._seconds = 0, 0.0
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
                self._progress(event.task, event.done, event.total, "")
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
            "training",
            report.step,
            report.total_steps,
            f"loss {report.loss:.4f}  {speed:.0f} examples/s  {clock(left)} left",
        )

    def _progress(self, task: str, done: int, total: int, detail: str) -> None:
        if self._console.is_terminal:
            if task not in self._tasks:
                self._tasks[task] = self._bars.add_task(task, total=total, detail=detail)
            self._bars.update(self._tasks[task], completed=done, detail=detail, visible=done < total)
        elif time.monotonic() - self._said_at >= SECONDS_BETWEEN_LINES:
            self._said_at = time.monotonic()
            self._line(task, f"{done}/{total}  {detail}", "")

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


def facts_table(lines: Sequence[tuple[str, str]]) -> None:
    """Print topics and texts on stdout, a line for each."""
    console = _stdout()
    for topic, text in lines:
        console.print(Text.assemble((f"{topic:<10} ", "bold"), text))


def clock(seconds: float) -> str:
    """A duration as minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _stdout() -> Console:
    # Rich takes 80 columns where there is no terminal, which would cut texts in files and pipes.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)
