"""Configurations that go wrong, by the rows C01 to C34 of the catalogue of bad input, through the command line."""

from __future__ import annotations

import codecs
import json
import os
import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from refusals import answer_of, assert_all_rows, assert_says, refusal_of

MINIMAL = "model:\n  name: ./nowhere\ndata:\n  dataset: ./nowhere.csv\n"
TOKEN = "hf_" + "abcdefghijklmnopqrstuvwxyz"
FILE = "config.yaml"

ELSEWHERE: Mapping[str, str] = {
    "C30": "tests/test_hub_end_to_end.py::test_early_configuration_still_runs",
}
DOES_NOT_APPLY: Mapping[str, str] = {}


def below(line: str, section: str = "training") -> str:
    """A file that is fine but for one line, which is line 6, or 7 where it is a second one."""
    return f"{MINIMAL}{section}:\n  {line}\n"


# Files that are refused: the content, and what is said of it.
FILES: dict[str, tuple[str | bytes, list[str]]] = {
    "C01-unknown-key": (
        below("learnng_rate: 1"),
        ["config.yaml:6 training.learnng_rate: unknown setting", "did you mean training.learning_rate?"],
    ),
    "C02-wrong-section": (
        below("batch_size: 8", "logging"),
        ["config.yaml:6 logging.batch_size: unknown", "it belongs under training: training.batch_size"],
    ),
    "C02-no-section": (MINIMAL + "seed: 1\n", ["config.yaml:5 seed: unknown", "it belongs under training"]),
    "C03-duplicate-key": (
        below("seed: 1\n  seed: 2"),
        ["config.yaml:7 training.seed: is there twice, on line 6 and on line 7"],
    ),
    "C03-duplicate-section": (MINIMAL + "model:\n  revision: x\n", ["config.yaml:5 model", "line 1 and on line 5"]),
    "C05-quoted-number": (
        below('learning_rate: "0.1"'),
        ["config.yaml:6 training.learning_rate: a number is wanted", "0.1 without quotes, which make it a text"],
    ),
    "C06-negative-rate": (below("learning_rate: -0.1"), ["config.yaml:6 training.learning_rate", "above 0"]),
    "C06-zero-rate": (below("learning_rate: 0"), ["config.yaml:6 training.learning_rate", "must be above 0"]),
    "C06-rate-of-10": (below("learning_rate: 10"), ["config.yaml:6 training.learning_rate", "must be below 1"]),
    "C06-nan-rate": (below("learning_rate: .nan"), ["config.yaml:6 training.learning_rate", "a finite number"]),
    "C06-infinite-rate": (below("learning_rate: .inf"), ["config.yaml:6 training.learning_rate", "a finite number"]),
    "C07-no-epochs": (below("num_epochs: 0"), ["config.yaml:6 training.num_epochs: must be 1 or more"]),
    "C07-negative-epochs": (below("num_epochs: -1"), ["config.yaml:6 training.num_epochs: must be 1 or more"]),
    "C07-half-epochs": (below("num_epochs: 1.5"), ["config.yaml:6 training.num_epochs: a whole number is wanted"]),
    "C07-quoted-epochs": (below('num_epochs: "3"'), ["config.yaml:6", "write num_epochs: 3 without quotes"]),
    "C08-no-batch": (below("batch_size: 0"), ["config.yaml:6 training.batch_size: must be 1 or more"]),
    "C08-negative-batch": (below("batch_size: -8"), ["config.yaml:6 training.batch_size: must be 1 or more"]),
    "C08-half-batch": (below("batch_size: 2.5"), ["config.yaml:6 training.batch_size: a whole number is wanted"]),
    "C08-true-batch": (below("batch_size: true"), ["config.yaml:6", "true and false are never numbers"]),
    "C09-no-length": (
        MINIMAL.replace("data:", "  max_length: 0\ndata:"),
        ["config.yaml:3 model.max_length: must be 4 or more, found the number 0"],
    ),
    "C10-empty": ("", ["config.yaml: config.yaml is empty", "name: distilbert-base-uncased", "dataset: imdb"]),
    "C10-only-comments": ("# a\n\n# b\n", ["config.yaml is empty", "dataset: imdb"]),
    "C11-list": ("- a\n", ["config.yaml: a mapping is wanted, found a list", "dataset: imdb"]),
    "C11-text": ("hello\n", ["config.yaml: a mapping is wanted, found a single value"]),
    "C12-two-documents": (MINIMAL + "---\nseed: 1\n", ["config.yaml:5: a second document starts here", "`---`"]),
    "C13-tab": ("model:\n\tname: a\n", ["config.yaml:2: column 1: a tab is used", "use spaces instead"]),
    "C14-open-quote": ("a: 1\nb: 'x\nc: 2\n", ["config.yaml:2: column 4", "never closed", "    b: 'x\n       ^"]),
    "C14-indentation": ("a:\n  b: 1\n c: 2\n", ["config.yaml:3: column 2", "     c: 2\n     ^"]),
    "C14-two-colons": ("name: a: b\n", ["config.yaml:1: column 8", "    name: a: b\n           ^"]),
    "C15-python-object": (below("seed: !!python/object/apply:os.system [ls]"), ["config.yaml:6", "tags are not all"]),
    "C15-other-tag": (below("seed: !!int 3"), ["config.yaml:6 training.seed: tags are not allowed", "delete the tag"]),
    "C16-merge": ("a: &x {b: 1}\nc:\n  <<: *x\n", ["config.yaml:1 a: anchors", "config.yaml:3 c.<<: aliases are not"]),
    "C16-self-reference": ("a: &x [*x]\n", ["config.yaml:1 a: anchors", "aliases are not allowed, found *x"]),
    "C17-brackets": ("a: " + "[" * 2000, ["config.yaml:1: the file is more than 20 levels deep"]),
    "C17-braces": ("a: " + "{a: " * 2000, ["config.yaml:1: the file is more than 20 levels deep"]),
    "C18-binary": (bytes(range(256)) * 10, ["config.yaml", "byte 0 is NUL", "UTF-8"]),
    "C19-utf-16": (MINIMAL.encode("utf-16"), ["config.yaml: is UTF-16", "byte 0", "save the file as UTF-8"]),
    "C19-latin-1": ("a: 1\nb: é\n".encode("latin-1"), ["config.yaml:2: is not UTF-8: byte 8 is 0xe9"]),
    "C19-nul": (b"a: 1\nb: \0\n", ["config.yaml:2: is no text: byte 8 is NUL"]),
    "C21-date": (below("seed: 2024-01-01"), ["config.yaml:6 training.seed: a whole number is wanted", '"2024-01-01"']),
    "C21-time": (below("seed: 1:30"), ["config.yaml:6 training.seed: a whole number is wanted", 'the text "1:30"']),
    "C21-separators": (below("seed: 1_000"), ["config.yaml:6 training.seed", "write seed: 1000 without separators"]),
    "C22-variable": (
        MINIMAL + "output_dir: ${HOME}/x\n",
        ["config.yaml:5 output_dir: environment variables are not replaced here, found ${HOME}"],
    ),
    "C22-bare-variable": (below("device: $DEVICE"), ["config.yaml:6 training.device", "found $DEVICE"]),
    "C23-token": (below(f"run_name: {TOKEN}", "mlflow"), ["config.yaml:6 mlflow.run_name: a hub token", "HF_TOKEN"]),
    "C23-token-in-variable": (below(f"run_name: ${{{TOKEN}}}", "mlflow"), ["config.yaml:6 mlflow.run_name"]),
    "C23-password": (
        below(f"tracking_uri: https://me:{TOKEN}@host", "mlflow"),
        ["config.yaml:6 mlflow.tracking_uri: a password", "MLFLOW_TRACKING_PASSWORD"],
    ),
    "C24-nothing-behind": ("model:\ndata:\n  dataset: d\n", ["config.yaml:1 model: model.name is required"]),
    "C26-root": (MINIMAL + "output_dir: /\n", ["config.yaml:5 output_dir: must not be the root of the file system"]),
    "C26-home": (MINIMAL + "output_dir: ~\n", ["config.yaml:5 output_dir"]),
    "C26-home-by-path": (MINIMAL + "output_dir: ~/\n", ["config.yaml:5 output_dir: must not be the home folder"]),
    "C26-file": (MINIMAL + "output_dir: ./config.yaml\n", ["config.yaml:5 output_dir: a folder is wanted", "a file"]),
    "C28-metric": (
        below("best_metric: speed"),
        ["config.yaml:6 training.best_metric: one of accuracy, macro_f1", 'found the text "speed"'],
    ),
    "C29-fp16-and-bf16": (
        below("fp16: true\n  precision: bf16"),
        ["config.yaml:6 training.fp16: fp16: true contradicts precision", "at config.yaml:7", "keep precision"],
    ),
    "C32-digits": (below("seed: " + "9" * 5000), ["config.yaml:6 training.seed: a whole number is wanted"]),
    "C33-number-as-key": (below("1: a"), ["config.yaml:6 training: a key must be a word, found 1"]),
    "C33-list-as-key": ("[a]: b\n", ["config.yaml:1: a key must be a word, found a list"]),
    "C34-windows-path": (
        MINIMAL + 'output_dir: "C:\\new"\n',
        ["config.yaml:5 output_dir: a line break, a tab or another control character", "single quotes", "'C:\\new'"],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_bad_file_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 with line, setting and fix; nothing is written and no secret is shown."""
    content, parts = FILES[name]
    Path(FILE).write_bytes(content if isinstance(content, bytes) else content.encode())
    answer = refusal_of(capsys, tmp_path, "train", FILE)
    assert answer.code == 2
    assert TOKEN not in answer.err
    assert_says(answer.err, parts)


# Lines that are fine: the line, the section, and what `forgeml config --json` then shows.
LINES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "C04-no-dot": ("learning_rate: 1e-5", "training", {"learning_rate": 0.00001}),
    "C20-words": ("{run_name: no, experiment_name: on}", "mlflow", {"run_name": "no", "experiment_name": "on"}),
    "C21-leading-zero": ("seed: 010", "training", {"seed": 10}),
    "C21-date-as-name": ("run_name: 2024-01-01", "mlflow", {"run_name": "2024-01-01"}),
    "C21-time-as-name": ("run_name: 1:30", "mlflow", {"run_name": "1:30"}),
    "C21-separators-in-name": ("run_name: 1_000", "mlflow", {"run_name": "1_000"}),
    "C34-single-quotes": (r"run_name: 'C:\new'", "mlflow", {"run_name": r"C:\new"}),
}


@pytest.mark.parametrize("name", LINES)
def test_line_is_read_as_it_is_written(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is meant has its value, in the type that the setting wants."""
    line, section, values = LINES[name]
    Path(FILE).write_text(below(line, section))
    answer = answer_of(capsys, "config", FILE, "--json")
    assert (answer.code, answer.err) == (0, "")
    found = json.loads(answer.out)[section]
    assert {key: found[key] for key in values} == values


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(codecs.BOM_UTF8 + MINIMAL.encode(), id="C19-bom"),
        pytest.param(MINIMAL.replace("\n", "\r\n").encode(), id="C19-crlf"),
    ],
)
def test_marks_and_line_ends_are_no_matter(content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """A byte order mark and the line ends of Windows are accepted."""
    Path(FILE).write_bytes(content)
    answer = answer_of(capsys, "config", FILE, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert json.loads(answer.out)["data"]["dataset"] == "./nowhere.csv"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("learning_rate: 0.02", "training.learning_rate is 0.02: fine-tuning mostly", id="C06-large-rate"),
        pytest.param("num_epochs: 1000000000", "training.num_epochs is 1000000000: 100 passes", id="C07-many-epochs"),
    ],
)
def test_odd_number_is_a_warning(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is hardly ever meant is told, and the run goes on, here to a model that is not there."""
    Path(FILE).write_text(below(line))
    answer = answer_of(capsys, "train", FILE)
    assert words in " ".join(answer.err.split())
    assert answer.code == 4


def test_c09_length_above_the_positions_is_refused(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both numbers are told, and the setting."""
    Path(FILE).write_text(MINIMAL.replace("./nowhere\n", f"{tiny_model}\n  max_length: 4000\n"))
    answer = refusal_of(capsys, tmp_path, "train", FILE)
    assert answer.code == 2
    assert_says(answer.err, ["model.max_length: 4000 tokens", str(tiny_model), "at most 128"])


def test_c09_length_above_the_positions_has_its_line(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line of the setting is told as well."""
    Path(FILE).write_text(MINIMAL.replace("./nowhere\n", f"{tiny_model}\n  max_length: 4000\n"))
    assert "config.yaml:3 model.max_length" in refusal_of(capsys, tmp_path, "train", FILE).err


def test_c16_alias_bomb_costs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Aliases that stand for a billion values are refused in a moment and in little memory."""
    rows = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    Path(FILE).write_text("\n".join(rows))
    refusal_of(capsys, tmp_path, "config", FILE)
    started = time.process_time()
    answer = refusal_of(capsys, tmp_path, "config", FILE)
    # A tenth of a second on a machine of its own; here others compute as well.
    assert time.process_time() - started < 0.5
    tracemalloc.start()
    try:
        refusal_of(capsys, tmp_path, "config", FILE)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    assert answer.code == 2
    assert_says(answer.err, ["config.yaml:1 a0: anchors are not allowed", "config.yaml:10", "found *a8"])


def write_large(path: Path) -> None:
    """A file of 100 MB that takes no space."""
    path.touch()
    os.truncate(path, 100_000_000)


def link_to_zeros(path: Path) -> None:
    """A link to a device that never ends."""
    path.symlink_to("/dev/zero")


def link_to_nothing(path: Path) -> None:
    """A link whose target is gone."""
    path.symlink_to("gone.yaml")


def lack(path: Path) -> None:
    """Nothing there but a file of a similar name."""
    path.with_name("confg.yaml").touch()


KINDS: dict[str, tuple[Any, list[str]]] = {
    "C18-large": (write_large, ["config.yaml: larger than 1,000,000 bytes", "with settings, not with data"]),
    "C18-endless": (link_to_zeros, ["config.yaml: is a pipe or a device, a regular file is wanted"]),
    "C18-fifo": (os.mkfifo, ["config.yaml: is a pipe or a device, a regular file is wanted"]),
    "C27-folder": (Path.mkdir, ["config.yaml: is a folder, a file is wanted", "name a YAML file"]),
    "C27-missing": (lack, ["config.yaml: does not exist", "did you mean confg.yaml?"]),
    "C27-broken-link": (link_to_nothing, ["config.yaml: is a link to gone.yaml, which does not exist"]),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_file_of_settings_is_refused_by_kind(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 with what it is instead, without waiting and without reading on."""
    make, parts = KINDS[name]
    make(Path(FILE))
    started = time.process_time()
    answer = refusal_of(capsys, tmp_path, "train", FILE)
    assert time.process_time() - started < 2
    assert answer.code == 2
    assert_says(answer.err, parts)


def test_c27_file_without_rights_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that may not be read is told with the reason."""
    Path(FILE).write_text(MINIMAL)

    opened = Path.open

    def forbid(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == FILE:
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    # By hand, as the administrator, whom the tests may run as, is allowed everything.
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", forbid)
        answer = answer_of(capsys, "train", FILE)
    assert (answer.code, answer.out) == (2, "")
    assert_says(answer.err, [f"{FILE}: cannot be read: Permission denied", "\n  fix: check the path and the rights"])


# Names of models and data that cannot be: the setting, the name, the exit code, and what is said.
NAMES: dict[str, tuple[str, str, int, list[str]]] = {
    "C25-spaces": ("model.name", "my model", 6, ["model.name: 'my model' is no name that the hub could have"]),
    "C25-parent": ("model.name", "..", 4, ["model.name: .. has no config.json", "save_pretrained"]),
    "C25-absent-path": ("model.name", "/not/there", 4, ["model.name: no such folder: /not/there", "check the path"]),
    "C25-url": ("model.name", "https://hub.example/someone/tiny", 6, ["is no name", "write someone/tiny"]),
    "C25-backslashes": ("model.name", r"models\tiny", 6, [r"'models\\tiny' is no name", "path of a local file"]),
    "C25-home": ("model.name", "~/not-there", 4, ["no such folder", "/not-there"]),
}


@pytest.mark.parametrize("name", NAMES)
def test_odd_name_is_told_for_what_it_was_taken(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The setting, what the name was taken for, and what to write; the code is that of a folder or of the hub."""
    setting, text, code, parts = NAMES[name]
    Path(FILE).write_text(MINIMAL)
    answer = refusal_of(capsys, tmp_path, "train", FILE, f"--{setting}", text)
    assert answer.code == code
    assert_says(answer.err, parts)


def test_c22_tilde_is_the_home_in_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`~` in a path is the home folder, as in a shell."""
    Path(FILE).write_text(MINIMAL.replace("./nowhere\n", "~/not-there\n"))
    answer = refusal_of(capsys, tmp_path, "train", FILE)
    assert f"no such folder: {Path.home()}/not-there" in answer.err


def test_c26_data_folder_is_no_place_for_results(
    reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of the data is refused under any of its names, also as a link."""
    Path("link").symlink_to(reviews)
    Path(FILE).write_text(f"{MINIMAL.replace('./nowhere.csv', str(reviews))}output_dir: ./link\n")
    answer = refusal_of(capsys, tmp_path, "train", FILE)
    assert answer.code == 2
    assert_says(answer.err, ["config.yaml:5 output_dir: must not be the data folder itself", "such as ./link/my-run"])


# Options: the words, and what is said of them.
OPTIONS: dict[str, tuple[list[str], list[str]]] = {
    "C31-not-a-number": (
        ["--training.learning_rate", "abc"],
        ["--training.learning_rate: a number is wanted", 'found the text "abc"'],
    ),
    "C31-no-value": (["--training.seed"], ["--training.seed: the value is missing", "write --training.seed VALUE"]),
    "C31-no-setting": (["--training.learnng_rate", "1"], ["unknown setting", "did you mean --training.learning_rate"]),
    "C31-twice": (["--training.seed", "1", "--training.seed=2"], ["--training.seed: given twice, as 1 and as 2"]),
    "C31-out-of-bounds": (["--training.batch_size=0"], ["--training.batch_size: must be 1 or more"]),
    "C31-token": ([f"--mlflow.run_name={TOKEN}"], ["--mlflow.run_name: a hub token is written here"]),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_pass_the_same_checks(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong on the command line is told with the option, as what is wrong in the file with its line."""
    words, parts = OPTIONS[name]
    Path(FILE).write_text(MINIMAL)
    answer = refusal_of(capsys, tmp_path, "train", FILE, *words)
    assert answer.code == 2
    assert TOKEN not in answer.err
    assert_says(answer.err, parts)


def test_every_row_is_covered() -> None:
    """Each of the rows C01 to C34 has a test, and the tests that are named do exist."""
    here = [*FILES, *LINES, *KINDS, *NAMES, *OPTIONS]
    assert_all_rows("C", 34, here, ELSEWHERE, DOES_NOT_APPLY)
