"""What the hub client raises, in plain words."""

from __future__ import annotations

import errno
from typing import Literal

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import FileMetadataError, XetDownloadError

from forgeml.errors import HubError, MachineError
from forgeml.hub.errors import Asked, HubAwayError, hub_errors


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), MachineError, "No space left"),
        (PermissionError(errno.EACCES, "Permission denied", "hub"), MachineError, "Permission denied"),
        (ConnectionResetError("reset by peer"), HubAwayError, "HF_HUB_OFFLINE=1 forbids"),
        (TimeoutError("timed out"), HubAwayError, "HF_HUB_OFFLINE=1 forbids"),
        (XetDownloadError("no chunk"), HubAwayError, "HF_HUB_OFFLINE=1 forbids"),
        (OSError("Consistency check failed: file should be of size 5"), HubAwayError, "came with another length"),
    ],
)
def test_machine_and_network_are_told_apart(raised: Exception, kind: type[HubError], words: str) -> None:
    """A full disk must be the machine's matter, a broken connection the hub's."""
    with pytest.raises(kind, match=words), hub_errors(Asked("model", "someone/model")):
        raise raised


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_without_a_home_nothing_is_fetched(kind: Literal["model", "dataset"], monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache would lie in a folder called ~ wherever the program runs; the variable that mends it is named."""
    monkeypatch.delenv("HF_DATASETS_CACHE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "~/.cache/huggingface/hub")
    monkeypatch.setattr(constants, "HF_HOME", "~/.cache/huggingface")
    with pytest.raises(MachineError, match="there is no home folder") as caught, hub_errors(Asked(kind, "a/b")):
        pytest.fail("the hub is asked")
    assert "HF_HOME" in caught.value.problems[0].fix


@pytest.mark.parametrize(
    "raised",
    [
        ConnectionError("cannot connect to http://me:s3cret@hub.example/api"),
        FileMetadataError("no commit"),
        OSError("Consistency check failed"),
    ],
)
def test_password_in_the_address_is_not_shown(monkeypatch: pytest.MonkeyPatch, raised: Exception) -> None:
    """HF_ENDPOINT may hold one, and the library's own words repeat it."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://me:s3cret@hub.example")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(HubAwayError, match=r"hub\.example") as caught, hub_errors(Asked("model", "someone/model")):
        raise raised
    assert "s3cret" not in str(caught.value)
