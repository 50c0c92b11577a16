"""Cells that a spreadsheet would run."""

from __future__ import annotations

import re

FORMULA = tuple("=+-@\t\r")
"""What a cell begins with that a spreadsheet takes for a formula."""
NUMBERS = (
    r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?",
    # -1.234,56 and -3 % and +12:30 and +49 30 123: one separator between groups of digits, and no sign but the first.
    r"[+-] ?[.,]?\d+([.,:\x20\xa0\u202f]\d+)*\.?([\x20\xa0\u202f]?%)? *",
    # +1 (555) 010-9999: as many digits as telephone numbers have, so that +2-3 is none.
    r"(?=(\D*\d){7,15}\D*$)\+(\(\d+\)[ -]?)?\d+([ .-]\d+|[ -]?\(\d+\)[ -]?\d+)* *",
    # What stands in tables for nothing.
    r"-+",
)
HARMLESS = re.compile("|".join(f"({one})" for one in NUMBERS), re.ASCII)
"""What begins like a formula and can only be a number, as people spell them. Whatever is in doubt is not among them."""


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet may take the cell for a formula."""
    return cell.startswith(FORMULA) and not HARMLESS.fullmatch(cell)
