"""Where a run writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgeml.errors import MachineError
from forgeml.training.outputs import Outputs


def test_looking_writes_nothing(tmp_path: Path) -> None:
    """The folder is checked, not made, before there is something to put into it."""
    outputs = Outputs(str(tmp_path / "new" / "deep"))
    assert outputs.best == tmp_path / "new" / "deep" / "best_model"
    assert list(tmp_path.iterdir()) == []


def test_something_else_in_the_place_is_refused(tmp_path: Path) -> None:
    """A folder called best_model that is no saved model is never written over."""
    (tmp_path / "best_model").mkdir()
    (tmp_path / "best_model" / "notes.txt").write_text("mine")
    with pytest.raises(MachineError, match="not a saved model"):
        Outputs(str(tmp_path))


def test_output_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """A file where the folder should be is said before the training."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError):
        Outputs(str(tmp_path / "file"))
