"""`forgeml init`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import forgeml
from forgeml.config.loading import load_config
from forgeml.metrics import DEFAULT_METRIC
from refusals import answer_of, assert_says, refusal_of
from tiny import write_pairs, write_scores, write_titled, write_topics

FILE = "config.yaml"


def initialise(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The text of the configuration that a command line writes."""
    answer = answer_of(capsys, "init", *arguments)
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"{FILE} written; next: forgeml plan")
    return Path(FILE).read_text(encoding="utf-8")


def test_folder_becomes_a_configuration(
    reviews: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file names data, columns and task, says what was found, and loads as it is."""
    text = initialise(capsys, reviews, "--model", tiny_model)
    config = load_config(FILE)
    assert (config.model.name, config.data.dataset) == (str(tiny_model), str(reviews))
    assert (config.data.text_column, config.data.label_column, config.data.task) == ("text", "label", "single_label")
    assert config.data.validation_split == 0.1
    assert config.training.learning_rate == 1e-4
    assert_says(text, ["Rows: train 216, validation 24, test 80.", "one of 2 classes: neg, pos", "forgeml train"])
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("kind", ["reviews", "multi_label", "regression", "pairs", "two columns"])
def test_init_then_plan_works_unedited(
    kind: str, reviews: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `init` writes for data of any task is ready for `forgeml train`."""
    write = {
        "reviews": lambda: reviews,
        "multi_label": lambda: write_topics(Path("data"), "blank"),
        "regression": lambda: write_scores(Path("data")),
        "pairs": lambda: write_pairs(Path("data"), scored=True),
        "two columns": lambda: write_titled(Path("data")),
    }
    folder = write[kind]()
    columns = ["--data.text_column", "[title, content]"] if kind == "two columns" else []
    initialise(capsys, folder, *columns, "--model", tiny_model)
    answer = answer_of(capsys, "plan", "--json")
    assert answer.code == 0, answer.out
    told = json.loads(answer.out)
    assert (told["ready"], told["problems"]) == (True, [])
    data = load_config(FILE).data
    assert data.task == told["data"]["task"]
    assert data.text_column == told["data"]["columns"]["text_column"]
    assert data.text_pair_column == ("sentence2" if kind == "pairs" else None)
    assert kind != "two columns" or data.text_column == ["title", "content"]


@pytest.mark.parametrize("data", ["file", "folder with validation"])
def test_validation_is_a_share_only_where_there_is_none(
    data: str, reviews: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The share is written down where it is used, and left out where the data have a part for it."""
    if data == "file":
        initialise(capsys, reviews / "train.csv")
        assert load_config(FILE).data.validation_split == 0.1
        return
    Path("data").mkdir()
    for part, name in (("train", "train"), ("test", "dev")):
        Path("data", f"{name}.csv").write_bytes((reviews / f"{part}.csv").read_bytes())
    initialise(capsys, "./data")
    assert load_config(FILE).data.validation_split is None


def test_columns_of_unusual_names_are_seen_by_their_content(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The longest texts are the text, the few values that come again are the label; other columns are passed over."""
    rows = [f"{number},film number {number} was seen by many,{'AB'[number % 2]},x{number}" for number in range(60)]
    Path("odd.csv").write_text("\n".join(["Nr,Was gesagt wurde,Urteil,Kennung: neu", *rows]) + "\n")
    initialise(capsys, "odd.csv", "--model", tiny_model)
    data = load_config(FILE).data
    assert (data.text_column, data.label_column, data.task) == ("Was gesagt wurde", "Urteil", "single_label")
    assert answer_of(capsys, "plan").code == 0


@pytest.mark.parametrize("name", ["no", "1", "a: b", "it's", "# x", "[x]", "null", "größe", "1e5", "~", "a\\b"])
def test_names_of_columns_need_no_editing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a column is called, the file that names it means that column."""
    rows = [f'"film number {number} was seen by many",{"AB"[number % 2]}' for number in range(60)]
    Path("odd.csv").write_text("\n".join([f'text,"{name}"', *rows]) + "\n", encoding="utf-8")
    initialise(capsys, "odd.csv", "--data.label_column", f'"{name}"' if name in ("null", "[x]") else name)
    assert load_config(FILE).data.label_column == name


def test_encoding_that_is_given_is_written_down(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file in another encoding is refused with the setting, and accepted with it; then the plan reads it too."""
    rows = "".join(f"ein schöner Film {number},{'ja' if number % 2 else 'öde'}\n" for number in range(40))
    Path("latin.csv").write_bytes(f"text,label\n{rows}".encode("cp1252"))
    refused = answer_of(capsys, "init", "latin.csv")
    assert (refused.code, Path(FILE).exists()) == (3, False)
    assert_says(refused.err, ["latin.csv:2: not UTF-8", "data.encoding: cp1252"])
    initialise(capsys, "latin.csv", "--data.encoding", "cp1252", "--model", tiny_model)
    assert load_config(FILE).data.encoding == "cp1252"
    told = json.loads(answer_of(capsys, "plan", "--json").out)
    assert (told["ready"], told["data"]["labels"]) == (True, ["ja", "öde"])


def test_delimiter_and_field_that_are_given_are_written_down(capsys: pytest.CaptureFixture[str]) -> None:
    """How the data are to be read is part of the configuration."""
    rows = "".join(f"film number {number}|{'AB'[number % 2]}\n" for number in range(40))
    Path("bars.csv").write_text(f"text|label\n{rows}")
    initialise(capsys, "bars.csv", "--data.delimiter", "|")
    assert load_config(FILE).data.delimiter == "|"
    objects = [{"text": f"film number {number}", "label": "AB"[number % 2]} for number in range(40)]
    Path("rows.json").write_text(json.dumps({"rows": objects}))
    initialise(capsys, "rows.json", "--data.field", "rows", "--force")
    assert load_config(FILE).data.field == "rows"


def test_file_that_is_there_is_not_written_over(
    reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only `--force` writes over a file, and another name needs none."""
    Path(FILE).write_text("mine")
    answer = refusal_of(capsys, tmp_path, "init", reviews)
    assert answer.code == 2
    assert_says(answer.err, ["config.yaml: is there already", "add --force to write over it"])
    other = answer_of(capsys, "init", reviews, "--output", "other.yaml")
    assert (other.code, other.out) == (0, "other.yaml written; next: forgeml plan other.yaml\n")
    assert Path(FILE).read_text() == "mine"
    initialise(capsys, reviews, "--force")
    assert load_config(FILE) == load_config("other.yaml")


def test_link_to_nowhere_counts_as_a_file(reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link whose target is gone is not written through unasked."""
    Path(FILE).symlink_to("gone.yaml")
    assert refusal_of(capsys, tmp_path, "init", reviews).code == 2


def test_place_that_cannot_be_written_is_a_matter_of_the_machine(
    reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is not there is exit code 5 with the name."""
    answer = refusal_of(capsys, tmp_path, "init", reviews, "--output", "gone/config.yaml")
    assert answer.code == 5
    assert_says(answer.err, ["gone/config.yaml: cannot be written: No such file", "choose another --output"])


def test_dash_is_standard_output(reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--output -` prints the file and writes nothing, with the default name in its comments."""
    answer = answer_of(capsys, "init", reviews, "--output", "-")
    assert answer.code == 0
    assert list(tmp_path.iterdir()) == []
    Path("printed.yaml").write_text(answer.out)
    assert load_config("printed.yaml").data.dataset == str(reviews)
    assert "forgeml train config.yaml" in answer.out


def test_numbers_are_a_regression(capsys: pytest.CaptureFixture[str]) -> None:
    """A column of numbers with fractions is to be told, and the metric is one of numbers."""
    text = initialise(capsys, f"./{write_scores(Path('data'))}")
    config = load_config(FILE)
    assert (config.data.task, config.data.label_column) == ("regression", "score")
    assert config.training.best_metric == DEFAULT_METRIC["regression"]
    assert "a number, in train from -3.2 to 3.2" in text


def test_lopsided_classes_get_another_metric(capsys: pytest.CaptureFixture[str]) -> None:
    """Where one class makes up nearly all, the metric that counts every class alike is chosen, with the reason."""
    rows = "".join(f"film number {number},{'spam' if number % 10 == 0 else 'ham'}\n" for number in range(200))
    Path("mail.csv").write_text(f"text,label\n{rows}")
    text = initialise(capsys, "mail.csv")
    assert load_config(FILE).training.best_metric == "macro_f1"
    assert "90% of the texts are of one class" in text


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["./gone.csv"], 3, "data.dataset: no file or folder ./gone.csv"),
        (["--data.encodin", "cp1252", "x.csv"], 2, "did you mean --data.encoding?"),
        (["x.csv", "--training.seed", "1"], 2, "--training.seed: has no meaning here"),
        (["x.csv"], 3, "no column has a usual name for the text"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], code: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data that are not there or say nothing, and settings that do not fit, leave no configuration behind."""
    Path("x.csv").write_text("a,b\n1,2\n2,3\n")
    answer = refusal_of(capsys, tmp_path, "init", *arguments)
    assert answer.code == code
    assert says in answer.err


def test_command_of_its_own(reviews: Path, tiny_model: Path) -> None:
    """As a person runs it: notes on stderr, the next step on stdout."""
    answer = forgeml("init", reviews, "--model", tiny_model)
    assert (answer.returncode, answer.stdout) == (0, "config.yaml written; next: forgeml plan\n"), answer.stderr
    assert "one of 2 classes: neg, pos" in answer.stderr
