"""The saved folder: what is in it, who can open it, and what is said when it is not whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, pipeline

from architectures import ARCHITECTURES, Architecture, write_as
from forgeml.errors import MachineError, ModelError
from forgeml.inference.classifier import Classifier
from forgeml.model.manifest import FORMAT, file_hash, read_manifest
from forgeml.model.pretrained import build_classifier, fetch_pretrained, open_tokenizer
from forgeml.model.saved import Classifying, copy_whole, open_saved, write_manifest, write_model

LENGTHS = (0, 1, 2, 3, 7, 20, 61, 62, 63, 64, 100, 400)
TEXTS = [
    " ".join((["good", "film", "the", "bad", "awful", "river", "7", ",", "zzz"] * 50)[:length]) for length in LENGTHS
]
FILES = ["README.md", "config.json", "forgeml.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
MANIFEST: dict[str, Any] = {
    "task": "single_label",
    "labels": ["neg", "pos"],
    "metrics": {"test": {"accuracy": 0.9}},
    "config": {"model": {"max_length": 64}},
    "data": {"name": "reviews", "rows": {"train": 9}},
    "model": {"name": "tiny", "commit": None},
}


def build(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A classifier whose answers differ much from text to text: logits around 0 with a deviation of 1."""
    pretrained = fetch_pretrained(str(folder), None)
    tokenizer = open_tokenizer(pretrained)
    torch.manual_seed(0)
    model = build_classifier(pretrained, "single_label", ["neg", "pos"], tokenizer)
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    for layer in layers:
        torch.nn.init.normal_(layer.weight, std=0.2)
    head = layers[-1]
    batch = tokenizer(TEXTS, truncation=True, padding=True, max_length=64, return_tensors="pt")
    with torch.no_grad():
        logits = model.eval()(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        head.bias.sub_(logits.mean(dim=0)).div_(logits.std(dim=0))
        head.weight.div_(logits.std(dim=0)[:, None])
    return model, tokenizer


@pytest.fixture
def saved(tiny_model: Path, tmp_path: Path) -> Path:
    """A saved folder that can be damaged."""
    folder = tmp_path / "saved"
    write_model(folder, Classifying(*build(tiny_model), 64))
    write_manifest(folder, MANIFEST)
    return folder


def refusal(folder: Path) -> str:
    """What is said of a folder that does not open."""
    with pytest.raises(ModelError) as caught:
        open_saved(folder, "cpu")
    (problem,) = caught.value.problems
    assert problem.where.startswith(str(folder))
    return problem.what


def change_manifest(folder: Path, **entries: object) -> None:
    """Change entries of `forgeml.json`."""
    known = json.loads((folder / "forgeml.json").read_text())
    (folder / "forgeml.json").write_text(json.dumps(known | entries))


def test_files_are_the_promised_ones_for_all_to_read(saved: Path) -> None:
    """Six files, no more, each of mode 644 under the usual umask, in a folder that others may enter."""
    assert sorted(os.listdir(saved)) == FILES
    assert {stat.S_IMODE(file.stat().st_mode) for file in saved.iterdir()} == {0o644}
    assert stat.S_IMODE(saved.stat().st_mode) & 0o500 == 0o500


@pytest.mark.parametrize("umask", [0o077, 0o027, 0o002])
def test_umask_is_kept(tiny_model: Path, tmp_path: Path, umask: int) -> None:
    """Who keeps new files from others, or shares them with a group, does so with a saved model too."""
    before = os.umask(umask)
    try:
        write_model(tmp_path / "saved", Classifying(*build(tiny_model), 64))
        write_manifest(tmp_path / "saved", MANIFEST)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "saved").iterdir()}
    assert modes == {0o666 & ~umask}


def test_configuration_names_the_classes(saved: Path) -> None:
    """config.json has the real names of the classes, the kind of task and the precision."""
    config = json.loads((saved / "config.json").read_text())
    assert config["id2label"] == {"0": "neg", "1": "pos"}
    assert config["label2id"] == {"neg": 0, "pos": 1}
    assert config["problem_type"] == "single_label_classification"
    assert config["dtype"] == "float32"


def test_no_file_tells_where_it_was_made(saved: Path, tiny_model: Path) -> None:
    """Paths of this machine are not written into the library's files."""
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert str(tiny_model.parent) not in (saved / name).read_text(), name


def test_manifest_has_the_hash_of_every_other_file(saved: Path) -> None:
    """`files` has each name with its SHA-256, and the format is stated."""
    manifest = json.loads((saved / "forgeml.json").read_text())
    assert manifest["format"] == FORMAT
    assert sorted(manifest["files"]) == [name for name in FILES if name != "forgeml.json"]
    for name, known in manifest["files"].items():
        assert known == hashlib.sha256((saved / name).read_bytes()).hexdigest() == file_hash(saved / name)


