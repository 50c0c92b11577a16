"""ForgeML's own cache in the doctor's report."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from doctoring import findings, wrong
from forgeml.data.cache import STILL_WRITING, kept


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "forgeml"


def test_cache_that_is_not_there_is_fine(cache: Path) -> None:
    """The first run makes it, and the doctor does not."""
    [one] = findings("own_cache")
    assert (one.state, one.facts) == ("ok", {"folder": str(cache)})
    assert not cache.exists()


def test_sizes_are_told_by_kind(cache: Path) -> None:
    """What is kept of tokens and of tables."""
    for kind in ("tokens", "tables"):
        kept(kind, "key", lambda folder: (folder / "ids").write_bytes(b"x" * 100_000) and None)
    (cache / "bf16-speedup.json").write_text("{")
    [one] = findings("own_cache")
    assert list(one.facts["kinds"]) == ["tables", "tokens"]
    assert all(100_000 <= count < 200_000 for count in one.facts["kinds"].values())


def test_halves_are_told_once_they_are_old(cache: Path) -> None:
    """What a run fills just now is not one."""
    old, new = (cache / "tokens" / f"{STILL_WRITING}{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    one = wrong(findings("own_cache"))
    assert (one.state, one.facts["folders"]) == ("warning", [str(old)])
    assert one.fix == f"remove {old}"
