"""`forgeml optimize`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from command import forgeml

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")


def test_table_and_record(saved: Path) -> None:
    """All engines are listed, the one that is used is said, and predict uses it from then on."""
    answer = forgeml("optimize", "saved", "--texts", "40")
    assert answer.returncode == 0, answer.stderr
    assert all(name in answer.stdout for name in ("torch-fp32", "onnx-int8", "openvino-bf16", "same answers"))
    best = json.loads((saved / "forgeml.json").read_text())["engine"]["name"]
    assert f"{best} on machines like this one" in answer.stdout
    found = forgeml("predict", "saved", "good", "--json")
    assert (json.loads(found.stdout)["label"], found.stderr) == ("pos", "")


def test_other_data_and_json(saved: Path, reviews: Path) -> None:
    """Held-out texts may be given, with settings for how they are read; stdout is one JSON document."""
    with (reviews / "test.csv").open(newline="") as source, Path("held-out.csv").open("w", newline="") as target:
        csv.writer(target, delimiter=";").writerows([("body", "class"), *list(csv.reader(source))[1:]])
    columns = ("--data.text_column", "body", "--data.label_column", "class", "--data.delimiter", ";")
    answer = forgeml("optimize", "saved", "held-out.csv", *columns, "--for", "latency", "--json")
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert (found["metric"], len(found["trials"])) == ("accuracy", 7)
    assert found["best"] in {trial["name"] for trial in found["trials"] if trial["inside"]}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["saved", "--for", "beauty"], 2, "choose one of throughput, latency"),
        (["absent"], 4, "no such folder"),
        (["saved", "absent.csv"], 3, "absent.csv"),
        (["saved", "--data.delimiter", ";"], 2, "is for DATA only"),
        (["saved", "--min-agreement", "101"], 2, "--min-agreement"),
    ],
)
def test_wrong_usage_is_told(saved: Path, arguments: list[str], code: int, says: str) -> None:
    """With what to do, and without a traceback."""
    answer = forgeml("optimize", *arguments)
    assert (answer.returncode, says in answer.stderr) == (code, True), answer.stderr
    assert "Traceback" not in answer.stderr


def test_foreign_folder_is_refused(saved: Path) -> None:
    """One that ForgeML has not saved does not say what it was trained for."""
    (saved / "forgeml.json").unlink()
    answer = forgeml("optimize", "saved")
    assert (answer.returncode, "forgeml export" in answer.stderr) == (4, True)
