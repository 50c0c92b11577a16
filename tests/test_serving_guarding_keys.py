"""Who may ask."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from forgeml.errors import ConfigError, MachineError
from forgeml.serving.guarding.keys import Keys

FIRST, SECOND = "a-key-of-many-characters", "another-key-of-characters"


def _basic(key: str, user: str = "anybody") -> str:
    return "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()


def test_keys_come_from_a_file_and_the_environment(tmp_path: Path) -> None:
    """Several keys hold at once, written as they are or as hashes; comments and empty lines are left out."""
    file = tmp_path / "keys"
    file.write_text(f"# for the web\n{FIRST}\n\nsha256:{hashlib.sha256(SECOND.encode()).hexdigest()}\n")
    keys = Keys.read(str(file), "a-third-key-of-characters, a-fourth-key-of-characters")
    for key in (FIRST, SECOND, "a-third-key-of-characters", "a-fourth-key-of-characters"):
        assert keys.accept(f"Bearer {key}")
        assert keys.accept(f"bearer {key}")
        assert keys.accept(_basic(key))


def test_only_hashes_are_kept() -> None:
    """Nothing of a key is in what is held."""
    assert FIRST not in repr(Keys.read(None, FIRST))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        FIRST,
        f"Bearer {FIRST[:-1]}",
        f"Bearer {FIRST.upper()}",
        f"Bearer {FIRST}x",
        f"Token {FIRST}",
        "Basic ",
        "Basic %%%",
        "Basic " + base64.b64encode(FIRST.encode()).decode(),
        _basic(FIRST.upper()),
        "Bearer " + "x" * 1_000_000,
        "Bearer \xff\x00",
    ],
)
def test_anything_else_is_refused(header: str | None) -> None:
    """No key, half of one, one of another case, and what is not even a header of the right form."""
    assert not Keys.read(None, FIRST).accept(header)


def test_an_empty_password_is_no_key() -> None:
    """Nothing typed at the browser's question is not a key, nor is it without keys at all."""
    of_nothing = Keys.read(None, f"sha256:{hashlib.sha256(b'').hexdigest()}")
    for keys in (Keys.read(None, FIRST), of_nothing):
        assert not keys.accept(_basic(""))
        assert not keys.accept(None)
    assert not Keys().accept(_basic(""))


@pytest.mark.parametrize(
    ("content", "says"),
    [("hunter2\n", "can be guessed"), ("# nothing\n", "has no key"), ("sha256:12\n", "not a SHA-256")],
)
def test_bad_keys_are_told(content: str, says: str) -> None:
    """A key that is too short, an empty file, and half a hash are told with the place and without the key."""
    Path("keys").write_text(content)
    with pytest.raises(ConfigError, match=says) as caught:
        Keys.read("keys", "")
    assert "hunter" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there, or is not text, is the machine's."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("absent", "binary"):
        with pytest.raises(MachineError):
            Keys.read(str(tmp_path / name), "")
