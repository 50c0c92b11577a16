"""What rows are written to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from forgeml.errors import MachineError
from forgeml.inference.files.outputs import open_output
from forgeml.inference.files.resuming import Reached

KEY = {"another input": "a"}


def test_stream_takes_pieces_as_they_come() -> None:
    """Nothing is kept of them, and nothing can be gone on with."""
    taken: list[bytes] = []
    with open_output(None, taken.append, True, None) as output:
        output.append(b"a", Reached(1))
        assert output.reached.rows == 0
        output.finish(b"b", None)
    assert taken == [b"a", b"b"]


def test_stream_of_a_kind_that_is_put_together_gets_it_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pieces wait in a folder of their own, which is gone afterwards."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    taken: list[bytes] = []
    with open_output(None, taken.append, False, None) as output:
        output.append(b"ab", Reached(1))
        assert taken == []
        output.finish(b"", lambda part, whole: whole.write_bytes(part.read_bytes().upper()) and None)
    assert b"".join(taken) == b"AB"
    assert os.listdir(tmp_path) == []


def test_file_behind_a_link_is_written(tmp_path: Path) -> None:
    """The link stays, and so do the rights of the file that it leads to."""
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "real.csv").chmod(0o600)
    (tmp_path / "out.csv").symlink_to(tmp_path / "real.csv")
    with open_output(tmp_path / "out.csv", None, True, KEY) as output:
        output.append(b"new", Reached(1))
        output.finish(b"", None)
    assert (tmp_path / "out.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"
    assert (tmp_path / "real.csv").stat().st_mode & 0o777 == 0o600


def test_part_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """Half a download may be called so."""
    (tmp_path / "out.csv.part").write_text("mine")
    with pytest.raises(MachineError, match="was not left by a run"), open_output(tmp_path / "out.csv", None, True, KEY):
        pass
    assert (tmp_path / "out.csv.part").read_text() == "mine"


def test_other_run_that_comes_to_nothing_leaves_what_was_done(tmp_path: Path) -> None:
    """A slip in an option must not cost the rows of hours."""
    place = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt), open_output(place, None, True, KEY) as output:
        output.append(b"hours", Reached(5))
        raise KeyboardInterrupt
    for other in ({"another input": "b"}, None):
        with pytest.raises(ValueError, match="no such column"), open_output(place, None, True, other) as output:
            assert output.reached.rows == 0
            assert output.notes
            raise ValueError("no such column")
    with open_output(place, None, True, KEY) as output:
        assert output.reached.rows == 5
        output.finish(b"!", None)
    assert place.read_bytes() == b"hours!"
    assert os.listdir(tmp_path) == ["out.csv"]


@pytest.mark.parametrize("other", [{"another input": "b"}, None], ids=["another input", "a pipe"])
def test_rows_of_another_run_are_never_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, str] | None
) -> None:
    """Not even when that run was killed before it could write a note of its own."""
    place = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt), open_output(place, None, True, KEY) as output:
        output.append(b"aaaaa", Reached(5))
        raise KeyboardInterrupt
    child = os.fork()
    if child == 0:
        with open_output(place, None, True, other) as output:
            output.append(b"bbbbbbbbbb", Reached(5))
            output._file.flush()  # type: ignore[attr-defined]
            os._exit(9)
    os.waitpid(child, 0)
    with open_output(place, None, True, KEY) as output:
        assert output.reached.rows == 0
        output.append(b"aaaaa", Reached(5))
        output.finish(b"", None)
    assert place.read_bytes() == b"aaaaa"
