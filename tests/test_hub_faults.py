"""Whatever goes wrong with the hub, `forgeml train` ends as it has to: with a model, or with words that help."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from hub_faults import FAULTS, TOO_LONG
from hub_player import Outcome, Player

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcome]:
    """All cases, played in one process with short time limits."""
    with Player(tmp_path_factory.mktemp("faults"), hurried=True) as player:
        return {name: player.play(name, case) for name, case in {**FAULTS, "C09": TOO_LONG}.items()}


@pytest.mark.parametrize("name", [*FAULTS, "C09"])
def test_fault_ends_as_it_has_to(outcomes: Mapping[str, Outcome], name: str) -> None:
    """The exit code, the words, the requests, a sound cache, no traceback, and a planted token nowhere."""
    outcome = outcomes[name]
    assert not outcome.complaints, f"{outcome.complaints}\n{outcome.said}"


def test_every_row_of_the_hub_is_among_them() -> None:
    """Of the catalogue of bad input, the rows M21 to M33 and M35 are played; M34 is a matter of names."""
    rows = {name[:3] for name in FAULTS}
    assert rows >= {f"M{row}" for row in (13, *range(21, 34), 35)}
    assert len(FAULTS) >= 25
