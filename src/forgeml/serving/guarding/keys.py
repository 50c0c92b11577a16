"""Who may ask: keys, of which only hashes are kept."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from forgeml.errors import ConfigError, MachineError

VARIABLE = "FORGEML_API_KEYS"
LEAST_CHARACTERS = 16
HASHED = "sha256:"


@dataclass(frozen=True)
class Keys:
    """SHA-256 hashes of the keys that are accepted; several, so that a new one can come before the old one goes."""

    hashes: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, file: str | None, variable: str) -> Self:
        """Keys from a file, one a line, and from the environment, with commas between them.

        A key is at least 16 characters, or `sha256:` and the 64 hexadecimal digits of its hash. Lines that begin with
        `#` are left out.

        Args:
            file: path of the file, or None.
            variable: what the environment says, or nothing.

        Raises:
            MachineError: the file cannot be read.
            ConfigError: a key is too short, is no hash though it looks like one, or the file has none.
        """
        try:
            lines = Path(file).expanduser().read_text(encoding="utf-8").splitlines() if file else []
        except (OSError, UnicodeDecodeError) as error:
            raise MachineError.at(
                "--keys", f"{file} cannot be read: {error}", "give a file with one key a line"
            ) from error
        written = [(f"{file}:{number}", line.strip()) for number, line in enumerate(lines, 1)]
        written = [(where, key) for where, key in written if key and not key.startswith("#")]
        if file and not written:
            raise ConfigError.at("--keys", f"{file} has no key", "write one key a line into it")
        written += [(VARIABLE, key.strip()) for key in variable.split(",") if key.strip()]
        return cls(tuple(_hashed(where, key) for where, key in written))

    def accept(self, authorization: str | None) -> bool:
        """Whether a header `Authorization: Bearer KEY`, or one of `Basic` with the key as password, has a known key.

        All hashes are compared, each in a time that does not depend on how much of it is right.
        """
        given = _presented(authorization or "")
        presented = hashlib.sha256(given).digest()
        found = False
        for known in self.hashes:
            found |= hmac.compare_digest(known, presented)
        return found and given != b""

    def __bool__(self) -> bool:
        """Whether keys are asked for at all."""
        return bool(self.hashes)


def _presented(authorization: str) -> bytes:
    kind, _, given = authorization.partition(" ")
    if kind.lower() == "bearer":
        return given.strip().encode("latin-1", "replace")
    if kind.lower() != "basic":
        return b""
    try:
        return base64.b64decode(given.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def _hashed(where: str, key: str) -> bytes:
    if key.startswith(HASHED):
        try:
            digest = bytes.fromhex(key.removeprefix(HASHED))
        except ValueError:
            digest = b""
        if len(digest) != hashlib.sha256().digest_size:
            raise ConfigError.at(where, "this is not a SHA-256 hash", "write sha256: and 64 hexadecimal digits")
        return digest
    if len(key) < LEAST_CHARACTERS:
        fix = "make a long one, for instance with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        raise ConfigError.at(where, f"a key of {len(key)} characters can be guessed; {LEAST_CHARACTERS} or more", fix)
    return hashlib.sha256(key.encode()).digest()
