from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from forgeml.config.loading import (
    flatten,
    json_schema,
    load_config,
    parse_overrides,
    place_settings,
    setting_names,
    to_yaml,
    warnings,
    without_secrets,
)
from forgeml.config.settings import SYNONYMS, all_settings, guess_name, section_names
from forgeml.errors import ConfigError

MINIMAL = "model:\n  name: m\ndata:\n  dataset: d\n"
TOKEN = "hf_" + "a1B2" * 8


def load(text: str, *overrides: tuple[str, str]):  # noqa: ANN201 - the type is that of load_config
    Path("config.yaml").write_text(text, encoding="utf-8")
    return load_config("config.yaml", overrides)


def refusal(text: str, *overrides: tuple[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, *overrides)
    assert caught.value.exit_code == 2
    assert all(problem.fix for problem in caught.value.problems)
    return str(caught.value)


def test_two_settings_are_enough() -> None:
    """The smallest file loads, and everything else has its default."""
    config = load(MINIMAL)
    assert (config.model.name, config.data.dataset, config.output_dir) == ("m", "d", ".")
    assert config.training.learning_rate == 5e-5


# One line below `training:` that is refused: what the message must hold. The line is number 6.
REFUSED_LINES: dict[str, tuple[str, list[str]]] = {
    "unknown key": ("learnng_rate: 1e-5", [".learnng_rate: unknown setting", "did you mean training.learning_rate?"]),
    "wrong section": ("max_length: 5", [".max_length: unknown setting", "it belongs under model: model.max_length"]),
    "outside": ("output_dir: x", ["it belongs outside the sections: output_dir"]),
    "another tool's word": ("lr: 1e-5", ["did you mean training.learning_rate?"]),
    "of other tools": ("trust_remote_code: true", [".trust_remote_code: unknown", "a model is never run"]),
    "nothing near": ("zzz: 1", [".zzz: unknown setting", "settings of training: batch_size, learning_rate"]),
    "quoted number": ('learning_rate: "0.1"', ["a number is wanted", 'the text "0.1"', "0.1 without quotes"]),
    "negative rate": ("learning_rate: -1", ["must be above 0, found the number -1"]),
    "rate of zero": ("learning_rate: 0", ["must be above 0"]),
    "rate of ten": ("learning_rate: 10", ["must be below 1, found the number 10", "for the default, 5e-5"]),
    "not a number": ("learning_rate: .nan", ["finite number"]),
    "infinite": ("learning_rate: .inf", ["finite number"]),
    "overflowing": ("weight_decay: 1e999", ["finite number"]),
    "no epochs": ("num_epochs: 0", ["must be 1 or more, found the number 0"]),
    "negative epochs": ("num_epochs: -1", ["must be 1 or more"]),
    "half epochs": ("num_epochs: 1.5", ["a whole number is wanted, found the number 1.5"]),
    "epochs with a dot": ("num_epochs: 3.0", ["a whole number is wanted", "write num_epochs: 3"]),
    "quoted epochs": ('num_epochs: "3"', ["a whole number is wanted", "num_epochs: 3 without quotes"]),
    "boolean batch": ("batch_size: true", ["a whole number is wanted, found true", "never numbers"]),
    "boolean rate": ("learning_rate: true", ["a number is wanted, found true", "never numbers"]),
    "negative batch": ("batch_size: -8", ["must be 1 or more"]),
    "half batch": ("batch_size: 2.5", ["a whole number is wanted"]),
    "nothing": ("batch_size:", ["a whole number is wanted, found nothing", "for the default, 16"]),
    "separators": ("seed: 1_000", ["a whole number is wanted", "write seed: 1000"]),
    "a time": ("seed: 1:30", ["a whole number is wanted", 'the text "1:30"']),
    "a date": ("seed: 2024-01-01", ["a whole number is wanted"]),
    "a list": ("seed: [1, 2]", ["a whole number is wanted, found a list"]),
    "a mapping": ("seed: {a: 1}", ["a whole number is wanted, found a mapping"]),
    "seed too large": ("seed: 4294967296", ["must be below 4294967296"]),
    "unknown choice": ("schedule: linaer", ["one of linear, cosine, constant is wanted", "did you mean linear?"]),
    "unknown metric": ("best_metric: speed", ["one of accuracy, macro_f1, weighted_f1, ", "mae, rmse, loss is wanted"]),
    "unknown device": ("device: gpu", ['found the text "gpu"', "`cuda:1`"]),
    "yes for true": ("fp16: yes", ["true or false is wanted", "write fp16: true"]),
    "quoted boolean": ('fp16: "false"', ["true or false is wanted", "without quotes"]),
    "token": (f"device: {TOKEN}", ["a hub token is written here", "HF_TOKEN"]),
    "token as key": (f"{TOKEN}: 1", ["a hub token is written here"]),
    "token in a list": (f"device: [x, {TOKEN}]", ["a hub token is written here"]),
    "variable": ("device: ${DEVICE}", ["environment variables are not replaced"]),
    "bare variable": ("device: $DEVICE", ["environment variables are not replaced"]),
    "control character": ('device: "C:\\new"', ["control character is in this text", "in single quotes", "'C:\\new'"]),
    "delete character": ('device: "a\\x7f"', ["control character is in this text"]),
    "duplicate": ("seed: 1\n  seed: 2", ["line 6 and on line 7"]),
    "tag": ("seed: !!int 3", ["tags are not allowed"]),
}


@pytest.mark.parametrize(("line", "parts"), REFUSED_LINES.values(), ids=REFUSED_LINES)
def test_a_wrong_line_is_refused_at_its_place(line: str, parts: list[str]) -> None:
    """Every wrong setting is refused with file, line, what was found and what mends it, and no token is shown."""
    message = refusal(f"{MINIMAL}training:\n  {line}\n")
    assert message.count("\n  fix: ") == 1
    assert message.startswith(("config.yaml:6 training", "config.yaml:7 training.seed"))
    assert TOKEN not in message
    for part in parts:
        assert part in message


# Whole files that are refused: what the message must hold.
REFUSED_FILES: dict[str, tuple[str, list[str]]] = {
    "model of nothing": ("model:\ndata:\n  dataset: d\n", ["config.yaml:1 model: model.name is required"]),
    "no sections": ("output_dir: x\n", ["model.name is required", "data.dataset is required"]),
    "name of nothing": ("model:\n  name:\ndata:\n  dataset: d\n", ["config.yaml:2 model.name: model.name is required"]),
    "empty name": ("model:\n  name: ''\ndata:\n  dataset: d\n", ["config.yaml:2 model.name: must not be empty"]),
    "number as name": ("model:\n  name: 5\ndata:\n  dataset: d\n", ["a text is wanted", 'in quotes: "5"']),
    "name as section": ("model: bert\ndata:\n  dataset: d\n", ["config.yaml:1 model: a section", 'the text "bert"']),
    "list as section": (MINIMAL + "logging: [1]\n", ["config.yaml:5 logging: a section", "found a list"]),
    "setting on top": (MINIMAL + "seed: 1\n", ["config.yaml:5 seed", "it belongs under training: training.seed"]),
    "dotted key": (MINIMAL + "training.seed: 1\n", ["it belongs under training: training.seed"]),
    "mistyped section": (MINIMAL + "trainng:\n  seed: 1\n", ["config.yaml:5 trainng", "did you mean training?"]),
    "unknown on top": (MINIMAL + "zzz: 1\n", ["known here: model, data, training, mlflow, logging, output_dir"]),
    "share above one": (
        MINIMAL + "  validation_split: 1.5\n",
        ["config.yaml:5 data.validation_split: must be below 1"],
    ),
    "share as boolean": (MINIMAL + "  test_split: true\n", ["a number above 0 and below 1 or a text", "never numbers"]),
    "quoted share": (MINIMAL + '  test_split: "0.1"\n', ["config.yaml:5 data.test_split", "0.1 without quotes"]),
    "password": (
        MINIMAL + "mlflow:\n  tracking_uri: https://me:secret@host\n",
        ["a password is written", "MLFLOW_TRACKING_PASSWORD"],
    ),
    "password with signs": (
        MINIMAL + "mlflow:\n  tracking_uri: http://me:secret/a@b@host\n",
        ["a password is written"],
    ),
    "root": (MINIMAL + "output_dir: //\n", ["config.yaml:5 output_dir: must not be the root", "such as //my-run"]),
    "home": (MINIMAL + "output_dir: ~/x/..\n", ["output_dir: must not be the home folder itself", "such as ~/x/../my"]),
    "two documents": (MINIMAL + "---\nseed: 1\n", ["config.yaml:5: a second document"]),
}


@pytest.mark.parametrize(("text", "parts"), REFUSED_FILES.values(), ids=REFUSED_FILES)
def test_a_wrong_file_is_refused(text: str, parts: list[str]) -> None:
    """Mistakes beyond a single line are refused with their place, and no password is shown."""
    message = refusal(text)
    assert "secret" not in message
    for part in parts:
        assert part in message


# One line below `training:` that is fine: the setting and its value.
ACCEPTED: list[tuple[str, str, object]] = [
    ("learning_rate: 1e-5", "training.learning_rate", 1e-5),
    ("learning_rate: 0.5", "training.learning_rate", 0.5),
    ("warmup_steps: 500", "training.warmup_steps", 500.0),
    ("seed: 010", "training.seed", 10),
    ("num_epochs: 1000000000", "training.num_epochs", 10**9),
    ("patience:", "training.patience", None),
    ("device: cuda:1", "training.device", "cuda:1"),
    ("fp16: true", "training.precision", "fp16"),
    ("fp16: false", "training.precision", "auto"),
    ("{fp16: true, precision: fp16}", "training.precision", "fp16"),
    ("{fp16: false, precision: bf16}", "training.precision", "bf16"),
    ("{fp16: true, precision: auto}", "training.precision", "fp16"),
    ("", "training.batch_size", 16),
]


@pytest.mark.parametrize(("line", "name", "value"), ACCEPTED, ids=[row[0] for row in ACCEPTED])
def test_a_good_line_is_taken(line: str, name: str, value: object) -> None:
    """What is meant to be allowed is, and the older fp16 has become precision by then."""
    flat = flatten(load(f"{MINIMAL}training:\n  {line}\n"))
    assert flat[name] == value
    assert flat["training.fp16"] is None


def test_words_stay_words_in_settings() -> None:
    """Names that older YAML turns into booleans and dates reach the settings as written."""
    config = load("model:\n  name: on\n  revision: 2024-01-01\ndata:\n  dataset: no\n  text_column: 1:30\n")
    assert config.model.name == "on"
    assert config.model.revision == "2024-01-01"
    assert config.data.dataset == "no"
    assert config.data.text_column == "1:30"


def test_fp16_against_precision_names_both_lines() -> None:
    """The two spellings may not contradict each other in one place."""
    text = MINIMAL + "training:\n  fp16: true\n"
    message = refusal(text + "  precision: bf16\n")
    assert "config.yaml:6 training.fp16" in message
    assert "config.yaml:7 training.precision" in message
    both = (("training.fp16", "true"), ("training.precision", "bf16"))
    assert "at --training.precision" in refusal(MINIMAL, *both)
    assert "fp16: false contradicts" in refusal(MINIMAL + "training:\n  {fp16: false, precision: fp16}\n")


@pytest.mark.parametrize(
    ("line", "override", "wanted"),
    [
        ("fp16: true", ("training.precision", "bf16"), "bf16"),
        ("fp16: true", ("training.precision", "auto"), "auto"),
        ("fp16: true", ("training.fp16", "false"), "auto"),
        ("fp16: false", ("training.precision", "fp16"), "fp16"),
        ("precision: auto", ("training.fp16", "true"), "fp16"),
        ("precision: bf16", ("training.fp16", "true"), "fp16"),
        ("precision: fp16", ("training.fp16", "false"), "auto"),
        ("precision: bf16", ("training.fp16", "false"), "bf16"),
    ],
)
def test_either_spelling_on_the_command_line_wins(line: str, override: tuple[str, str], wanted: str) -> None:
    """The command line wins over the file, also where the file uses the other of the two keys."""
    assert load(f"{MINIMAL}training:\n  {line}\n", override).training.precision == wanted


def test_all_problems_come_together_in_the_file_s_order() -> None:
    """One error holds everything wrong: first the whole file, then its lines from the top, then the options."""
    text = "foo: 1\nmodel:\n  name: m\n  name: k\ntraining:\n  seed: x\n  batch_size: 0\n"
    with pytest.raises(ConfigError) as caught:
        load(text, ("training.num_epochs", "0"), ("training.lr", "1"))
    assert [problem.where for problem in caught.value.problems] == [
        "config.yaml",
        "config.yaml:1 foo",
        "config.yaml:4 model.name",
        "config.yaml:6 training.seed",
        "config.yaml:7 training.batch_size",
        "--training.lr",
        "--training.num_epochs",
    ]


def test_overrides_win_and_may_mend_the_file() -> None:
    """An override stands in the place of the file's value, even of a wrong one or in a section that is not there."""
    config = load(
        MINIMAL + "training:\n  seed: x\nlogging:\n",
        ("training.seed", "7"),
        ("logging.log_interval", "3"),
        ("mlflow.run_name", "2024"),
        ("output_dir", "out"),
        ("data.validation_split", "0.2"),
        ("data.subset", "null"),
    )
    assert config.training.seed == 7
    assert config.logging.log_interval == 3
    assert config.mlflow.run_name == "2024"
    assert config.output_dir == "out"
    assert config.data.validation_split == 0.2
    assert config.data.subset is None


def test_overrides_pass_the_same_gate() -> None:
    """A wrong value from the command line is refused in the same words, under the option's name."""
    message = refusal(MINIMAL, ("training.seed", "abc"), ("training.batch_size", ""), ("model.name", TOKEN))
    assert '--training.seed: a whole number is wanted, found the text "abc"' in message
    assert "--training.batch_size: a whole number is wanted, found nothing" in message
    assert "--model.name: a hub token is written here" in message
    assert TOKEN not in message


def test_the_same_override_twice_is_refused() -> None:
    """Two values for one setting on one command line are a mistake, never a silent choice."""
    message = refusal(MINIMAL, ("training.seed", "1"), ("training.seed", "2"))
    assert "--training.seed: given twice, as 1 and as 2" in message


def test_overrides_of_what_is_no_setting_are_refused() -> None:
    """Sections, paths below a setting and a section that is no mapping in the file do not break anything."""
    message = refusal(
        "model: bert\ndata:\n  dataset: d\n", ("model.name", "m"), ("training", "1"), ("model.name.x", "2"), ("", "3")
    )
    assert 'config.yaml:1 model: a section with settings is wanted, found the text "bert"' in message
    assert "--training: unknown setting\n  fix: settings of training: " in message
    assert "--model.name.x: unknown setting\n  fix: did you mean --model.name?" in message


def test_nothing_changes_after_loading() -> None:
    """The configuration is frozen."""
    config = load(MINIMAL)
    with pytest.raises(ValidationError):
        config.training.seed = 3


def test_arguments_become_overrides() -> None:
    """Both ways to write an option are understood, and a value may start with a minus or hold an equals sign."""
    arguments = ["--training.num_epochs", "1", "--training.batch_size=4", "--training.weight_decay", "-1"]
    assert parse_overrides([*arguments, "--model.name=a=b", "--mlflow.run_name="]) == [
        ("training.num_epochs", "1"),
        ("training.batch_size", "4"),
        ("training.weight_decay", "-1"),
        ("model.name", "a=b"),
        ("mlflow.run_name", ""),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--training.learnng_rate", "1"], "unknown setting\n  fix: did you mean --training.learning_rate?"),
        (["--learning-rate=1"], "--learning-rate: unknown setting\n  fix: did you mean --training.learning_rate?"),
        (["--model.seed=1"], "did you mean --training.seed?"),
        (["--zzz"], "such as --training.learning_rate"),
        (["--training.seed"], "the value is missing\n  fix: write --training.seed VALUE, where VALUE is a whole"),
        (["--training.seed", "--training.fp16=true"], "--training.seed: the value is missing"),
        (["stray"], "stray: unexpected argument"),
        (["-x"], "-x: unexpected argument"),
        ([f"--{TOKEN}=1"], "unknown setting"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], message: str) -> None:
    """What is no option of a setting, or lacks its value, is refused with the nearest name."""
    with pytest.raises(ConfigError) as caught:
        parse_overrides(arguments)
    assert message in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_wrong_arguments_come_together() -> None:
    """All wrong arguments are named at once."""
    with pytest.raises(ConfigError) as caught:
        parse_overrides(["a", "--zzz", "1", "--training.seed"])
    assert [problem.where for problem in caught.value.problems] == ["a", "--zzz", "--training.seed"]


def test_dropped_letters_are_understood() -> None:
    """For every setting's name with one letter dropped the right setting is suggested, 95 times in 100 or more."""
    guesses = [
        guess_name(setting.section, setting.key[:place] + setting.key[place + 1 :]) == setting.name
        for setting in all_settings()
        for place in range(len(setting.key))
    ]
    assert sum(guesses) / len(guesses) >= 0.95


def test_synonyms_lead_to_settings() -> None:
    """Every word of other tools that is known stands for a setting that exists, and is none itself."""
    assert set(SYNONYMS.values()) <= set(setting_names())
    assert not set(SYNONYMS) & {setting.key for setting in all_settings()}


WORDS = [
    "no",
    "2024-01-01",
    "1:30",
    "1_000",
    "1e5",
    "010",
    "0o7",
    "null",
    "~",
    "<<",
    "=",
    "a: b",
    "#",
    "- a",
    " x ",
]
WORDS += ["x" * 300, "é", "é\u2028x\u2029", "\ufeffx", "C:\\new", "🙂"]


@pytest.mark.parametrize("word", WORDS)
def test_yaml_loads_to_an_equal_configuration(word: str) -> None:
    """The written configuration reads back the same, whatever texts it holds."""
    config = load(MINIMAL + "training:\n  fp16: true\n  learning_rate: 3e-7\n")
    model = config.model.model_copy(update={"name": word, "revision": word})
    config = config.model_copy(update={"model": model})
    assert load(to_yaml(config)) == config


def test_flat_names_are_the_setting_names() -> None:
    """A configuration flattens to exactly the names of the schema, in its order."""
    flat = flatten(load(MINIMAL))
    assert list(flat) == setting_names()
    assert flat["training.learning_rate"] == 5e-5


def test_schema_describes_every_setting() -> None:
    """Editors get a title, every section and a description for each setting."""
    schema = json_schema()
    assert schema["title"] == "ForgeML configuration"
    assert [name for name in schema["properties"] if "_" not in name] == section_names()
    assert all(setting.help for setting in all_settings())


def test_reading_a_configuration_needs_no_heavy_library(tmp_path: Path) -> None:
    """Neither torch nor transformers nor the data library is imported for it."""
    heavy = ["torch", "transformers", "datasets", "mlflow", "numpy", "pyarrow"]
    code = f"import sys, forgeml.config.loading; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=os.environ
    )
    assert done.stdout.strip() == "[]"


