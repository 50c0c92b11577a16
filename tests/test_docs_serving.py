"""The page on serving says only what holds: its requests are answered by a server that runs as it says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from command import run
from conftest import REPOSITORY
from served import running

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_its_requests_are_answered(engines: Path) -> None:
    """Every request shown is answered, and no block has anything else but the command that starts the server."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    text = (REPOSITORY / "docs" / "serving.md").read_text(encoding="utf-8")
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines() if line]
    assert lines[0] == "forgeml serve best_model"
    with running(engines) as server:
        for line in lines[1:]:
            assert line.startswith("curl ")
            done = run("bash", "-c", line.replace("curl ", "curl -sS --fail ", 1).replace(":8000/", f":{server.port}/"))
            assert done.returncode == 0, f"{line}: {done.stderr}"
