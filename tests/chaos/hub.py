"""A hub that is in trouble: each training ends with a model or with words that help, and a planted token is nowhere."""

from __future__ import annotations

from pathlib import Path

from chaos.figures import Figure
from hub_faults import FAULTS
from hub_player import Player

AWAY = "M30"
"""What the names of the cases begin with in which the hub is away."""
UNASKED = "M29-offline-and-cached"
"""The case in which the hub is not asked at all."""


def hub(folder: Path, numbers: range) -> Figure:
    """Play the faults one by one, each in a process of its own, with the time limits that users have."""
    what = "faults ended as they have to; a hub that is away, with all in the cache, delayed a training by at most"
    figure = Figure("hub", what)
    cases = list(FAULTS.items())
    with Player(folder, hurried=False) as player:
        unasked = player.play(UNASKED, FAULTS[UNASKED]).seconds
        for name, case in cases[numbers.start : numbers.stop : numbers.step]:
            outcome = player.play(name, case)
            if case.code == 0 and name.startswith(AWAY):
                figure.longest = max(figure.longest, outcome.seconds - unasked)
            figure.count("; ".join(f"{name}: {complaint}" for complaint in outcome.complaints))
    return figure
