"""What contenders say, and how fast, all in one process and in turn."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from forgeml.inference.classifier import Classifier
from forgeml.inference.engines import PLAIN
from forgeml.optimizing.measuring import quality
from forgeml.optimizing.optimize import metric_of
from forgeml.records import ListedTexts, Split
from predicting.contenders import BATCHED, PIPELINE, Contender, scores
from predicting.texts import of_median_length, picked

PAUSE_S = 0.2
"""Threads of a library that has just worked look out for more work for a moment, and take a core while they do."""
FEWEST_TEXTS = 32
"""Texts of a round that are answered together."""
TEXTS_TO_GUESS_BY = 64

Say = Callable[[str], None]


def qualities(reference: Classifier, contenders: Sequence[Contender], part: Split, say: Say) -> dict[str, Any]:
    """For each contender its agreement with fp32, the metric, and how far its scores are from the pipeline's."""
    metric = metric_of(reference, part)
    logits = {}
    for one in contenders:
        if one.logits:
            say(f"quality of {one.name}")
            logits[one.name] = one.logits(part.texts)
    told = scores(reference.task, logits[BATCHED])
    found: dict[str, Any] = {"metric": metric, "of": {}}
    for name, own in logits.items():
        how = quality(reference, part, metric, logits[PLAIN], own)
        far = float(np.abs(scores(reference.task, own) - told).max())
        found["of"][name] = {"agreement": how.agreement, "metric": how.value, "drop": how.drop, "from_pipeline": far}
    return found


def speeds(
    contenders: Sequence[Contender], texts: ListedTexts, rounds: int, repeats: int, seconds: float, say: Say
) -> dict[str, Any]:
    """Time all contenders in turn, `rounds` times, and each round in another order.

    Args:
        contenders: the pipeline among them.
        texts: to choose from.
        rounds: turns of each.
        repeats: how often each answers one text alone, all rounds together.
        seconds: that the pipeline in batches takes for the texts of a round, about.
        say: is told how far it is.
    """
    named = {one.name: one for one in contenders}
    many, one = _texts_of_round(named[BATCHED], texts, seconds), of_median_length(texts)
    each = -(-repeats // rounds)
    rates: dict[str, list[float]] = {name: [] for name in named}
    alone: dict[str, list[list[float]]] = {name: [] for name in named}
    with _watched() as others:
        for turn in range(rounds):
            for name in _order(list(named), turn):
                say(f"speed of {name}, round {turn + 1} of {rounds}")
                ask = partial(_timed, named[name])
                _settle(named[name], one, 2)
                # In batches or not is the same for one text.
                alone[name].append([] if name == BATCHED else [1000 * ask(one) for _ in range(each)])
                _settle(named[name], picked(many, range(min(FEWEST_TEXTS, len(many)))), 1)
                rates[name].append(len(many) / ask(many))
    lengths = {"texts": len(many), "characters_of_one": sum(len(text) for text in (one.firsts + (one.seconds or [])))}
    return {**lengths, "other_cores": others[0], "of": {name: _told(name, rates, alone) for name in named}}


def _told(name: str, rates: dict[str, list[float]], alone: dict[str, list[list[float]]]) -> dict[str, Any]:
    ratios = [own / other for own, other in zip(rates[name], rates[BATCHED], strict=True)]
    told = {"texts_per_second": _spread(rates[name]), "rate_to_pipeline_32": _spread(ratios)}
    if name == BATCHED:
        return told
    medians = [statistics.median(some) for some in alone[name]]
    before = [statistics.median(some) for some in alone[PIPELINE]]
    told["ms_one_text"] = {**_spread(medians), "median": statistics.median(np.concatenate(alone[name]).tolist())}
    told["pipeline_to_one_text"] = _spread([other / own for own, other in zip(medians, before, strict=True)])
    return told


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "rounds": list(values)}


def _order(names: list[str], turn: int) -> list[str]:
    """Another one first in each turn, and every second turn backwards, so that neighbours change too."""
    place = turn % len(names)
    turned = names[place:] + names[:place]
    return turned[::-1] if turn % 2 else turned


def _texts_of_round(batched: Contender, texts: ListedTexts, seconds: float) -> ListedTexts:
    """As many texts as take the pipeline about so long, drawn at random and left in their order: of mixed lengths."""
    order = np.random.default_rng(1).permutation(len(texts))
    few = picked(texts, np.sort(order[:TEXTS_TO_GUESS_BY]))
    _settle(batched, picked(few, range(min(8, len(few)))), 1)
    rate = len(few) / _timed(batched, few)
    return picked(texts, np.sort(order[: max(FEWEST_TEXTS, round(rate * seconds))]))


def _settle(contender: Contender, texts: ListedTexts, times: int) -> None:
    time.sleep(PAUSE_S)
    for _ in range(times):
        contender.answer(texts.firsts, texts.seconds)


def _timed(contender: Contender, texts: ListedTexts) -> float:
    started = time.perf_counter()
    contender.answer(texts.firsts, texts.seconds)
    return time.perf_counter() - started


@contextmanager
def _watched() -> Iterator[list[float | None]]:
    """Inside `with`, the processor is watched; then the list has how many cores other processes took on average."""
    found: list[float | None] = []
    busy, own, started = _busy_seconds(), sum(os.times()[:2]), time.perf_counter()
    yield found
    took, mine, now = time.perf_counter() - started, sum(os.times()[:2]) - own, _busy_seconds()
    found.append(None if busy is None or now is None else max(0.0, now - busy - mine) / took)


def _busy_seconds() -> float | None:
    """Seconds that all processors of the machine were at work since it was started; None where nothing tells it."""
    try:
        with open("/proc/stat", encoding="ascii") as lines:
            user, nice, system, _, _, *rest = map(int, next(lines).split()[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
