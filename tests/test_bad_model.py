"""Models that go wrong, by the rows M01 to M36 of the catalogue of bad input, through the command line."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from forgeml.model.pretrained import build_classifier, fetch_pretrained, open_tokenizer
from refusals import answer_of, assert_all_rows, assert_says, refusal_of
from test_model_pretrained import write_tiny_decoder

FILE = "config.yaml"
WEIGHTS = "model.safetensors"
FIVE = (
    "distilbert-base-uncased, bert-base-uncased, roberta-base, albert-base-v2, google/electra-base-discriminator",
    f"transformers {transformers.__version__}",
)

ELSEWHERE: Mapping[str, str] = {
    # The hub's rows are those of the table in hub_faults.py.
    **{f"M{row}": "tests/test_hub_faults.py::test_fault_ends_as_it_has_to" for row in (*range(21, 34), 35)},
    "M34": "tests/test_data_reading_hub.py::test_older_name_of_one_word_is_followed",
}
DOES_NOT_APPLY: Mapping[str, str] = {}


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that can be spoilt."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.fixture
def saved(trained: Path, tmp_path: Path) -> Path:
    """A copy of a finished training's model that can be spoilt."""
    return Path(shutil.copytree(trained / "best_model", tmp_path / "saved"))


@pytest.fixture
def config(model: Path, tiny_settings: dict[str, Any]) -> Path:
    """A configuration that trains the copy for one epoch."""
    settings = tiny_settings | {
        "model": {"name": str(model), "max_length": 32},
        "training": {**tiny_settings["training"], "num_epochs": 1},
        "output_dir": "out",
    }
    path = Path(FILE)
    path.write_text(json.dumps(settings))
    return path


def change(folder: Path, file: str = "config.json", **settings: object) -> None:
    """Change settings of a JSON file; None takes one out."""
    known = json.loads((folder / file).read_text()) | settings
    (folder / file).write_text(json.dumps({name: value for name, value in known.items() if value is not None}))


def settings_of(**settings: object) -> Callable[[Path], None]:
    """A damage that changes settings of config.json."""
    return lambda folder: change(folder, **settings)


def content_of(file: str, content: bytes) -> Callable[[Path], None]:
    """A damage that gives a file other bytes."""

    def write(folder: Path) -> None:
        (folder / file).write_bytes(content)

    return write


def lack_of(*files: str) -> Callable[[Path], None]:
    """A damage that takes files away."""

    def remove(folder: Path) -> None:
        for file in files:
            (folder / file).unlink(missing_ok=True)

    return remove


def empty(folder: Path) -> None:
    """Leave nothing in the folder."""
    shutil.rmtree(folder)
    folder.mkdir()


def vanish(folder: Path) -> None:
    """Leave no folder."""
    shutil.rmtree(folder)


def become_a_file(folder: Path) -> None:
    """Put a file in the folder's place."""
    shutil.rmtree(folder)
    folder.write_bytes(b"weights?")


def lose_vocabulary(folder: Path) -> None:
    """Leave a vocabulary without words, for which the library makes up five special tokens."""
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("")


