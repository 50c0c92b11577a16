"""Serves the small application as a command: `python small_server.py WORKERS DRAIN_DELAY_S HOW`.

It prints its address when it is ready. HOW says what goes wrong: `broken` cannot load, `bug` dies while
it loads, `third` loads twice and dies from the third time on; `well` is none of these.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Any

from forgeml.errors import ForgeError, ModelError
from forgeml.serving.limits import Limits
from forgeml.serving.transport.running import Settings, serve
from small_application import SmallApplication, respond


class Known(SmallApplication):
    """Tells the id of its process at `/pid`, ends it at `/die`."""

    def __init__(self, how: str, folder: Path) -> None:
        """Fail as told."""
        super().__init__(Limits(answer_s=10.0))
        self._how = how
        self._mark = folder / "loaded"
        self._mark.touch()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or follow the lifespan."""
        if scope["type"] == "http" and scope["path"] == "/pid":
            await respond(send, 200, f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')}".encode())
        elif scope["type"] == "http" and scope["path"] == "/die":
            os._exit(3)
        else:
            await super().__call__(scope, receive, send)

    async def loaded(self) -> None:
        """Fail as told."""
        if self._how == "broken":
            raise ModelError.at("best_model", "a file is missing", "copy it whole")
        if self._how == "bug" or (self._how == "third" and self._mark.stat().st_size >= 2):
            os._exit(9)
        with self._mark.open("ab") as mark:
            mark.write(b".")


def main(workers: int, drain_delay_s: float, how: str) -> int:
    """Serve; the exit code."""
    settings = Settings(port=0, workers=workers, drain_delay_s=drain_delay_s)
    try:
        serve(functools.partial(Known, how, Path.cwd()), settings, ready=_say, worker_ended=_ended)
    except ForgeError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _ended(pid: int) -> None:
    _say(f"ended: {pid} {os.environ['PROMETHEUS_MULTIPROC_DIR']}")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]))
