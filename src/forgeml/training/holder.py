"""Who holds a lock or writes a journal: a process that is told from later ones of the same number."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Holder:
    """Who has taken a folder, or tells of a run."""

    pid: int
    host: str
    boot: str
    """Tells the machine's last start from earlier ones; empty where the system does not say."""
    began: str
    """When the process began, as its system counts: another process of the same number has begun at another time."""
    since: str
    """When the folder was taken, or the telling began."""
    mark: str
    """Of this one taking."""

    @classmethod
    def this(cls) -> Self:
        """The process that asks."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return cls(os.getpid(), platform.node(), boot_id(), began(os.getpid()), now, uuid.uuid4().hex)

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """The holder by its record; None where the text is none."""
        try:
            values = json.loads(text)
            texts = {name: str(values[name]) for name in ("host", "boot", "began", "since", "mark")}
            found = cls(pid=int(values["pid"]), **texts)
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        fit = found.pid > 0 and re.fullmatch("[0-9a-f]{32}", found.mark) and "".join(texts.values()).isprintable()
        return found if fit else None

    def __str__(self) -> str:
        """The holder in words."""
        return f"process {self.pid} on {self.host}, since {self.since}"

    @property
    def lives(self) -> bool:
        """Whether this process of this machine is still there; one that has ended and not been fetched is not."""
        found = began(self.pid)
        if found:
            return found == self.began
        try:
            os.kill(self.pid, 0)
        except PermissionError:
            # Of another user, on a system that does not show those.
            return True
        except (OSError, OverflowError):
            return False
        return False

    @property
    def may_live(self) -> bool:
        """Whether it is there, or may be: of other machines nothing is known here."""
        return self.host != platform.node() or (self.boot == boot_id() and self.lives)


def boot_id() -> str:
    """Tells this start of the machine from others; Linux alone says."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def began(pid: int) -> str:
    """When a process of this machine began, as the system counts; empty where there is none, or it has ended."""
    with suppress(OSError):
        if not os.path.exists("/proc/self/stat"):
            asked = ["ps", "-o", "lstart=", "-p", str(pid)]
            return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        # The name of the program stands in brackets, and may hold blanks and brackets itself.
        state, *fields = line.rpartition(")")[2].split()
        # One that has ended is listed until its parent asks for its result.
        return "" if state in "ZX" else fields[18]
    return ""
