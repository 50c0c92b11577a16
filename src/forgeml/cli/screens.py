"""What `forgeml plan` shows: one screen of facts, and what is to be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forgeml.cli.console import clock, facts_table, state_line, table
from forgeml.errors import counted

if TYPE_CHECKING:
    from forgeml.doctor.finding import Finding
    from forgeml.optimizing.optimize import Optimized

CLASSES_SHOWN = 6
BAR = 24


def plan_screen(plan: Mapping[str, Any]) -> None:
    """Print a plan on stdout."""
    lines = list(_lines(plan))
    facts_table(lines)
    if plan["ready"]:
        facts_table([("", "ready")])
        return
    facts_table([("", f"to fix, {len(plan['problems'])}:")])
    for problem in plan["problems"]:
        facts_table([("", f"{problem['where']}: {problem['what']}\n  fix: {problem['fix']}")])


def _lines(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Topic and text of each line; only of what could be looked at."""
    for odd in plan["warnings"]:
        yield "note", odd
    if machine := plan.get("machine"):
        yield "machine", f"{machine['device']}, {machine['precision']}, {machine['threads']} threads"
    if model := plan.get("model"):
        came = "a local folder" if model["commit"] is None else "just fetched" if model["fetched"] else "cached"
        yield "model", f"{model['name']}, {_size(model['bytes'])}, {came}; reads {model['max_length']} tokens"
    if data := plan.get("data"):
        yield from _data_lines(data)
    if lengths := plan.get("lengths"):
        yield "lengths", f"{lengths['mean']:.0f} tokens on average; {lengths['share_cut']:.1%} of the texts are cut"
        yield from _histogram(lengths["histogram"])
    if steps := plan.get("steps"):
        yield "steps", f"{steps['in_all']:,}, {steps['in_epoch']:,} an epoch"
        disk, memory = plan["disk"], plan["memory"]
        of_it = f" ({_size(disk['checkpoints'])} for checkpoints)" if disk["checkpoints"] else ""
        yield "disk", f"{_size(disk['needed'])} needed{of_it}, {_size(disk['free'])} free"
        yield "memory", _memory(memory)
        yield "time", _time(plan["estimate"])


def _data_lines(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    came = "" if data["revision"] is None else ", just fetched" if data["fetched"] else ", cached"
    yield "data", f"{data['name']}, {_size(data['bytes'])}{came}"
    yield "rows", ", ".join(f"{name} {count:,}" for name, count in data["rows"].items())
    yield "task", data["understood"]
    if data["balance"]["train"]:
        yield "classes", _balance(data["balance"]["train"], data["rows"]["train"])
    inside = {name: count for name, count in data["duplicates"]["inside"].items() if count}
    if inside:
        yield "repeated", ", ".join(f"{name} {count:,} texts" for name, count in inside.items())
    for leak in data["duplicates"]["in_train_too"]:
        if leak["count"]:
            listed = "; ".join(leak["samples"])
            yield "leaks", f"{leak['count']:,} texts of {leak['split']} ({leak['share']:.1%}) stand in train: {listed}"
    for note in data["notes"]:
        # Leaks have a line of their own.
        if "also stand in train" not in note:
            yield "note", note


def _balance(counts: Mapping[str, int], rows: int) -> str:
    often = sorted(counts, key=lambda name: -counts[name])
    shown = often if len(often) <= CLASSES_SHOWN else [*often[: CLASSES_SHOWN - 1], often[-1]]
    listed = [f"{name} {counts[name]:,} ({counts[name] / max(1, rows):.1%})" for name in shown]
    if len(often) > CLASSES_SHOWN:
        listed.insert(-1, "...")
    return ", ".join(listed)


def _histogram(bars: Sequence[Mapping[str, int]]) -> Iterator[tuple[str, str]]:
    most = max(bar["texts"] for bar in bars)
    for bar in bars:
        length = round(BAR * bar["texts"] / max(1, most))
        yield "", f"to {bar['up_to']:>5}  {'█' * length:<{BAR}} {bar['texts']:,}"


def _memory(memory: Mapping[str, int]) -> str:
    used = f"{_size(memory['used'])} used by the longest batch"
    if "needed" not in memory:
        return f"{used}, {_size(memory['total'])} there"
    doubt = ", which may not suffice" if memory["near"] else ""
    free = f"{_size(memory['available'])} of {_size(memory['total'])} free"
    return f"about {_size(memory['needed'])} needed, {free}{doubt}; {used}"


def _time(estimate: Mapping[str, float]) -> str:
    parts = {"training": "train", "scoring": "score", "the rest": None}
    rest = estimate["gather"] + estimate["save_and_track"]
    told = ", ".join(f"{name} {clock(estimate[key] if key else rest)}" for name, key in parts.items())
    return f"about {clock(estimate['seconds'])}: {told}"


def _size(count: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count / 1e3:,.0f} kB"


def trials_screen(found: Optimized, data: str, split: str) -> None:
    """Print what was measured of engines on stdout, the fastest first, and which one is used from now on."""
    tried = [(trial, trial.speed, trial.quality) for trial in found.trials if trial.speed and trial.quality]
    rows = [
        (
            trial.name,
            f"{speed.texts_per_second:,.0f}",
            f"{speed.ms_one_text:.1f}",
            f"{quality.agreement:.1%}",
            f"{quality.value:.4f}",
            "used" if trial.name == found.best else "" if trial.inside else "outside the guard",
        )
        for trial, speed, quality in sorted(tried, key=lambda one: -one[1].texts_per_second)
    ]
    rows += [(trial.name, "", "", "", "", trial.reason) for trial in found.trials if trial.reason]
    table(("engine", "texts/s", "ms for one", "same answers", found.metric, ""), rows)
    facts_table(
        [
            ("measured", f"on {counted(found.texts, 'text')} of {data} ({split})"),
            ("used", f"{found.best} on machines like this one; files: {', '.join(found.written) or 'none'}"),
        ]
    )


def doctor_screen(findings: Sequence[Finding]) -> None:
    """Print what was found on stdout: all that is well first, what is wrong at the end, where it is seen."""
    states = ("ok", "warning", "problem")
    for found in sorted(findings, key=lambda one: states.index(one.state)):
        state_line(found.state, found.topic, found.text, found.fix)
    counts = {state: sum(found.state == state for found in findings) for state in states[:0:-1]}
    told = [counted(count, state) for state, count in counts.items() if count]
    state_line("", "", "; ".join(told) or "all is well", "")
