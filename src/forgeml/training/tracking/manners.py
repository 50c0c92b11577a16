"""MLflow as a guest in this process: quick to give up, quiet, and without a trace in what the training draws."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.utils.name_utils import _generate_random_name

TIMEOUT, RETRIES = "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
MANNERS = {
    # Its own patience with a server that is away lasts about four minutes a call, and it would repeat what must not be:
    # a run that is made once more after an answer that came too late stays RUNNING for ever.
    RETRIES: "0",
    # How long it waits between two attempts would come of random numbers that are the training's.
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    # What is printed belongs to the command line.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
CALL_SECONDS = 10
"""How long a server may take to answer."""
UPLOAD_RETRIES = 2
UPLOAD_SECONDS = 900
"""How long a server may take to put away one file of the model before it answers."""

# The making of a new SQLite file is told step by step otherwise.
for chatty in ("mlflow", "alembic"):
    logging.getLogger(chatty).setLevel(logging.ERROR)


@contextmanager
def manners(seconds: int | None = None) -> Iterator[None]:
    """Inside `with`, MLflow is quick to give up and quiet; afterwards the environment is as before.

    Another thread may call MLflow meanwhile. It is for the thread that outlives that one, since a process should change
    its environment in one thread only.

    Args:
        seconds: that a server may take to answer, if the environment does not say it; None: as in a training.
    """
    wanted = {**MANNERS, TIMEOUT: str(seconds or CALL_SECONDS)}
    before = {name: os.environ.get(name) for name in (*wanted, "MLFLOW_TRACKING_URI")}
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def patience() -> Iterator[None]:
    """Inside `with`, a server has time to put away large files, and is asked more than once."""
    before = {name: os.environ.get(name) for name in (TIMEOUT, RETRIES)}
    os.environ[RETRIES] = str(max(UPLOAD_RETRIES, int(before[RETRIES] or 0)))
    os.environ[TIMEOUT] = str(max(UPLOAD_SECONDS, int(before[TIMEOUT] or 0)))
    try:
        yield
    finally:
        _restore(before)


def drawn_name() -> str:
    """A name for a run, as MLflow makes them up; the numbers that the training draws are as if none had been."""
    state = random.getstate()
    # After the seed of the training all runs would have the same.
    random.seed()
    try:
        return str(_generate_random_name())  # type: ignore[no-untyped-call]
    finally:
        random.setstate(state)


def _restore(before: dict[str, str | None]) -> None:
    for name, old in before.items():
        if old is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = old
