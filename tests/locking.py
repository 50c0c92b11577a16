"""A process that takes locks as it is told: `python locking.py FOLDER [--without-locks]`, a command a line on stdin.

`take WHEN` takes the lock at that time of the monotonic clock and answers `won`, with the notes, or `refused` with the
error; `leave` leaves it. `rounds COUNT` takes and leaves it so often, and answers how often it had it, or `both` if
another process had it too. Without locks: as on a file system that has none.
"""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__)


class Process:
    """The process, from outside."""

    def __init__(self, folder: Path, *, without_locks: bool = False) -> None:
        """Start it; it is ready when the first answer is read."""
        command = [sys.executable, str(HERE), str(folder), *(["--without-locks"] if without_locks else [])]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def ask(self, command: str) -> None:
        """Give a command without waiting for what comes of it."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """What comes of the command."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def take(self) -> str:
        """Take the lock now."""
        self.ask("take 0")
        return self.answer()

    def kill(self) -> None:
        """End it at once, by signal 9."""
        self.process.kill()
        self.process.communicate()

    def end(self) -> None:
        """Let it come to its end, if it has not."""
        if self.process.poll() is None:
            self.process.communicate()


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def _refuse(handle: int, kind: int) -> None:
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


def _rounds(folder: str, count: int) -> str:
    from forgeml.errors import MachineError
    from forgeml.training.lock import locked

    won = 0
    for _ in range(count):
        try:
            with locked(folder):
                # Where two are inside, one of them finds this file there.
                os.close(os.open(Path(folder) / "inside", os.O_CREAT | os.O_EXCL))
                won += 1
                (Path(folder) / "inside").unlink()
        except MachineError:
            continue
        except FileExistsError:
            return "both"
    return str(won)


def main(folder: str, *options: str) -> None:
    """Follow the commands."""
    from forgeml.errors import MachineError
    from forgeml.events import Event
    from forgeml.training.lock import locked

    if options:
        fcntl.flock = _refuse  # type: ignore[assignment]
    notes: list[Event] = []
    held = ExitStack()
    _say("ready")
    for line in sys.stdin:
        command, _, more = line.strip().partition(" ")
        if command == "leave":
            held.close()
            _say("left")
        elif command == "rounds":
            _say(_rounds(folder, int(more)))
        else:
            while time.monotonic() < float(more):
                pass
            try:
                held.enter_context(locked(folder, notes.append))
                _say("won", *(getattr(note, "text", "") for note in notes))
            except MachineError as error:
                _say("refused", str(error).replace("\n", " "))
    held.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
