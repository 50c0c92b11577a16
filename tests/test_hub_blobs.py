"""Files of the cache are held against the hashes that they are stored under."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from forgeml.hub.blobs import check_cache, damaged, discard

CONTENT = b"some weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
GIT = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
BARE = hashlib.sha1(CONTENT).hexdigest()


def store(cache: Path, name: str, content: bytes = CONTENT, *, shared: bool = False) -> Path:
    """Put a file into the cache as the library does, stored under a name, and give the commit's link to it."""
    repository = cache / "models--someone--model"
    blob, link = repository / "blobs" / name, repository / "snapshots" / ("c" * 40) / f"file-{name[:6]}"
    for folder in (blob.parent, link.parent):
        folder.mkdir(parents=True, exist_ok=True)
    if shared:
        other = cache / "blobs" / "ab" / ("ab" * 32)
        other.parent.mkdir(parents=True)
        other.write_bytes(content)
        blob.symlink_to(Path("../../blobs/ab") / other.name)
    else:
        blob.write_bytes(content)
    link.symlink_to(Path("../../blobs") / name)
    return link


@pytest.mark.parametrize("name", [SHA256, GIT, BARE])
@pytest.mark.parametrize("shared", [False, True])
def test_flipped_bit_is_found(tmp_path: Path, name: str, shared: bool) -> None:
    """Large files have their SHA-256, small ones git's hash or a bare SHA-1; where the bytes lie does not matter."""
    link = store(tmp_path, name, shared=shared)
    assert damaged([link]) == []
    link.write_bytes(bytes([CONTENT[0] ^ 1]) + CONTENT[1:])
    assert damaged([link]) == [link]


def test_what_has_no_hash_is_not_called_damaged(tmp_path: Path) -> None:
    """A file under another name, one that is no link, and a link that leads nowhere cannot be held against anything."""
    plain, lost = tmp_path / "plain", tmp_path / "lost"
    plain.write_bytes(CONTENT)
    lost.symlink_to("nowhere")
    assert damaged([store(tmp_path, "W-weak-etag"), plain, lost]) == []


def test_hash_that_is_listed_serves_where_the_name_is_none(tmp_path: Path) -> None:
    """What is stored under another name is held against the listing, and without an entry there it is damaged."""
    link, other = store(tmp_path, "odd-etag"), store(tmp_path, SHA256)
    asked: list[list[Path]] = []

    def announced(files: list[Path], listed: str = SHA256) -> dict[Path, str]:
        asked.append(files)
        return {link: listed}

    assert damaged([link, other], announced) == []
    assert damaged([link, other], lambda files: announced(files, GIT)) == []
    assert damaged([link, other], lambda files: announced(files, "0" * 64)) == [link]
    assert damaged([link, other], lambda files: {}) == [link]
    assert asked == [[link]] * 3
    assert damaged([other], announced) == []
    assert len(asked) == 3


def test_disk_without_links_is_held_against_the_listing(tmp_path: Path) -> None:
    """There the commit's folder has the files themselves, and what is discarded is such a file."""
    plain = tmp_path / "config.json"
    plain.write_bytes(CONTENT)
    assert damaged([plain], lambda files: {plain: GIT}) == []
    assert damaged([plain], lambda files: {plain: "0" * 40}) == [plain]
    discard([plain])
    assert not plain.exists()


@pytest.mark.parametrize("shared", [False, True])
def test_discarded_file_is_gone(tmp_path: Path, shared: bool) -> None:
    """Neither the link nor what it leads to stays, so that the library fetches the file anew."""
    link = store(tmp_path, SHA256, shared=shared)
    discard([link])
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_whole_cache_is_checked(tmp_path: Path) -> None:
    """Each stored file is told with its repository and whether it is sound; what is still being fetched is left out."""
    store(tmp_path, SHA256)
    store(tmp_path, GIT, b"other bytes")
    store(tmp_path, "no-hash")
    (tmp_path / "models--someone--model" / "blobs" / f"{SHA256}.1234.incomplete").write_bytes(b"so")
    found = {blob.path.name: (blob.repository, blob.sound) for blob in check_cache(tmp_path)}
    assert found == {
        SHA256: ("someone/model", True),
        GIT: ("someone/model", False),
        "no-hash": ("someone/model", None),
    }
    assert sum(blob.bytes for blob in check_cache(tmp_path)) == 2 * len(CONTENT) + len(b"other bytes")


def test_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """Before the first download there is nothing to check."""
    assert list(check_cache(tmp_path / "hub")) == []
