"""The measured figures as a page of Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from training.plans import ACCURACY, CONTENDERS, FORGEML, MODEL, SPEED, TEXTS

PAGE = """\
# Training, measured on {date}

Machine: {processor}{instructions}, {cores} cores; threads for each contender: {threads}; device: {device}.
Versions: {versions}.
Command: `{command}`.

Written by `benchmarks/train.py`. Every training is a process of its own with nothing in its caches. All read the same
rows, and train for one epoch with a learning rate of 5e-5, or of 2e-4 where they are scored, that falls to zero in a
line, without warm-up and weight decay, with the dropout of the model and gradients of at most 1.0. Texts are tokenized
before the first step. No one logs, tracks, scores or saves between the first step and the last one.{left_out}

- `script`: the library's Trainer as its example script has it, every text padded to the greatest length, fp32.
- `dynamic`: the Trainer, a batch padded to its longest text, fp32.
- `best`: the same with `bf16=True`, texts of like length in a batch and fused AdamW (which the two above have as well).
  Where speed is measured, few rows are grouped as the library groups many. No Trainer has workers for its data.
- `forgeml`: a configuration and `forgeml.train`, with the default precision; `forgeml-fp32` with `precision: fp32`.
- `tfidf`: TF-IDF of words, pairs of words and parts of words with logistic regression, `fasttext`: fastText with pairs
  of words. Both read whole texts.

Speed is measured in rounds, each in another order. A ratio is worked out within a round; what is shown is the median
of the rounds.

- **Examples/s**: from the begin of the first step to the end of the last one; median, and the lowest and highest round.
- **Of `forgeml`**: how many times as fast `forgeml` is.
- **Start, s**: from the start of the process to the first step: imports, tokenizing, opening the model, for ForgeML
  also making a new MLflow store.
- **Memory**: the most that the process had used by the end of the last step; of a GPU's memory where one is used.
- **First loss**: of the first batch, for a check; about the logarithm of the number of classes.
- **Accuracy**: after the training on validation, or on rows of test where there is none; mean of the seeds, and their
  standard deviation.
- **Whole run, s**: from the start of the process to the end of the last step.

{busy}