def test_what_is_read_is_what_was_written(saved: Path) -> None:
    """The manifest comes back with all its entries."""
    manifest = read_manifest(saved)
    assert {name: manifest[name] for name in MANIFEST} == MANIFEST


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_plain_transformers_gives_the_same_answers(
    architecture: Architecture, tiny_model: Path, tmp_path: Path
) -> None:
    """The library's pipeline has the same labels, and scores to 1e-5, for texts short, long and too long."""
    model, tokenizer = build(write_as(architecture, tiny_model, tmp_path / "source"))
    write_model(tmp_path / "saved", Classifying(model, tokenizer, 64))
    ours = Classifier.from_pretrained(tmp_path / "saved", "cpu").predict(TEXTS)
    plain = pipeline("text-classification", model=str(tmp_path / "saved"), device="cpu")
    theirs = plain(TEXTS, truncation=True)
    assert [answer["label"] for answer in theirs] == [answer.label for answer in ours]
    assert [answer["score"] for answer in theirs] == pytest.approx([answer.score for answer in ours], rel=0, abs=1e-5)
    assert len({round(answer.scores["pos"], 4) for answer in ours}) > 5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_come_back_bit_by_bit(architecture: Architecture, tiny_model: Path, tmp_path: Path) -> None:
    """Reading a saved folder gives the weights that were written, on the device, ready to predict."""
    model, tokenizer = build(write_as(architecture, tiny_model, tmp_path / "source"))
    write_model(tmp_path / "saved", Classifying(model, tokenizer, 64))
    read, _, manifest = open_saved(tmp_path / "saved", "cpu")
    assert manifest == {}
    assert not read.training
    for name, weight in model.named_parameters():
        assert torch.equal(read.get_parameter(name), weight), name


@pytest.mark.parametrize("used", [False, True])
def test_tokenizer_neither_pads_nor_cuts_by_itself(tiny_model: Path, tmp_path: Path, used: bool) -> None:
    """Padding and cutting that came baked into tokenizer.json are not passed on, and the token ids stay the same."""
    source = Path(shutil.copytree(tiny_model, tmp_path / "source"))
    baked = Tokenizer.from_file(str(source / "tokenizer.json"))
    baked.enable_padding(length=32, pad_token="[PAD]")
    baked.enable_truncation(32)
    baked.save(str(source / "tokenizer.json"))
    model, tokenizer = build(source)
    expected = AutoTokenizer.from_pretrained(tiny_model)(TEXTS, truncation=True, max_length=64)["input_ids"]
    if used:
        assert tokenizer(TEXTS, truncation=True, max_length=64)["input_ids"] == expected
    write_model(tmp_path / "saved", Classifying(model, tokenizer, 64))
    written = json.loads((tmp_path / "saved" / "tokenizer.json").read_text())
    assert (written["padding"], written["truncation"]) == (None, None)
    settings = json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text())
    assert settings["model_max_length"] == 64
    assert "max_length" not in settings
    read = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert read(TEXTS, truncation=True)["input_ids"] == expected
    assert len(read(TEXTS)["input_ids"][-1]) > 400


def test_tokenizer_in_use_is_left_alone(tiny_model: Path, tmp_path: Path) -> None:
    """Saving does not change the tokenizer that is given."""
    model, tokenizer = build(tiny_model)
    tokenizer(TEXTS, truncation=True, max_length=32, padding=True)
    before = (tokenizer.model_max_length, tokenizer.backend_tokenizer.to_str())
    write_model(tmp_path / "saved", Classifying(model, tokenizer, 64))
    assert (tokenizer.model_max_length, tokenizer.backend_tokenizer.to_str()) == before


def test_left_over_files_do_not_get_in(tiny_model: Path, tmp_path: Path) -> None:
    """What an attempt that was cut short left under the same name is not mixed with the new files."""
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "model-00007-of-00009.safetensors").write_text("old")
    write_model(tmp_path / "saved", Classifying(*build(tiny_model), 64))
    assert "model-00007-of-00009.safetensors" not in os.listdir(tmp_path / "saved")


