"""Lines of a journal: what is written is what is read."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from forgeml.training.holder import Holder
from forgeml.training.tracking.records import (
    Data,
    Ended,
    Line,
    Metrics,
    Model,
    Opened,
    Params,
    Start,
    Tags,
    Uploaded,
    Whole,
    decode,
    encode,
)

HOLDER = Holder(7, "host", "this start", "99", "2026-11-23", "0" * 32)
LINES: list[Line] = [
    Start("key", "sqlite:////x/mlflow.db", "forgeml", "swift-ant-1", 1, {"mlflow.user": "me"}, HOLDER),
    Opened("r1"),
    Metrics({"loss": 0.1 + 0.2, "small": 5e-324, "large": 1.7976931348623157e308, "none": math.inf}, 3, 4),
    Params({"model.name": "./b\u00e4r \ud800 \n"}),
    Tags({"device": "cpu"}),
    Data("reviews", "abc", {"train": 3}),
    Model("/best_model", "f", ("torch==2",), True),
    Uploaded("m-1"),
    Ended("KILLED", 9),
    Whole(),
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: type(line).__name__)
def test_line_is_read_as_it_was_written(line: Line) -> None:
    """Every kind comes back equal, numbers to the last bit and texts with what no encoding knows."""
    text = encode(line)
    assert text.count(b"\n") == 1
    assert decode(text) == line


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"1", b"null", b"[]", b"{}", b'{"line": "song"}', b'{"line": "opened"}', b"\xff", b"[" * 100_000],
    ids=range(10),
)
def test_what_is_no_line_is_told(text: bytes) -> None:
    """Whatever stands there, it is a ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"."):
        decode(text)


def test_start_of_a_newer_format_is_read() -> None:
    """What it has besides is left out, so that the number can be looked at."""
    text = encode(replace(LINES[0], format=99)).replace(b'"key":', b'"mood": "good", "key":')
    assert decode(text) == replace(LINES[0], format=99)


def test_model_is_known_by_its_weights(trained: Path, tmp_path: Path) -> None:
    """A changed manifest, as after `forgeml optimize`, is the same model; other weights and an empty folder are not."""
    folder = Path(shutil.copytree(trained / "best_model", tmp_path / "model"))
    model, manifest = Model.of(folder, ["torch==2"], False), folder / "forgeml.json"
    assert model.is_there()
    manifest.write_text(manifest.read_text().replace('"task"', '"engine": {}, "task"', 1))
    assert model.is_there()
    text = manifest.read_text()
    at = text.index('"model.safetensors"')
    manifest.write_text(text[:at] + text[at:].replace(': "', ': "0', 1))
    assert not model.is_there()
    manifest.unlink()
    assert not model.is_there()