{tables}"""
SPEEDS = ("Contender", "Computes in", "Examples/s", "Of `forgeml`", "Start, s", "Memory, MB", "First loss")
SCORES = ("Contender", "Computes in", "Accuracy", "Whole run, s", "Memory, MB")
BUSY = 0.1
"""Cores that other processes may take."""
MARK = "*"
MEGA = 1e6
Records = Sequence[Mapping[str, Any]]


def write_page(results: Records, command: str, left_out: Mapping[str, str]) -> str:
    """The page of all trainings that were measured so far.

    Args:
        results: of one machine and the same settings.
        command: that they were measured by.
        left_out: why a contender is not there, by its name.
    """
    last = results[-1]
    machine, settings = last["machine"], last["settings"]
    places = dict.fromkeys((one["texts"], one["size"]) for one in results)
    tables = [[one for one in results if (one["texts"], one["size"]) == place] for place in places]
    return PAGE.format(
        date=last["date"],
        processor=machine["processor"],
        instructions=f" ({', '.join(machine['instructions'])})" if machine["instructions"] else "",
        cores=machine["cores"],
        threads=settings["threads"],
        device=last["gpu"]["name"] if last["gpu"] else settings["device"],
        versions=", ".join(f"{name} {version}" for name, version in last["versions"].items()),
        command=command,
        left_out="".join(f" `{name}` was left out: {reason}." for name, reason in left_out.items()),
        busy=_busy(results),
        tables="\n".join([_summary(tables), *map(_part, tables)]),
    )


def _summary(tables: Sequence[Records]) -> str:
    """Of all tables how many times as fast ForgeML is."""
    found = {_title(table): _ratios(_of(table, SPEED)) for table in tables}
    names = [name for name in CONTENDERS if any(name in ratios for ratios in found.values())]
    rows = [[title, *(_number(ratios.get(name), 2) for name in names)] for title, ratios in found.items() if ratios]
    if not rows:
        return ""
    return f"## How many times as fast `{FORGEML}` is\n\n{_table(['', *names], rows)}"


def _part(table: Records) -> str:
    parts = [f"## {_title(table)}\n\n{_facts(table)}\n"]
    for kind, head, row in ((SPEED, SPEEDS, _speed), (ACCURACY, SCORES, _score)):
        some = _of(table, kind)
        if some:
            ratios = _ratios(some) if kind == SPEED else {}
            rows = [row(name, own, ratios.get(name)) for name, own in some.items()]
            parts.append(f"{_sizes(kind, some)}\n\n{_table(head, rows)}")
    return "\n".join(parts)


def _title(table: Records) -> str:
    one = table[0]
    return f"{one['texts'].capitalize()} texts, {'the model given' if one['size'] == MODEL else one['size']}"


def _facts(table: Records) -> str:
    one, texts = table[0], TEXTS[table[0]["texts"]]
    weights = "" if one["size"] == MODEL else ", random weights"
    tokens = next((f", {found['mean_tokens']:.0f} on average" for found in table if "mean_tokens" in found), "")
    model = f"{one['model']['kind']} of {one['model']['layers']} layers and width {one['model']['width']}{weights}"
    return f"{model}; at most {texts.max_length} tokens of a text{tokens}; batches of {texts.batch_size}."


def _sizes(kind: str, some: Mapping[str, Records]) -> str:
    turns = max(map(len, some.values()))
    sizes = sorted({one["examples"] for own in some.values() for one in own})
    shown = " or ".join(f"{size:,}" for size in sizes)
    return f"{kind.capitalize()}: {shown} examples, {turns} {'round' if kind == SPEED else 'seed'}{'s' * (turns > 1)}."


def _of(table: Records, kind: str) -> dict[str, Records]:
    """The trainings of one kind by contender, in the order of all contenders."""
    some = {name: [one for one in table if (one["kind"], one["contender"]) == (kind, name)] for name in CONTENDERS}
    return {name: own for name, own in some.items() if own}


def _rate(one: Mapping[str, Any]) -> float:
    return float(one["examples"] / one["seconds"])


def _ratios(some: Mapping[str, Records]) -> dict[str, float]:
    """How many times as fast ForgeML is, the median of the rounds that both have."""
    own = {one["turn"]: _rate(one) for one in some.get(FORGEML, ())}
    found = {}
    for name, others in some.items():
        each = [own[one["turn"]] / _rate(one) for one in others if one["turn"] in own]
        if each:
            found[name] = statistics.median(each)
    return found


def _speed(name: str, own: Records, ratio: float | None) -> list[str]:
    rates = [_rate(one) for one in own]
    spread = f"{statistics.median(rates):,.1f} ({min(rates):,.1f} to {max(rates):,.1f})"
    return [
        name,
        own[0]["precision"],
        spread + MARK * any(map(_disturbed, own)),
        _number(ratio, 2),
        _median(own, "start_s", 1),
        _memory(own),
        _median(own, "first_loss", 3),
    ]


def _score(name: str, own: Records, _: float | None) -> list[str]:
    scores = [one["accuracy"] for one in own]
    spread = f" ± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
    return [
        name,
        own[0]["precision"],
        f"{statistics.mean(scores):.4f}{spread}",
        _median(own, "total_s", 1) + MARK * any(map(_disturbed, own)),
        _memory(own),
    ]


def _busy(results: Records) -> str:
    """How much others took from the measurements, and from which of them too much."""
    taken = [one["other_cores"]["whole"] for one in results if one["other_cores"]["whole"] is not None]
    if not taken:
        return "What other processes took cannot be told here."
    told = f"Other processes took {statistics.mean(taken):.2f} cores on average"
    disturbed = [one for one in results if _disturbed(one)]
    if not disturbed:
        return f"{told}, and in no training more than {BUSY} cores."
    named = "; ".join(
        f"{one['texts']} texts, {one['size']}, {one['contender']}, {one['kind']} {one['turn']} ({_most(one):.2f})"
        for one in disturbed
    )
    return f"{told}. Figures with a {MARK} hold a training in which they took more than {BUSY} cores: {named}."


def _disturbed(one: Mapping[str, Any]) -> bool:
    return _most(one) > BUSY


def _most(one: Mapping[str, Any]) -> float:
    """Cores that others took in the whole training or between its first and last step, whichever is more."""
    return max(cores or 0.0 for cores in one["other_cores"].values())


def _memory(own: Records) -> str:
    peaks = [one["gpu"]["peak"] if one["gpu"] else one["peak"] for one in own]
    return _number(statistics.median(peaks) / MEGA, 0)


def _median(own: Records, key: str, digits: int) -> str:
    values = [one[key] for one in own if one.get(key) is not None]
    return _number(statistics.median(values), digits) if values else ""


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
