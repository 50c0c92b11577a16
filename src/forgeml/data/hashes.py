"""Texts by hash: exactly, to know data again, and normalised, to find texts that stand twice."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forgeml.data import texts as reading
from forgeml.data.cache import forget, kept
from forgeml.records import Split, Texts

WORTH_KEEPING = 20_000
"""Texts; the hashes of fewer are worked out anew faster than one could notice."""
INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff]")
HASH_BYTES = 8
FORMAT = 1
"""To be raised when the same text gives another hash than before, as they are kept."""
FILE = "hashes.npy"

Hashes = NDArray[np.uint64]


def normalize(text: str) -> str:
    """What is compared of a text: not letter case, not the kind and amount of white space, nothing invisible."""
    return " ".join(INVISIBLE.sub("", text).casefold().split())


def hash_text(text: str, pair: str = "") -> int:
    """64 bits of a text or a pair; letter case, white space and invisible characters make no difference."""
    joined = f"{normalize(text)}\0{normalize(pair)}"
    return int.from_bytes(hashlib.blake2b(joined.encode(), digest_size=HASH_BYTES).digest(), "little")


EMPTY = hash_text("")
"""The hash of all texts that hold nothing to be seen."""


def hash_texts(texts: Texts, fingerprint: str, on_progress: Callable[[int], None] = lambda done: None) -> Hashes:
    """Normalised hash of each text, shape (texts,); those of many texts are kept on disk.

    Args:
        texts: to be hashed.
        fingerprint: of these texts.
        on_progress: told the number of texts done so far.
    """
    if len(texts) < WORTH_KEEPING:
        return _hashes(texts, on_progress)
    # What letter case means is written in tables that Python brings.
    key = [FORMAT, unicodedata.unidata_version, fingerprint]
    folder = kept("hashes", key, lambda fresh: np.save(fresh / FILE, _hashes(texts, on_progress)))
    found = _loaded(folder / FILE) if folder else None
    if found is not None and len(found) == len(texts):
        return found
    if folder:
        forget(folder)
    return _hashes(texts, on_progress)


def fingerprint_texts(texts: Texts, on_progress: Callable[[int], None] = lambda done: None) -> str:
    """SHA-256 over texts, and pairs, exactly as they are; the chunks that Arrow keeps them in make no difference.

    Args:
        texts: to be known again.
        on_progress: told the number of texts done so far.
    """
    digest, done = hashlib.sha256(), 0
    for firsts, seconds in reading.in_chunks(texts):
        for part in (firsts, seconds):
            encoded = [text.encode() for text in part or ()]
            digest.update(np.fromiter(map(len, encoded), "<i8", len(encoded)).tobytes())
            digest.update(b"".join(encoded))
        done += len(firsts)
        on_progress(done)
    return digest.hexdigest()


def fingerprint_labels(part: Split) -> str:
    """SHA-256 over the labels of a part."""
    little_endian = part.labels.astype(part.labels.dtype.newbyteorder("<"))
    return hashlib.sha256(np.ascontiguousarray(little_endian).tobytes()).hexdigest()


def _hashes(texts: Texts, on_progress: Callable[[int], None]) -> Hashes:
    found = np.empty(len(texts), np.uint64)
    done = 0
    for firsts, seconds in reading.in_chunks(texts):
        pairs = seconds if seconds is not None else [""] * len(firsts)
        found[done : done + len(firsts)] = [hash_text(*both) for both in zip(firsts, pairs, strict=True)]
        done += len(firsts)
        on_progress(done)
    return found


def _loaded(path: Path) -> Hashes | None:
    try:
        found: Hashes = np.load(path)
    except (OSError, ValueError, EOFError):
        return None
    return found