def test_what_is_saved_shows_no_password() -> None:
    """The password of a database's address is hidden in the copy for files and trackers, and only there."""
    config = load(MINIMAL + "mlflow:\n  tracking_uri: postgresql://me:secret@host/db\n")
    assert without_secrets(config).mlflow.tracking_uri == "postgresql://*********@host/db"
    assert config.mlflow.tracking_uri == "postgresql://me:secret@host/db"
    assert without_secrets(config).training == config.training


def test_hiding_looks_at_each_text_alone() -> None:
    """An address without a password and an @ elsewhere are not taken for one address with a password."""
    text = MINIMAL + "mlflow:\n  tracking_uri: http://localhost:5000\n  experiment_name: me@acme\noutput_dir: runs@1\n"
    config = load(text)
    assert without_secrets(config) == config


def test_home_is_fine_as_the_folder_one_works_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The default `.` is the working folder, whichever that is; a folder in the home folder is fine as well."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load(MINIMAL).output_dir == "."
    assert load(MINIMAL + "output_dir: ~/runs\n").output_dir == "~/runs"
    assert "must not be the home folder" in refusal(MINIMAL, ("output_dir", str(tmp_path)))


def test_odd_values_are_told() -> None:
    """What is legal and hardly ever meant gives a sentence, and what is usual gives none."""
    assert warnings(load(MINIMAL)) == []
    rate, epochs = warnings(load(MINIMAL + "training:\n  learning_rate: 0.5\n  num_epochs: 1000\n"))
    assert rate.startswith("training.learning_rate is 0.5: ")
    assert epochs.startswith("training.num_epochs is 1000: 100 passes")
    assert warnings(load(MINIMAL + "training:\n  learning_rate: 0.01\n  num_epochs: 100\n")) == []


def test_error_that_is_said_elsewhere_stays_so() -> None:
    """The line of the file is added to a problem; which process says it does not change."""
    load(MINIMAL)
    error = ConfigError.at("data.dataset", "wrong", "mend it")
    error.told_elsewhere = True
    placed = place_settings(error, "config.yaml", ())
    assert (placed.problems[0].where, placed.told_elsewhere) == ("config.yaml:4 data.dataset", True)


def test_error_of_a_run_outlives_its_file() -> None:
    """Hours later the file may be gone or be another one; what went wrong is told all the same."""
    load(MINIMAL)
    Path("config.yaml").write_text("a: [")
    error = ConfigError.at("data.dataset", "wrong", "mend it")
    assert place_settings(error, "config.yaml", ()) is error
    Path("config.yaml").unlink()
    assert place_settings(error, "config.yaml", ()) is error
