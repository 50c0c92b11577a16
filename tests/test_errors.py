"""Errors and suggestions."""

from __future__ import annotations

import pickle

import pytest

from forgeml.errors import DataError, ForgeError, Problem, Stopped, nearest


def test_problems_are_shown_together_in_order() -> None:
    """The text has two lines for each problem, in the order in which they were found."""
    error = DataError([Problem("a.csv:2", "wrong", "mend it"), Problem("a.csv:3", "worse", "leave it")])
    assert str(error) == "a.csv:2: wrong\n  fix: mend it\na.csv:3: worse\n  fix: leave it"


def test_stop_is_no_exception() -> None:
    """Handlers for errors let a stop pass, and its exit code is that of the shell."""
    assert not issubclass(Stopped, Exception)
    assert not issubclass(Stopped, ForgeError)
    assert Stopped(15).exit_code == 143


@pytest.mark.parametrize(("name", "wanted"), [("lable", "label"), ("Label", "label"), ("TEXT", "text"), ("zzz", None)])
def test_nearest(name: str, wanted: str | None) -> None:
    """Misspelt names and other letter cases find their match, strange ones find none."""
    assert nearest(name, ["text", "label"]) == wanted


def test_error_reaches_another_process_with_its_problems() -> None:
    """What one process raises is raised in the others with the same words; who says it is settled there."""
    error = DataError.at("a.csv:2", "wrong", "mend it")
    error.told_elsewhere = True
    sent = pickle.loads(pickle.dumps(error))
    assert (type(sent), sent.problems, sent.told_elsewhere) == (DataError, error.problems, False)
