"""From a path to text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forgeml.config.opening import MAX_BYTES, hide_secrets, read_text
from forgeml.errors import ConfigError


def test_mark_and_line_ends_are_taken_away() -> None:
    """A byte order mark and Windows line ends change nothing."""
    Path("c.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\rc: 3\n")
    assert read_text(Path("c.yaml")) == "a: 1\nb: 2\nc: 3\n"


def test_pipe_is_refused_without_waiting() -> None:
    """A FIFO that nobody writes to does not hang the command."""
    os.mkfifo("pipe.yaml")
    with pytest.raises(ConfigError, match="pipe or a device"):
        read_text(Path("pipe.yaml"))


def test_large_file_is_refused() -> None:
    """A file of data given by mistake is not read to its end."""
    Path("big.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        read_text(Path("big.yaml"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@ss@host/db", "postgresql://******@host/db"),
        ("postgresql://u:pa/ss@host/db", "postgresql://*******@host/db"),
        ("postgresql://u:p:a@host:5432/db", "postgresql://*****@host:5432/db"),
        ("mysql://me@corp:x@y@host/db", "mysql://***********@host/db"),
        ("postgresql://host/db?user=u&password=se@cret", "postgresql://host/db?user=u&password=*******"),
        ("https://host/x?api_key=abc&y=1", "https://host/x?api_key=***&y=1"),
        ("postgresql://u:p@host/db?x=a@b", "postgresql://***@host/db?x=a@b"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("http://localhost:5000/team@acme", "http://localhost:5000/team@acme"),
        ("http://localhost:5000 and me@acme", "http://localhost:5000 and me@acme"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:///a/b@c.db", "sqlite:///a/b@c.db"),
        ("me@acme: keys=1&monkey", "me@acme: keys=1&monkey"),
    ],
)
def test_passwords_in_addresses(text: str, shown: str) -> None:
    """All of a password is hidden, whatever characters are in it, and nothing but that."""
    assert hide_secrets(text) == shown


def test_secrets_are_hidden() -> None:
    """Tokens and passwords become stars of the same length."""
    token = "hf_" + "a" * 24
    assert hide_secrets(f"x {token} http://me:secret@host") == f"x {'*' * 27} http://{'*' * 9}@host"
