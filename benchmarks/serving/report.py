"""The measured figures as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from serving.servers import LITSERVE, PIPELINE

HEAD = """\
# {title}, measured on {date}

Machine: {processor}{instructions}, {cores} cores; load average before: {load}.
Versions: {versions}.
Settings: {settings}.

Written by `benchmarks/serve.py`.{left_out}
{way}
"""

SERVING = """\
`{pipeline}` is `transformers.pipeline` in FastAPI, one text a request; `mlflow` is `mlflow models serve` of that
pipeline; `{litserve}` is the same model in LitServe with batches of up to 16 texts that arrive within 10 ms. All read
at most as many tokens as ForgeML. All are started before the first round; whoever does not have its turn is stopped by
a signal and takes no core. One round is every server at every number of connections, in another order than the last.
The client is one process of this benchmark, on the same cores unless pinned; a connection asks again as soon
as it has its answer. A ratio is worked out within a round; what is shown is the median of the rounds.

- **Requests/s**: answers 2xx in the time that counts; median, and the lowest and highest round.
- **p50, p99**: from a request to its whole answer, of these answers.
- **Memory**: of the server's process and all that it started, after the point; shared pages count for each process.
- **Refused, broken**: answers other than 2xx, and connections that failed, of all rounds.
- **Agreement, score difference**: with what the pipeline itself says, asked one by one: the share of texts with the
  same label, and the largest distance of the score of a said label.
"""
OVERLOAD = """\
The client sends at a fixed rate, whatever comes back, over as many kept-alive connections as it needs up to a bound.
Capacity is what the server answers to the largest number of connections of the settings, each asking again as soon as
it has its answer.
Rates above 80 % of the client's own speed, measured on a server that does nothing, are not sent. Times count from the
moment at which a request was due.

