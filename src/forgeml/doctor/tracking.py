"""Where runs are recorded: whether it can be reached, and whether it is whole."""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path

from forgeml.config.opening import hide_secrets
from forgeml.doctor.finding import Finding, Subject, Tell, ok, problem, size, warning
from forgeml.doctor.places import sqlite_file
from forgeml.errors import first_line

ANSWER_S, LONGEST_S = 3.0, 5.0
"""Seconds that a server may be silent, and that it may take in all."""
LONGEST_READ_S = 10.0
"""Seconds after which a large database is no longer read through."""
INSTRUCTIONS = 10_000
"""Of SQLite's, between two looks at the clock."""

GOES_ON = "a training goes on without it, and says so"


def check(subject: Subject, tell: Tell) -> Iterator[Finding]:
    """The store, by its kind."""
    uri = subject.tracking_uri
    database = sqlite_file(uri)
    if database is not None:
        yield _sqlite(database)
    elif uri.startswith(("http://", "https://")):
        yield _server(uri)
    else:
        yield ok("tracking", f"{hide_secrets(uri)}, which is looked at only when a run begins")


def _sqlite(database: Path) -> Finding:
    shown = str(database.absolute())
    if not database.exists():
        return ok("tracking", f"{shown}, which the first run makes", store=shown)
    aside = f"move {shown} away, and the next run begins a new one"
    if not database.is_file():
        return problem("tracking", f"{shown} is not a file", aside, store=shown)
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as opened:
            whole = _is_whole(opened)
            runs = dict(opened.execute("SELECT status, count(*) FROM runs GROUP BY status"))
    except sqlite3.OperationalError as error:
        fix = "see whether another program has it open, and to the rights; " + GOES_ON
        return warning("tracking", f"{shown} cannot be read: {error}", fix, store=shown)
    except sqlite3.DatabaseError as error:
        return problem("tracking", f"{shown} is damaged, or no SQLite file: {error}", aside, store=shown)
    if whole is False:
        return problem("tracking", f"{shown} is damaged", aside, store=shown)
    if not os.access(database, os.W_OK) or not os.access(database.absolute().parent, os.W_OK):
        return warning("tracking", f"{shown} cannot be written", f"see to the rights; {GOES_ON}", store=shown)
    part = "" if whole else ", of which a part was read"
    told = ", ".join(f"{count} {str(status).lower()}" for status, count in sorted(runs.items())) or "none"
    return ok("tracking", f"{shown}, {size(database.stat().st_size)}{part}; runs: {told}", store=shown, runs=runs)


def _is_whole(opened: sqlite3.Connection) -> bool | None:
    """Whether SQLite finds its file in order; None where it was too large to be read through."""
    ends = time.monotonic() + LONGEST_READ_S
    opened.set_progress_handler(lambda: time.monotonic() > ends, INSTRUCTIONS)
    try:
        return bool(opened.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.OperationalError:
        if time.monotonic() > ends:
            return None
        raise
    finally:
        opened.set_progress_handler(None, INSTRUCTIONS)


def _server(uri: str) -> Finding:
    """Ask the server, in a thread: names are looked up without a limit of time."""
    answer: queue.Queue[int | str] = queue.Queue()
    threading.Thread(target=lambda: answer.put(_ask(uri)), daemon=True).start()
    try:
        found = answer.get(timeout=LONGEST_S)
    except queue.Empty:
        found = f"no answer within {LONGEST_S:g} seconds"
    shown = hide_secrets(uri)
    if found == 200:
        return ok("tracking", f"{shown} answers", store=shown)
    if found in (401, 403):
        fix = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return warning("tracking", f"{shown} answers {found}: it does not let this user in", fix, store=shown)
    what = f"answers {found} where an MLflow server tells its health" if isinstance(found, int) else f"is away: {found}"
    fix = f"see to the address and the server; {GOES_ON}"
    return warning("tracking", f"{shown} {what}", fix, store=shown)


def _ask(uri: str) -> int | str:
    """The status of an answer, or why there is none."""
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=ANSWER_S) as answered:
            return int(answered.status)
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, HTTPException, ValueError) as error:
        return hide_secrets(first_line(error))
