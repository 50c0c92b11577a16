"""The measured figures as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from predicting.contenders import BATCHED, PIPELINE

PAGE = """\
# Predictions, measured on {date}

Machine: {processor}{instructions}, {cores} cores; threads for each contender: {threads}.
Versions: {versions}.

Written by `benchmarks/predict.py`. `pipeline` is `transformers.pipeline` with one text at a time, `pipeline-32` with
`batch_size=32`, both with `truncation=True`, the length of the training, and the texts in their own order. Engines are
asked by `Classifier.predict`, tokenizing included. All of them stand in one process and have their turns in
{rounds} rounds, each round in another order. A ratio is worked out within a round; what is shown is the median of the
rounds.

- **One text**: median time for one text of median length, alone.
- **Texts/s**: texts of mixed lengths together; median, and the lowest and highest round.
- **Times pipeline-32**: texts/s compared with those of `pipeline-32`.
- **Agreement**: share of the texts of which it says the same as `torch-fp32`.
- **Score difference**: the largest distance of any score from the pipeline's; told for fp32.
- **Memory**: the highest of a fresh process that opens the folder and answers up to {memory_texts} texts.
- **Start**: from the start of a process to its first answer, median of {starts}; the files have been read before.
- **Size**: of the files with the weights.

{summary}
{models}"""

HEAD = (
    *("Engine", "One text, ms", "Texts/s", "Times pipeline-32", "Agreement"),
    *("{metric}", "Score difference", "Memory, MB", "Start, s", "Size, MB"),
)
MEGA = 1e6


def write_page(results: Sequence[Mapping[str, Any]], memory_texts: int) -> str:
    """The page of results that were measured on one machine, with the facts of the last one."""
    last = results[-1]
    machine, settings = last["machine"], last["settings"]
    return PAGE.format(
        date=last["date"],
        processor=machine["processor"],
        instructions=f" ({', '.join(machine['instructions'])})" if machine["instructions"] else "",
        cores=machine["cores"],
        threads=settings["threads"],
        versions=", ".join(f"{name} {version}" for name, version in last["versions"].items()),
        rounds=settings["rounds"],
        memory_texts=memory_texts,
        starts=settings["starts"],
        summary=_summary(results),
        models="\n".join(_model(one) for one in results),
    )


def _summary(results: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for one in results for name in one["names"]))
    head = ["Model", *(name for name in names if name != BATCHED)]
    tables = []
    for title, key in (("Texts/s, times pipeline-32", "rate_to_pipeline_32"), ("One text", "pipeline_to_one_text")):
        rows = [[one["name"], *(_ratio(one["speed"]["of"].get(name, {}), key) for name in head[1:])] for one in results]
        told = title if key != "pipeline_to_one_text" else "One text, how many times as fast as the pipeline"
        tables.append(f"## {told}\n\n{_table(head, rows)}")
    return "\n".join(tables)


def _model(one: Mapping[str, Any]) -> str:
    metric = one["quality"]["metric"]
    speed, others = one["speed"], one["speed"]["other_cores"]
    long_texts = "" if one["long_texts"] == "truncate" else f" and `long_texts: {one['long_texts']}`"
    pairs = " on pairs" if one["pairs"] else ""
    classes = "" if one["task"] == "regression" else f", {one['labels']} classes"
    told = [
        f"`{one['task']}`{pairs}{classes}, at most {one['max_length']} tokens{long_texts}.",
        f"Quality on {one['texts']:,} of {one['held_out']:,} texts of {one['test']},",
        f"speed on {speed['texts']:,} of them, one text of {speed['characters_of_one']} characters.",
        f"Eight-bit numbers were set by {one['calibrated_by']}.",
    ]
    if one["left_out"]:
        told.append(f"{one['left_out']:,} rows without a label that the model knows were left out.")
    if others is not None:
        told.append(f"Other processes took {others:.2f} cores on average while speed was measured.")
    told += [f"{name} was not tried: {why}." for name, why in one["reasons"].items()]
    head = [cell.format(metric=metric) for cell in HEAD]
    rows = [_row(name, one) for name in one["names"]]
    if "files" in one:
        head.append(f"File of {one['files']['rows']:,} rows, s")
        rows = [[*row, _number(one["files"]["of"].get(row[0]), 1)] for row in rows]
    return f"## {one['name']}\n\n{' '.join(told)}\n\n{_table(head, rows)}"


def _row(name: str, one: Mapping[str, Any]) -> list[str]:
    speed = one["speed"]["of"][name]
    # The pipeline says the same of one text as of many.
    said = one["quality"]["of"].get(BATCHED if name == PIPELINE else name, {})
    rate = speed["texts_per_second"]
    exact = name.endswith("-fp32")
    return [
        name,
        _number(speed.get("ms_one_text"), 1),
        f"{rate['median']:,.0f} ({rate['min']:,.0f} to {rate['max']:,.0f})",
        _ratio(speed, "rate_to_pipeline_32"),
        f"{said['agreement']:.3f}",
        f"{said['metric']:.4f}",
        f"{said['from_pipeline']:.1e}" if exact else "",
        f"{one['memory'][name] / MEGA:,.0f}" if name in one["memory"] else "",
        _number(one["start"].get(name), 2),
        f"{one['sizes'][name] / MEGA:,.0f}",
    ]


def _number(spread: Mapping[str, Any] | None, digits: int) -> str:
    return f"{spread['median']:.{digits}f}" if spread else ""


def _ratio(speed: Mapping[str, Any], key: str) -> str:
    return _number(speed.get(key), 2)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
