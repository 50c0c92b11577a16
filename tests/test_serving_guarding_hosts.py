"""Which names the server answers to."""

from __future__ import annotations

import pytest

from forgeml.serving.guarding.hosts import Hosts

LOCAL = Hosts(frozenset(), any_address=False)
OPEN = Hosts(frozenset({"api.example.com"}), any_address=True)


@pytest.mark.parametrize("header", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.9.9.9", "[::1]:80", "[::1]"])
def test_loopback_is_always_answered(header: str) -> None:
    """Every way to write this machine itself is answered."""
    assert LOCAL.allow(header)
    assert OPEN.allow(header)


@pytest.mark.parametrize(
    "header",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", ":80", "a b", "*", "\xff"],
)
def test_other_names_are_not(header: str) -> None:
    """A name that somebody else may own is not answered, however it is written."""
    assert not LOCAL.allow(header)
    assert not OPEN.allow(header)


def test_names_and_addresses_that_are_let_in() -> None:
    """Names given are answered in any case and with any port; addresses only by a server that is not on loopback."""
    assert OPEN.allow("API.example.com:443")
    assert OPEN.allow("api.example.com.")
    assert OPEN.allow("10.0.0.7:8000")
    assert not LOCAL.allow("10.0.0.7:8000")
    assert Hosts(frozenset({"*"}), any_address=False).allow("anything")