- **Goodput/s**: answers 200 that came in the step.
- **p50, p99**: of the answers 200 to requests of the step; of refusals (429, 503) in their own column.
- **Broken, unsent**: connections that failed, and requests for which no connection was left.
"""
SOAKED = """\
Requests of 1 to 20,000 characters, one in twenty of them wrong: bad JSON, no text, too many texts, too large, no such
address. Memory, open files and threads are those of the server and all that it started, with no connection open.
"""
TITLES = {"serve": "Serving", "serve-overload": "Serving under overload", "serve-soak": "Serving for long"}
WAYS = {
    "serve": SERVING.format(pipeline=PIPELINE, litserve=LITSERVE),
    "serve-overload": OVERLOAD,
    "serve-soak": SOAKED,
}
COMPARED = (
    *("Server", "Connections", "Requests/s", f"Times {PIPELINE}", f"Times {LITSERVE}", "p50, ms", "p99, ms"),
    *("Memory, MB", "Refused", "Broken"),
)
STEPS = (
    *("Times capacity", "Sent/s", "Goodput/s", "p50, ms", "p99, ms", "p99 of refusals, ms", "Statuses"),
    *("Broken", "Unsent"),
)
BUSY = 0.1
"""Cores that other processes may take."""
TOO_BUSY = ": these figures are of no use, threads that wait for each other suffer most"
SHOWN_LOOKS = 10
MEGA = 1e6


def write_page(found: Mapping[str, Any]) -> str:
    """The page of all kinds of texts that were measured so far."""
    machine = found["machine"]
    head = HEAD.format(
        title=TITLES[found["mode"]],
        date=found["date"],
        processor=machine["processor"],
        instructions=f" ({', '.join(machine['instructions'])})" if machine["instructions"] else "",
        cores=machine["cores"],
        load=", ".join(f"{load:.2f}" for load in found["load"]),
        versions=", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        settings=", ".join(f"{name.replace('_', ' ')} {_setting(value)}" for name, value in found["settings"].items()),
        left_out="".join(f" {name} was left out: {reason}." for name, reason in found["left_out"].items()),
        way=WAYS[found["mode"]],
    )
    return "\n".join([head, *(_kind(kind, one) for kind, one in found["kinds"].items())])


def _kind(kind: str, one: Mapping[str, Any]) -> str:
    title = (
        f"## {kind.capitalize()} texts\n\nModel {one['model']}; {one['texts']:,} texts of {one['source']}, of which it "
        f"reads {one['mean_tokens']:.0f} tokens on average and {one['max_length']} at most."
    )
    parts = {"figures": _compared, "overload": _overload, "soak": _soak}
    return "\n\n".join([title, *(part(one) for key, part in parts.items() if key in one)])


def _compared(one: Mapping[str, Any]) -> str:
    rows = [[name, count, *_point(point)] for name, every in one["figures"].items() for count, point in every.items()]
    others = [
        here["other_cores"] for every in one["figures"].values() for point in every.values() for here in point["rounds"]
    ]
    taken = sum(others) / len(others) if others else 0.0
    busy = f"Other processes took {taken:.2f} cores on average{TOO_BUSY if taken > BUSY else ''}.\n\n"
    same = [[name, f"{told['agreement']:.3f}", f"{told['score_difference']:.1e}"] for name, told in one["same"].items()]
    return f"{busy}{_table(COMPARED, rows)}\n{_table(('Server', 'Agreement', 'Score difference'), same)}"


def _point(point: Mapping[str, Any]) -> list[str]:
    rate = point["per_second"]
    return [
        f"{rate['median']:,.1f} ({rate['min']:,.1f} to {rate['max']:,.1f})",
        _number(point[f"to_{PIPELINE}"], 2),
        _number(point[f"to_{LITSERVE}"], 2),
        *(_number((point[key] or {}).get("median"), 1) for key in ("p50_ms", "p99_ms")),
        f"{point['memory']['median'] / MEGA:,.0f}",
        f"{point['refused']:,}",
        f"{point['broken']:,}",
    ]


def _overload(one: Mapping[str, Any]) -> str:
    return "\n".join(_steps(name, every) for name, every in one["overload"].items())


def _steps(name: str, every: Mapping[str, Any]) -> str:
    capacity, normal = every["capacity"], every["normal_after_s"]
    told = [
        f"Capacity: {capacity:,.1f} requests a second.",
        f"The client can send {every['client_speed']:,.0f} with {every['client_processes']} process(es);",
        f"it sent at most {_number(every['lag_p99_ms'], 1)} ms late, 99 % of the time.",
        f"As before {normal:.1f} s after the overload:"
        if normal is not None
        else "Not as before within the last step:",
        "three windows of 100 ms with nothing but 200 and at most twice the median time of the first step.",
        *(
            f"{rate / capacity:.0f} times the capacity was not sent: the client is too slow."
            for rate in every["not_sent"]
        ),
    ]
    rows = [
        [
            f"{step['rate'] / capacity:.1f}",
            *(_number(step[key], 1) for key in ("rate", "goodput", "p50_ms", "p99_ms", "refused_p99_ms")),
            ", ".join(f"{status}: {count:,}" for status, count in step["statuses"].items()),
            f"{step['broken']:,}",
            f"{step['unsent']:,}",
        ]
        for step in every["phases"]
    ]
    return f"### {name}\n\n{' '.join(told)}\n\n{_table(STEPS, rows)}"


def _soak(one: Mapping[str, Any]) -> str:
    parts = []
    for name, every in one["soak"].items():
        slope, looks = every["bytes_per_100000"], every["looks"]
        grows = "too few looks for a slope" if slope is None else f"{slope / MEGA:+.1f} MB per 100,000 requests"
        statuses = ", ".join(f"{status}: {count:,}" for status, count in every["statuses"].items())
        shown = [looks[place * (len(looks) - 1) // SHOWN_LOOKS] for place in range(SHOWN_LOOKS + 1)]
        rows = [
            [
                f"{look['requests']:,}",
                f"{look['memory'] / MEGA:,.1f}",
                *(f"{look[key]:.0f}" for key in ("open_files", "threads")),
            ]
            for number, look in enumerate(shown)
            if look not in shown[:number]
        ]
        told = f"{grows}, after the first fifth. Statuses (0: the connection failed): {statuses}."
        parts.append(f"### {name}\n\n{told}\n\n{_table(('Requests', 'Memory, MB', 'Open files', 'Threads'), rows)}")
    return "\n".join(parts)


def _setting(value: object) -> str:
    return (
        " ".join(str(one) for one in value)
        if isinstance(value, Sequence) and not isinstance(value, str)
        else str(value)
    )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
