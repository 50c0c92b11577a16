"""What the hub client raises, in plain words."""

from __future__ import annotations

import errno

import pytest
from huggingface_hub.errors import XetDownloadError

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
    ],
)
def test_machine_and_network_are_told_apart(raised: Exception, kind: type[HubError], words: str) -> None:
    """A full disk must be the machine's matter, a broken connection the hub's."""
    with pytest.raises(kind, match=words), hub_errors(Asked("model", "someone/model")):
        raise raised
