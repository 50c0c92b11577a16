"""One kind of texts measured in one way, from starting the servers to ending them."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serving import comparing
from serving.loops import Phase
from serving.overload import SHARE, client_speed, overload
from serving.processes import Cores, Started, free_port
from serving.servers import SCRIPTS, Model, Server, read_model, request, servers_of, usual_engines, why_not
from serving.soak import soak
from serving.texts import Texts, mean_tokens, read_texts

COMPARISON, OVERLOAD, SOAK = "serve", "serve-overload", "serve-soak"
"""What is measured; reports are called by it."""
NOTHING = Server(
    "the client alone", lambda port: [sys.executable, str(SCRIPTS / "nothing.py"), str(port)], "/", "/", str
)

Say = Callable[[str], None]


class Runs:
    """Measures with the same options."""

    def __init__(self, options: argparse.Namespace, cores: Cores, say: Say) -> None:
        """Find out which servers can be had; what cannot is in `left_out` with the reason."""
        self._options, self._cores, self._say = options, cores, say
        self.left_out: dict[str, str] = {}
        self._names = []
        for name in options.servers:
            reason = why_not(name, options.litserve_python)
            if reason is None:
                self._names.append(name)
            else:
                self._leave_out(name, reason)

    def measure(self, mode: str, kind: str, folder: Path) -> dict[str, Any]:
        """All figures of one kind of texts.

        Args:
            mode: COMPARISON, OVERLOAD or SOAK.
            kind: SHORT or LONG.
            folder: of the model.

        Raises:
            OSError: texts are missing.
            RuntimeError: a server answered something else than a prediction.
            ValueError: the model is not of the kind that is compared.
        """
        options, model = self._options, read_model(folder)
        texts = read_texts(kind, options.data, options.texts)
        with tempfile.TemporaryDirectory() as work:
            servers = self._servers(model, Path(work))
            if not servers:
                raise RuntimeError("none of the servers can be had here")
            ways = {COMPARISON: self._compared, OVERLOAD: self._overloaded, SOAK: self._soaked}
            return {
                "model": folder.parent.name if folder.name == "best_model" else folder.name,
                "max_length": model.max_length,
                "source": texts.source,
                "texts": len(texts.texts),
                "mean_tokens": mean_tokens(texts.texts, folder, model.max_length),
                **ways[mode](model, servers, texts, Path(work)),
            }

    def _servers(self, model: Model, work: Path) -> list[Server]:
        options = self._options
        engines = options.engines or usual_engines(model)
        made = [servers_of(name, model, engines, options.litserve_python, work) for name in self._names]
        return [server for some in made for server in some]

    def _compared(self, model: Model, servers: Sequence[Server], texts: Texts, work: Path) -> dict[str, Any]:
        options = self._options
        some = texts.texts[: options.compared]
        self._say("asking the pipeline itself")
        expected = comparing.pipeline_scores(model, some)
        points = [comparing.Point(count, options.warm_up, options.seconds) for count in options.connections]
        with self._running(servers, work) as running:
            same = comparing.sameness(running, some, expected)
            figures = comparing.compare(running, texts.texts, points, options.rounds, self._say)
        return {"same": same, "figures": figures}

    def _overloaded(self, model: Model, servers: Sequence[Server], texts: Texts, work: Path) -> dict[str, Any]:
        found = {}
        for server in servers:
            asked = [request(server, text) for text in texts.texts]
            with self._running([server], work) as running:
                for started in running.values():
                    self._say(f"capacity of {server.name}")
                    started.resume()
                    capacity = self._capacity(started, asked)
                    found[server.name] = {"capacity": capacity, **self._steps(started, asked, capacity, work)}
        return {"overload": found}

    def _soaked(self, model: Model, servers: Sequence[Server], texts: Texts, work: Path) -> dict[str, Any]:
        found = {}
        for server in servers:
            with self._running([server], work) as running:
                for started in running.values():
                    started.resume()
                    found[server.name] = soak(started, texts.texts, self._options.soak, self._say)
        return {"soak": found}

    def _capacity(self, started: Started, asked: Sequence[bytes]) -> float:
        """Requests per second with as many connections as were asked for at most."""
        options = self._options
        point = comparing.Point(max(options.connections), options.warm_up, options.phase_seconds)
        rate = comparing.measure(started, asked, point)["per_second"]
        if not rate:
            raise RuntimeError(f"{started.name} answered nothing")
        return rate

    def _steps(self, started: Started, asked: Sequence[bytes], capacity: float, work: Path) -> dict[str, Any]:
        """The steps that the client is fast enough for, and then the first one again."""
        options = self._options
        rates = [factor * capacity for factor in options.factors]
        started.pause()
        speed, processes = self._clients(asked, max(rates), work)
        started.resume()
        sent = [rate for rate in rates if rate <= SHARE * speed]
        if not sent:
            raise RuntimeError(
                f"{started.name} answers faster than this client may send, {SHARE * speed:,.0f} a second"
            )
        self._say(f"overload of {started.name}, up to {sent[-1]:,.0f} requests a second")
        phases = [Phase(rate, options.phase_seconds) for rate in [*sent, sent[0]]]
        return {
            "client_speed": speed,
            "client_processes": processes,
            "not_sent": [rate for rate in rates if rate not in sent],
            **overload(started.address, asked, phases, options.pool, processes),
        }

    def _clients(self, asked: Sequence[bytes], rate: float, work: Path) -> tuple[float, int]:
        """How fast the client is, with as many processes as that rate takes and its cores allow."""
        with self._running([NOTHING], work) as running:
            for nothing in running.values():
                nothing.resume()
                speed = client_speed(nothing.address, asked, self._options.pool, 1)
                processes = min(math.ceil(rate / (SHARE * speed)), len(self._cores.client) or 1)
                if processes > 1:
                    speed = client_speed(nothing.address, asked, self._options.pool, processes)
                return speed, processes
        raise RuntimeError("the server that measures the client's speed did not start")

    @contextmanager
    def _running(self, servers: Sequence[Server], work: Path) -> Iterator[dict[Server, Started]]:
        """Servers that have loaded their models and sleep; all are ended on leaving."""
        running: dict[Server, Started] = {}
        every: list[Started] = []
        try:
            for number, server in enumerate(servers):
                port = free_port()
                self._say(f"starting {server.name}")
                started = Started(server.name, server.command(port), port, work / f"{number}.log", self._cores)
                every.append(started)
                try:
                    started.wait_until_ready(server.ready)
                except RuntimeError as error:
                    self._leave_out(server.name, str(error))
                else:
                    running[server] = started
                    started.pause()
            yield running
        finally:
            for started in every:
                started.end()

    def _leave_out(self, name: str, reason: str) -> None:
        self.left_out[name] = reason
        self._say(f"{name} is left out: {reason}")
