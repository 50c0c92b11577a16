"""`forgeml evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import forgeml
from refusals import answer_of, assert_says


def test_same_figures_as_the_training_wrote(trained: Path, reviews: Path) -> None:
    """Scoring the saved model on the same test file gives the metrics in its manifest."""
    manifest = json.loads((trained / "best_model" / "forgeml.json").read_text())
    done = forgeml("evaluate", trained / "best_model", reviews, "--device", "cpu", "--json")
    answer = json.loads(done.stdout)
    assert (answer["split"], answer["examples"]) == ("test", 80)
    assert answer["metrics"] == pytest.approx(manifest["metrics"]["test"], abs=1e-6)


@pytest.mark.slow
def test_single_file_and_slice(trained: Path, reviews: Path) -> None:
    """One file is scored whole, or the slice that is asked for; the table names it."""
    answer = forgeml("evaluate", trained / "best_model", reviews / "test.csv", "--split", "train[:10]")
    assert answer.returncode == 0, answer.stderr
    assert "10 texts" in answer.stdout


@pytest.mark.slow
def test_device_that_is_not_there(trained: Path, reviews: Path) -> None:
    """The device asked for is the one that is used, or the answer is exit code 5."""
    answer = forgeml("evaluate", trained / "best_model", reviews, "--device", "cuda:99")
    assert answer.returncode == 5
    assert "cuda:99 is not on this machine" in answer.stderr


@pytest.mark.slow
def test_label_that_the_model_does_not_know(trained: Path) -> None:
    """A strange label is exit code 3 and is named with its number of rows."""
    Path("strange.csv").write_text("text,label\ngood,pos\nbad,awful\n")
    answer = forgeml("evaluate", trained / "best_model", "strange.csv")
    assert answer.returncode == 3
    assert "'awful' (1 row" in answer.stderr


@pytest.mark.parametrize("first", [True, False])
def test_settings_say_how_the_data_are_read(
    first: bool, trained: Path, reviews: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data in another encoding, with other columns and another delimiter, give the same figures."""
    rows = (reviews / "test.csv").read_text().replace('"', "").splitlines()[1:]
    lines = ["Urteil|Gesagtes|Anm.", *(f"{label}|{text}|ö" for text, label in (row.rsplit(",", 1) for row in rows))]
    Path("bars.csv").write_text("\n".join(lines) + "\n", encoding="cp1252")
    named = [trained / "best_model", "bars.csv"]
    settings = ["--data.encoding", "cp1252", "--data.delimiter", "|", "--data.text_column", "Gesagtes"]
    words = [*settings, *named] if first else [*named, *settings]
    answer = answer_of(capsys, "evaluate", *words, "--label-column", "Urteil", "--device", "cpu", "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    manifest = json.loads((trained / "best_model" / "forgeml.json").read_text())
    assert (told["split"], told["examples"]) == ("train", 80)
    assert told["metrics"] == pytest.approx(manifest["metrics"]["test"], abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "code", "says"),
    [
        (["--training.seed", "1"], 2, "--training.seed: has no meaning here"),
        (["--data.encodin", "cp1252"], 2, "did you mean --data.encoding?"),
        (["--data.text_column", "txt"], 3, "did you mean data.text_column: text?"),
        (["--data.encoding", "utf-16"], 3, "test.csv"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    settings: list[str], code: int, says: str, trained: Path, reviews: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the code of the settings or of the data, and a fix; nothing goes to stdout."""
    answer = answer_of(capsys, "evaluate", trained / "best_model", reviews / "test.csv", *settings, "--device", "cpu")
    assert (answer.code, answer.out) == (code, "")
    assert_says(answer.err, [says, "\n  fix: "])


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (["--data.task", "regression"], "--data.task: has no meaning here"),
        (["--data.min_count", "2"], "--data.min_count: has no meaning here"),
        (["--data.text_pair_column", "label", "--data.label_column", "other"], "--data.text_pair_column"),
    ],
)
def test_settings_that_contradict_the_model_are_refused(
    settings: list[str], place: str, trained: Path, reviews: Path
) -> None:
    """What the model is for is settled, and so are the rows that it was trained on."""
    rows = (reviews / "test.csv").read_text().splitlines()
    Path("wide.csv").write_text(
        "\n".join([f"{rows[0]},other", *(f"{row},{row.rpartition(',')[2]}" for row in rows[1:])])
    )
    answer = forgeml("evaluate", trained / "best_model", "wide.csv", *settings)
    assert answer.returncode == 2, answer.stderr
    assert place in answer.stderr
