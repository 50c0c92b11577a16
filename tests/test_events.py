"""What a run tells: values that nobody changes after."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from forgeml.events import Event, Note, Progress

EVENTS: tuple[type, ...] = get_args(Event)


def test_events_are_frozen() -> None:
    """What was told never changes on the way to who listens."""
    for event, name in ((Note("model", "text"), "text"), (Progress("read", 1, 2), "done")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(event, name, None)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_is_a_frozen_dataclass(kind: type) -> None:
    """Whoever adds a kind of event makes it one that cannot be changed."""
    assert dataclasses.is_dataclass(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(object.__new__(kind), dataclasses.fields(kind)[0].name, None)


def test_a_note_is_no_warning_unless_it_says_so() -> None:
    """Most lines of the story are good news."""
    assert not Note("data", "240 texts").warning
    assert Note("data", "0 texts", warning=True).warning
