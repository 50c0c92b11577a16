"""Cells that a spreadsheet would run."""

from __future__ import annotations

import time

import pytest

from forgeml.inference.files.formulas import is_formula

RUN = (
    "=1+1",
    "=cmd|' /C calc'!A0",
    "+x",
    "-x",
    "@SUM(A1)",
    "\tx",
    "-1+2",
    "+2-3",
    "-2+3",
    "-2-3",
    "-5551234-9999",
    "-1 (555) 010",
    "+1 (555) 010--9999",
    "+1 (555 010-9999",
    "+1 (555) 010-9999*2",
    "+1 (SUM(5)) 0109999",
    "-1+cmd|' /C calc'!A0",
    "+cmd|' /C calc'!A0",
    "-1%%",
    "-%",
    "+",
    "--1",
    "-1..5",
    "-5\n",
    "-5\n=1",
    "-\n",
    "+1 (555) 010-9999\n",
    "-\u0665",
)
HARMLESS = (
    "-5",
    "+1.5e-3",
    "-.5",
    "-",
    "--",
    "-1,50",
    "-1.234,56",
    "-1 234 567",
    "-1\u202f234,5\xa0%",
    "-3%",
    "-3 % ",
    "- 5",
    "-12:30",
    "+49 30 123",
    "+1 (555) 010-9999",
    "+1(555)010-9999",
    "+49-30-1234567",
    "x=1",
    "'=1",
    "",
    "text",
    "5",
)


@pytest.mark.parametrize("cell", RUN)
def test_what_a_spreadsheet_may_run(cell: str) -> None:
    """Also what only looks like a number at first, sums, and text behind a line break."""
    assert is_formula(cell)


@pytest.mark.parametrize("cell", HARMLESS)
def test_what_can_only_be_a_number_or_text(cell: str) -> None:
    """Numbers in their usual spellings, telephone numbers, and dashes for nothing."""
    assert not is_formula(cell)


def test_long_runs_of_digits_are_looked_at_in_an_instant() -> None:
    """No cell can hold up the run: the time for it grows with its length and not faster."""
    begun = time.monotonic()
    for cell in ("+" + "1" * 20_000 + "x", "-" + "1 " * 20_000 + "x", "+" + "(1)1" * 10_000 + "x", "-" * 20_000 + "x"):
        assert is_formula(cell)
    assert time.monotonic() - begun < 5