def test_folder_that_cannot_be_written_is_named(tiny_model: Path, tmp_path: Path) -> None:
    """A place below a file ends in an error of the machine."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot be written"):
        write_model(tmp_path / "file" / "saved", Classifying(*build(tiny_model), 64))


def test_newer_format_is_refused_with_both_numbers(saved: Path) -> None:
    """What a newer ForgeML wrote is not guessed at."""
    change_manifest(saved, format=FORMAT + 1)
    assert refusal(saved) == f"written in format {FORMAT + 1}; this ForgeML reads up to {FORMAT}"


@pytest.mark.parametrize("text", ["", "<html>", "[]", "{}", '{"format": "new"}', '{"format": null}'])
def test_damaged_manifest_is_refused(saved: Path, text: str) -> None:
    """A manifest that cannot be read is called damaged."""
    (saved / "forgeml.json").write_text(text)
    assert "damaged" in refusal(saved)


@pytest.mark.parametrize("name", [*MANIFEST, "files"])
def test_manifest_without_an_entry_is_refused(saved: Path, name: str) -> None:
    """An entry that is not of its kind is named."""
    change_manifest(saved, **{name: None})
    assert refusal(saved) == f"damaged: no proper {name}"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_missing_file_is_named(saved: Path, name: str) -> None:
    """A folder that was copied in part is refused with the name of what is missing."""
    (saved / name).unlink()
    assert name in refusal(saved) or "no tokenizer" in refusal(saved)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_flipped_bit_is_found(saved: Path, name: str) -> None:
    """One changed byte in a file that matters is found by its hash, and the file is named."""
    content = (saved / name).read_bytes()
    place = content.rindex(b"1") if name != "model.safetensors" else len(content) - 1
    (saved / name).write_bytes(content[:place] + b"2" + content[place + 1 :])
    assert f"not as it was saved: {name}" in refusal(saved)


def test_card_may_be_edited(saved: Path) -> None:
    """README.md is for people: changed or removed, the model still opens."""
    (saved / "README.md").write_text("Our model.")
    open_saved(saved, "cpu")
    (saved / "README.md").unlink()
    open_saved(saved, "cpu")


def test_change_on_purpose_is_possible(saved: Path) -> None:
    """A file whose line is taken out of `files`, as the error says, is not compared."""
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config))
    assert "take the file's line out of `files`" in _fix(saved)
    files = json.loads((saved / "forgeml.json").read_text())["files"]
    change_manifest(saved, files={name: known for name, known in files.items() if name != "config.json"})
    open_saved(saved, "cpu")


def _fix(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        open_saved(folder, "cpu")
    return caught.value.problems[0].fix


def test_pretrained_model_is_no_classifier(tiny_model: Path) -> None:
    """A folder without a trained head is refused, and a weight that it lacks is named."""
    assert "not a trained classifier: weights are absent, such as classifier.bias" in refusal(tiny_model)


def test_head_of_another_size_is_refused(saved: Path) -> None:
    """A head that does not fit the classes of config.json is not drawn anew when predicting."""
    config = json.loads((saved / "config.json").read_text())
    config |= {"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
    (saved / "config.json").write_text(json.dumps(config))
    (saved / "forgeml.json").unlink()
    refusal(saved)


def test_copy_is_whole(saved: Path, tmp_path: Path) -> None:
    """A copy has the same files, a fresh manifest, and nothing is left beside it."""
    model, tokenizer, manifest = open_saved(saved, "cpu")
    copy_whole(tmp_path / "copies" / "one", Classifying(model, tokenizer, 64), manifest, saved)
    assert sorted(os.listdir(tmp_path / "copies" / "one")) == FILES
    assert os.listdir(tmp_path / "copies") == ["one"]
    assert open_saved(tmp_path / "copies" / "one", "cpu")[2] == manifest


def test_failed_copy_leaves_nothing(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When writing fails half-way, what stood there stands, and nothing is left beside it."""
    model, tokenizer, manifest = open_saved(saved, "cpu")
    before = file_hash(saved / "forgeml.json")

    def refuse(folder: Path, **settings: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save_pretrained", refuse)
    with pytest.raises(MachineError, match="No space left"):
        copy_whole(saved, Classifying(model, tokenizer, 64), manifest, saved)
    assert file_hash(saved / "forgeml.json") == before
    assert os.listdir(tmp_path) == ["saved"]


SAVE = """
import resource, sys
from pathlib import Path
from forgeml.errors import MachineError
from forgeml.model.pretrained import build_classifier, fetch_pretrained, open_tokenizer
from forgeml.model.saved import Classifying, write_manifest, write_model

pretrained = fetch_pretrained(sys.argv[1], None)
tokenizer = open_tokenizer(pretrained)
model = build_classifier(pretrained, "single_label", ["neg", "pos"], tokenizer)
if sys.argv[3] == "tokenizer":
    model.save_pretrained = lambda folder, **settings: None
folder = Path(sys.argv[2])
if sys.argv[3] == "manifest":
    write_model(folder, Classifying(model, tokenizer, 64))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
data = {"name": "reviews", "rows": {}, "more": "x" * 3000}
manifest = {"task": "", "labels": [], "metrics": {}, "config": {}, "data": data, "model": {"name": "tiny"}}
try:
    if sys.argv[3] == "manifest":
        write_manifest(folder, manifest)
    else:
        write_model(folder, Classifying(model, tokenizer, 64))
except MachineError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of files")
@pytest.mark.parametrize(
    ("part", "message"), [("weights", "MB were free"), ("tokenizer", "MB were free"), ("manifest", "cannot be written")]
)
def test_disk_that_refuses_is_told_in_words(tiny_model: Path, tmp_path: Path, part: str, message: str) -> None:
    """Weights, tokenizer or manifest that the system cuts off in the middle end in an error of the machine."""
    command = [sys.executable, "-c", SAVE, str(tiny_model), str(tmp_path / "saved"), part]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "File too large" in done.stdout
    assert message in done.stdout
    assert not (tmp_path / "saved" / "forgeml.json").exists()


def test_memory_for_the_model_is_told(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device too small for the weights is the machine's fault, not the model's."""

    def refuse(self: PreTrainedModel, device: torch.device) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(PreTrainedModel, "to", refuse)
    with pytest.raises(MachineError, match="not enough memory on cpu for the model"):
        open_saved(saved, "cpu")
