"""All servers in turn at each number of connections, round after round, and whether they say the same."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

from serving.client import BROKEN, Client
from serving.loops import Asked, closed_loop
from serving.processes import Started
from serving.servers import LITSERVE, PIPELINE, SCRIPTS, Model, Server, request, said

OK = range(200, 300)
COMPARED_WITH = (PIPELINE, LITSERVE)
WAIT_S = 120.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Point:
    """How long and by how many a server is asked."""

    connections: int
    warm_up: float
    """Seconds that are not counted."""
    seconds: float


def compare(
    running: Mapping[Server, Started], texts: Sequence[str], points: Sequence[Point], rounds: int, say: Say
) -> dict[str, Any]:
    """Figures of every server at every number of connections: of each round, and their medians."""
    asked = {server: [request(server, text) for text in texts] for server in running}
    figures: dict[str, dict[int, list[dict[str, Any]]]] = {
        server.name: {point.connections: [] for point in points} for server in running
    }
    for turn in range(rounds):
        # Whoever comes after whom changes from round to round.
        for server in list(running)[:: -1 if turn % 2 else 1]:
            started = running[server]
            say(f"round {turn + 1} of {rounds}: {server.name}")
            started.resume()
            for point in points:
                figures[server.name][point.connections].append(measure(started, asked[server], point))
            started.pause()
    return {name: {str(count): _summary(figures, name, count) for count in every} for name, every in figures.items()}


def pipeline_scores(model: Model, texts: Sequence[str]) -> list[dict[str, float]]:
    """What the pipeline itself says of each text: the scores of all labels."""
    command = [sys.executable, str(SCRIPTS / "pipeline_scores.py"), str(model.folder), str(model.max_length)]
    done = subprocess.run(command, input=json.dumps(list(texts)), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the pipeline itself failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def sameness(
    running: Mapping[Server, Started], texts: Sequence[str], expected: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    """How far the answers of each server are from those of the pipeline."""
    found = {}
    for server, started in running.items():
        started.resume()
        answers = [_answer(started, request(server, text)) for text in texts]
        started.pause()
        pairs = list(zip(answers, expected, strict=True))
        found[server.name] = {
            "texts": len(texts),
            "agreement": statistics.mean(label == max(scores, key=scores.__getitem__) for (label, _), scores in pairs),
            "score_difference": max(abs(score - scores[label]) for (label, score), scores in pairs),
        }
    return found


def _answer(started: Started, asked: bytes) -> tuple[str, float]:
    client = Client(started.address, 1)
    client.send(asked, time.monotonic())
    status, end = BROKEN, time.monotonic() + WAIT_S
    while client.under_way and (left := end - time.monotonic()) > 0:
        status = next((answer[2] for answer in client.answers(left)), status)
    client.close()
    if status not in OK:
        raise RuntimeError(f"{started.name} answered {status or 'nothing'} to a text alone")
    return said(client.last_body)


def measure(started: Started, asked: Sequence[bytes], point: Point) -> dict[str, Any]:
    """One point of one round, and what the processors did meanwhile."""
    begun, used, busy = time.monotonic(), started.processor_seconds() + _own(), _busy()
    found = closed_loop(started.address, asked, point.connections, point.warm_up + point.seconds)
    passed = time.monotonic() - begun
    server = started.processor_seconds() + _own() - used
    return {
        **_figures(found, begun + point.warm_up, point.seconds),
        "memory": started.memory(),
        "other_cores": max(0.0, (_busy() - busy - server) / passed),
    }


def _figures(found: Asked, start: float, seconds: float) -> dict[str, Any]:
    """Of the answers that came between `start` and `seconds` later."""
    due, ended, status = found.columns()
    counted = (ended >= start) & (ended < start + seconds)
    good = counted & (status >= OK.start) & (status < OK.stop)
    times = 1000 * (ended - due)[good]
    p50, p99 = np.percentile(times, [50, 99]).tolist() if len(times) else (None, None)
    return {
        "per_second": float(good.sum() / seconds),
        "p50_ms": p50,
        "p99_ms": p99,
        "refused": int((counted & ~good & (status != BROKEN)).sum()),
        "broken": int((counted & (status == BROKEN)).sum()),
    }


def _summary(figures: Mapping[str, Mapping[int, list[dict[str, Any]]]], name: str, count: int) -> dict[str, Any]:
    rounds = figures[name][count]
    found: dict[str, Any] = {"rounds": rounds}
    for key in ("per_second", "p50_ms", "p99_ms", "memory", "other_cores"):
        values = [one[key] for one in rounds if one[key] is not None]
        found[key] = {"median": statistics.median(values), "min": min(values), "max": max(values)} if values else None
    found |= {key: sum(one[key] for one in rounds) for key in ("refused", "broken")}
    for peer in COMPARED_WITH:
        others = figures.get(peer, {}).get(count, [])
        ratios = [
            mine["per_second"] / one["per_second"]
            for mine, one in zip(rounds, others, strict=False)
            if one["per_second"]
        ]
        found[f"to_{peer}"] = statistics.median(ratios) if ratios else None
    return found


def _own() -> float:
    return time.process_time()


def _busy() -> float:
    """Seconds of processor that the whole machine has used so far."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
