"""The server's log: one line an event, as JSON or for people; never a text, a key or a query of a request."""

from __future__ import annotations

import atexit
import datetime
import json
import logging
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

NAME = "forgeml.serving"


HELD = 10_000
"""Lines that wait while nobody reads stderr; those beyond are left out, since a server must not wait for its log."""
LAST_WAIT_S = 2.0
"""How long the end of the process waits for lines that are not written yet."""


def configure(form: str) -> Callable[[], None]:
    """Write what the server logs to stderr from now on, in a thread of its own.

    Args:
        form: one of `FORMS`.

    Returns:
        What writes the last lines and ends the thread; the end of the process does so too.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FORMS[form]())
    writing = _Writing(handler)
    logger = logging.getLogger(NAME)
    for before in logger.handlers:
        before.close()
    logger.handlers, logger.propagate = [writing], False
    logger.setLevel(logging.INFO)
    atexit.register(writing.close)
    return writing.close


class _Writing(logging.Handler):
    """Hands records to a thread that writes them."""

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self._handler = handler
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(HELD)
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep the record for the thread; without the lock of other handlers, which this one does not need."""
        with suppress(queue.Full):
            self._records.put_nowait(record)
        return True

    def close(self) -> None:
        """Wait a moment for the last lines."""
        super().close()
        with suppress(queue.Full):
            self._records.put_nowait(None)
            self._thread.join(LAST_WAIT_S)

    def _write(self) -> None:
        while (record := self._records.get()) is not None:
            self._handler.handle(record)


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One line that is JSON: what is in the texts of an event cannot end it or look like another one."""
        line = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _AsText(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One line for people, in which what is not printable is escaped."""
        clock = datetime.datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        facts = " ".join(f"{name}={_plain(value)}" for name, value in getattr(record, "facts", {}).items())
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{clock} {record.levelname.lower():7} {_plain(record.getMessage())} {facts}{trace}"


FORMS: Mapping[str, type[logging.Formatter]] = {"json": _AsJson, "text": _AsText}
"""How a line looks: for programs or for people."""


def _plain(value: object) -> str:
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return text if text.isprintable() else json.dumps(text)
