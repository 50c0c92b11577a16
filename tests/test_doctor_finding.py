"""What a check finds."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from forgeml.doctor.finding import from_problem, ok, problem, size, warning
from forgeml.errors import Problem


def test_findings_have_states_and_facts() -> None:
    """Facts are for programs, texts for people; what is well needs no fix."""
    assert (ok("disk", "fine", free=3).state, ok("disk", "fine").fix) == ("ok", "")
    assert (warning("disk", "little", "free some").state, problem("disk", "none", "free some").state) == (
        "warning",
        "problem",
    )
    assert json.loads(json.dumps(asdict(ok("disk", "fine", free=3))))["facts"] == {"free": 3}


def test_errors_of_forgeml_become_findings() -> None:
    """Place, what is wrong, and the fix stay as they are."""
    found = from_problem("output", Problem("output_dir", "is a file", "choose another"))
    assert (found.state, found.text, found.fix) == ("problem", "output_dir: is a file", "choose another")


@pytest.mark.parametrize(("count", "text"), [(0, "0 kB"), (1_500, "2 kB"), (2_500_000, "2.5 MB"), (3e12, "3,000.0 GB")])
def test_sizes_are_in_decimal_units(count: int, text: str) -> None:
    """As disks are sold."""
    assert size(int(count)) == text