def cut_weights(folder: Path) -> None:
    """Keep the first half of the weights."""
    os.truncate(folder / WEIGHTS, (folder / WEIGHTS).stat().st_size // 2)


def rename_weights(folder: Path) -> None:
    """Give the tensors the names of another model."""
    weights = {f"other.{name}": tensor for name, tensor in load_file(folder / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def spoil_number(value: float) -> Callable[[Path], None]:
    """A damage that puts one such number into one tensor."""

    def write(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        weights["encoder.layer.1.output.dense.weight"][3, 4] = value
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    return write


def shard(*names: str) -> Callable[[Path], None]:
    """A damage that replaces the weights by an index of such files, of which only the first is there."""

    def write(folder: Path) -> None:
        (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
        index = {"metadata": {}, "weight_map": {f"tensor{number}": name for number, name in enumerate(names)}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return write


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        """What unpickling calls."""
        return Path.touch, (Path("canary"),)


def write_pickles(folder: Path) -> None:
    """Add pickles under the names that libraries look for."""
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "scheduler.pt", "tokenizer.pkl"):
        (folder / name).write_bytes(pickle.dumps(Canary()))


def leave_pickles(folder: Path) -> None:
    """Leave the weights only as a pickle."""
    write_pickles(folder)
    (folder / WEIGHTS).unlink()


def bring_code(folder: Path) -> None:
    """Add code, and settings that ask for it."""
    (folder / "own.py").write_text("open('canary', 'w').close()\nclass C: pass\nclass M: pass\nclass T: pass\n")
    change(folder, auto_map={"AutoConfig": "own.C", "AutoModelForSequenceClassification": "own.M"})
    change(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.T", None]})


def bring_needed_code(folder: Path) -> None:
    """Add code without which the architecture is not known."""
    bring_code(folder)
    change(folder, model_type="own")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 131072\n"

# What is done to a pre-trained model's folder, and what training says of it.
FOLDERS: dict[str, tuple[Callable[[Path], None], Sequence[str]]] = {
    "M01-no-folder": (vanish, ["model.name: no such folder: {model}", "check the path"]),
    "M02-no-config": (lack_of("config.json"), ["{model} has no config.json (it has ", WEIGHTS, "save_pretrained"]),
    "M02-empty": (empty, ["{model} has no config.json (it is empty)"]),
    "M02-file": (become_a_file, ["{model} is a file", "give the folder that holds it"]),
    "M03-not-json": (content_of("config.json", b'{\n"a": 1,\n}'), ["{model}/config.json: line 3 is not JSON"]),
    "M03-html": (content_of("config.json", b"<html>\n"), ["{model}/config.json: line 1 is not JSON", "'<html>'"]),
    "M04-unknown": (settings_of(model_type="nonsense"), ["{model}", "`nonsense`", *FIVE]),
    "M05-image": (settings_of(model_type="vit"), ["{model} is a vit model, which is not a text classifier", *FIVE]),
    "M05-audio": (settings_of(model_type="whisper"), ["is a whisper model, which is not a text classifier", *FIVE]),
    "M05-generation": (settings_of(model_type="codegen"), ["is a codegen model, which is not a text classi", *FIVE]),
    "M07-bart": (settings_of(model_type="bart"), ["is an encoder-decoder (bart), which ForgeML does not", *FIVE]),
    "M07-t5": (settings_of(model_type="t5"), ["is an encoder-decoder (t5), which ForgeML does not fine-tune", *FIVE]),
    "M08-no-tokenizer": (
        lack_of("tokenizer.json", "tokenizer_config.json", "vocab.txt"),
        ["{model} has no tokenizer", "one of tokenizer.json, vocab.txt"],
    ),
    "M08-no-vocabulary": (lose_vocabulary, ["the tokenizer of {model} has 5 tokens, the model has 282"]),
    "M09-tokenizer-too-large": (
        settings_of(vocab_size=281),
        ["the tokenizer of {model} has 282 tokens, the model has 281", "came with these weights"],
    ),
    "M12-cut-short": (cut_weights, ["model.safetensors is damaged: 0.", " MB (", "delete {model}/model.safetensors"]),
    "M12-empty": (content_of(WEIGHTS, b""), ["model.safetensors is empty", "delete {model}/model.safetensors"]),
    "M12-pointer": (
        content_of(WEIGHTS, POINTER),
        ["model.safetensors is a git-lfs pointer", "`git lfs pull` in {model}"],
    ),
    "M14-other-names": (rename_weights, ["the weights of {model} are not those of its config.json", "such as bert."]),
    "M14-other-size": (settings_of(num_hidden_layers=4), ["the weights of {model} are not those", "47,424 numbers"]),
    "M15-nan": (
        spoil_number(float("nan")),
        ["bert.encoder.layer.1.output.dense.weight of {model} has 1 numbers", "fetch the weights again"],
    ),
    "M15-infinity": (
        spoil_number(float("inf")),
        ["bert.encoder.layer.1.output.dense.weight of {model} has 1 numbers", "NaN or infinite"],
    ),
    "M16-pickle-only": (
        leave_pickles,
        ["{model} has its weights only as a pickle (pytorch_model.bin)", "can run code", "save_pretrained"],
    ),
    "M18-own-architecture": (
        bring_needed_code,
        ["{model} is a model of its own kind (own), whose code would have to run", "is never run", *FIVE],
    ),
    "M19-layers": (settings_of(num_hidden_layers=10**6), ["config.json of {model} has num_hidden_layers 1,000,000"]),
    "M19-width": (settings_of(hidden_size=10**9), ["the weights of {model} are not those", "the files hold 31,392"]),
    "M20-missing-shard": (
        shard("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
        ["model.safetensors.index.json names 2 files, missing are: model-00002-of-00002.safetensors"],
    ),
    "M20-outside": (shard("../other.safetensors"), ["names '../other.safetensors', which is not a file of this f"]),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_bad_folder_is_refused(
    name: str,
    model: Path,
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 4 with the setting, the folder and a fix; nothing is written, asked or run."""
    monkeypatch.setattr("builtins.input", lambda prompt="": pytest.fail("it asks"))
    damage, parts = FOLDERS[name]
    damage(model)
    answer = refusal_of(capsys, tmp_path, "train", config)
    assert answer.code == 4
    assert "\nconfig.yaml:1 model.name: " in f"\n{answer.err}"
    assert_says(answer.err, [part.replace("{model}", str(model)) for part in parts])


def flip_bit(folder: Path) -> None:
    """Change one bit in the middle of the weights."""
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / WEIGHTS).write_bytes(content)


def widen_head(folder: Path) -> None:
    """Describe a head for three classes where the weights have two, as nobody who has hashes would notice."""
    (folder / "forgeml.json").unlink()
    names = ["a", "b", "c"]
    change(folder, id2label=dict(enumerate(names)), label2id={name: place for place, name in enumerate(names)})


def raise_format(folder: Path) -> None:
    """Let the manifest be that of a later version."""
    change(folder, "forgeml.json", format=99)


# What is done to a saved model, and what prediction says of it.
SAVED: dict[str, tuple[Callable[[Path], None], Sequence[str]]] = {
    "M10-predict": (widen_head, ["{saved}: classifier.", "has another shape than its config.json describes"]),
    "M13-flipped-bit": (flip_bit, ["{saved}: not as it was saved: model.safetensors (SHA-256 differs"]),
    "M36-newer": (raise_format, ["{saved}/forgeml.json: written in format 99", "reads up to 1", "newer ForgeML"]),
    "M36-half-copied": (lack_of("tokenizer_config.json"), ["{saved}: files are missing: tokenizer_config.json"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAVED)
def test_bad_saved_model_is_refused(name: str, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 4 with the file that is wrong, before anything is predicted."""
    damage, parts = SAVED[name]
    damage(saved)
    answer = refusal_of(capsys, tmp_path, "predict", saved, "A warm, funny film.")
    assert answer.code == 4
    assert_says(answer.err, [part.replace("{saved}", str(saved)) for part in parts])


def become_a_decoder(folder: Path) -> None:
    """Put a decoder without a padding token in the folder's place."""
    shutil.rmtree(folder)
    write_tiny_decoder(folder, eos_token="<end>")


def tune_for(*class_names: str) -> Callable[[Path], None]:
    """A change that gives the model a head for such classes."""

    def save(folder: Path) -> None:
        pretrained = fetch_pretrained(str(folder), None)
        build_classifier(pretrained, "single_label", class_names, open_tokenizer(pretrained)).save_pretrained(folder)

    return save


# What is done to a pre-trained model, and what training has to say of it while it goes on.
GOES_ON: dict[str, tuple[Callable[[Path], None], Sequence[str]]] = {
    "M06-no-padding-token": (become_a_decoder, ["pads with its end-of-text token <end>"]),
    "M10-other-head": (tune_for("a", "b", "c"), ["its head for 3 classes gives way to a new one for 2"]),
    "M11-other-order": (tune_for("pos", "neg"), ["its head has the classes in another order, pos, neg"]),
    "M11-other-names": (tune_for("yes", "no"), ["its head was trained for yes, no", "these classes are now neg, pos"]),
    "M17-pickles": (write_pickles, []),
    "M18-own-code": (bring_code, []),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GOES_ON)
def test_odd_model_is_trained(
    name: str, model: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0; what is saved opens in plain transformers with the data's classes, and no code has run."""
    GOES_ON[name][0](model)
    answer = answer_of(capsys, "train", config)
    assert answer.code == 0, answer.err
    best = tmp_path / "out" / "best_model"
    network, tokenizer = AutoModelForSequenceClassification.from_pretrained(best), AutoTokenizer.from_pretrained(best)
    assert network.config.id2label == {0: "neg", 1: "pos"}
    assert network.config.pad_token_id == tokenizer.pad_token_id is not None
    assert tokenizer.pad_token == ("<end>" if name.startswith("M06") else "[PAD]")
    assert not Path("canary").exists()
    assert not [file.name for file in best.iterdir() if file.suffix in {".bin", ".pt", ".pkl", ".py"}]


@pytest.mark.parametrize("name", [name for name, (_, parts) in GOES_ON.items() if parts])
def test_what_is_new_is_told_by_the_model_room(name: str, model: Path) -> None:
    """Each change that was made so that the model fits is one sentence, said once."""
    change_folder, parts = GOES_ON[name]
    change_folder(model)
    told: list[str] = []
    pretrained = fetch_pretrained(str(model), None)
    build_classifier(pretrained, "single_label", ["neg", "pos"], open_tokenizer(pretrained, told.append), told.append)
    (sentence,) = told
    assert_says(sentence, parts)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, (_, parts) in GOES_ON.items() if parts])
def test_what_is_new_is_told_on_the_command_line(
    name: str, model: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The person who watches reads it as well, and once."""
    change_folder, parts = GOES_ON[name]
    change_folder(model)
    said = " ".join(answer_of(capsys, "train", config).err.split())
    assert [said.count(part) for part in parts] == [1] * len(parts)


def test_m11_head_answers_for_the_same_names(model: Path) -> None:
    """Before any training, a head that knows the classes in another order gives each class its own logit."""
    tune_for("pos", "neg")(model)
    pretrained = fetch_pretrained(str(model), None)
    before = AutoModelForSequenceClassification.from_pretrained(model)
    after = build_classifier(pretrained, "single_label", ["neg", "pos"], open_tokenizer(pretrained)).eval()
    ids = torch.tensor([[2, 9, 30, 3]])
    torch.testing.assert_close(after(ids).logits, before(ids).logits.flip(1))


def test_m29_offline_and_not_cached(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The model's name, the cache, and the switch to run with once there is a network."""
    answer = refusal_of(capsys, tmp_path, "train", config, "--model.name", "someone/nothing")
    assert answer.code == 6
    assert_says(
        answer.err,
        ["model.name: HF_HUB_OFFLINE=1 forbids", "someone/nothing is not in the cache (", "with HF_HUB_OFFLINE=0"],
    )


def test_every_row_is_covered() -> None:
    """Each of the rows M01 to M36 has a test, and the tests that are named do exist."""
    here = [*FOLDERS, *SAVED, *GOES_ON, "M29"]
    assert_all_rows("M", 36, here, ELSEWHERE, DOES_NOT_APPLY)
