"""What one client may ask of the server."""

from __future__ import annotations

from dataclasses import fields

from forgeml.serving.limits import Limits


def test_each_limit_is_told_and_explained() -> None:
    """The table that `/info` shows has each limit under its name, above 0, and each has its line of help."""
    told = Limits(texts=3).as_dict()
    assert told["texts"] == 3
    for one in fields(Limits):
        assert told[one.name] > 0
        assert one.metadata["help"].endswith(".")
