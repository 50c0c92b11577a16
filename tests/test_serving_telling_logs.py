"""The server's log."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from command import run
from forgeml.serving.telling.logs import FORMS, NAME, configure

MANY_LINES = """
import logging
from forgeml.serving.telling.logs import HELD, NAME, configure
end = configure("json")
for number in range(2 * HELD):
    logging.getLogger(NAME).info("x" * 100)
end()
print("went on", flush=True)
os._exit(0)
"""
HOSTILE = 'a\n{"event": "forged"}\x1b[31m\u2028'


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    logger = logging.getLogger(NAME)
    before = (logger.handlers, logger.propagate, logger.level)
    yield
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


def test_a_line_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level, event and its facts, as one object on one line."""
    end = configure("json")
    logging.getLogger(f"{NAME}.part").info("request", extra={"facts": {"status": 200, "ms": 1.5}})
    end()
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["event"], line["status"], line["ms"]) == ("info", "request", 200, 1.5)
    assert line["time"].endswith("+00:00")


@pytest.mark.parametrize("form", FORMS)
def test_nothing_in_an_event_looks_like_another_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Line breaks and the terminal's control characters are escaped."""
    end = configure(form)
    logging.getLogger(NAME).warning(HOSTILE, extra={"facts": {"problem": HOSTILE}})
    end()
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "\x1b" not in said


def test_an_error_brings_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """What went wrong in the server can be found in its log, for programs and for people."""
    for form in FORMS:
        end = configure(form)
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            logging.getLogger(NAME).exception("bug")
        end()
        assert "Traceback" in capsys.readouterr().err


def test_the_server_does_not_wait_for_its_log() -> None:
    """While nobody reads stderr the server goes on; lines wait, those beyond a bound are left out, and it can end."""
    done = run(sys.executable, "-c", f"import os; os.dup2(os.pipe()[1], 2){MANY_LINES}")
    assert done.stdout == "went on\n"
