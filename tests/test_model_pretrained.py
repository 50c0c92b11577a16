"""Pre-trained models in local folders: what opens, and what is refused in which words."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import AutoTokenizer, GPT2Config, GPT2Model, PreTrainedTokenizerFast, XLNetConfig

from architectures import ARCHITECTURES, Architecture, write_as
from forgeml.errors import ConfigError, HubError, ModelError
from forgeml.model.pretrained import (
    build_classifier,
    fetch_pretrained,
    is_local,
    load_classifier,
    longest_text,
    open_config,
    open_tokenizer,
    position_limit,
)
from tiny import write_tiny_bert

CLASSES = ["neg", "pos"]


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that can be changed."""
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


def build(folder: Path, class_names: list[str] = CLASSES) -> Any:
    """All that training does to get a classifier from a folder."""
    pretrained = fetch_pretrained(str(folder), None)
    tokenizer = open_tokenizer(pretrained)
    longest_text(pretrained, tokenizer, None)
    return build_classifier(pretrained, "single_label", class_names, tokenizer)


def refusal(folder: Path) -> str:
    """What is said of a folder that cannot be used."""
    with pytest.raises(ModelError) as caught:
        build(folder)
    (problem,) = caught.value.problems
    assert problem.where == "model.name"
    assert problem.fix
    return problem.what


def change(folder: Path, file: str = "config.json", **settings: object) -> None:
    """Change settings of a JSON file; None takes one out."""
    known = json.loads((folder / file).read_text()) | settings
    (folder / file).write_text(json.dumps({name: value for name, value in known.items() if value is not None}))


def change_weights(folder: Path, changed: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Rewrite all tensors."""
    path = folder / "model.safetensors"
    save_file({name: changed(tensor) for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})


def write_tiny_decoder(folder: Path, **special: str) -> Path:
    """A GPT-2 of one layer with a tokenizer that knows three words."""
    words = Tokenizer(WordLevel({"<unk>": 0, "<end>": 1, "good": 2, "bad": 3, "film": 4}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", **special).save_pretrained(folder)
    torch.manual_seed(0)
    size = {"vocab_size": 5, "n_positions": 32, "n_embd": 16, "n_layer": 1, "n_head": 2}
    GPT2Model(GPT2Config(**size, bos_token_id=1, eos_token_id=1)).save_pretrained(folder)
    return folder


def test_local_folder_is_found(folder: Path) -> None:
    """A local model has no commit, nothing was fetched, and its size is that of its files."""
    found = fetch_pretrained(str(folder), None)
    assert (found.commit, found.fetched, found.folder) == (None, False, str(folder))
    assert found.bytes == sum(file.stat().st_size for file in folder.iterdir())


@pytest.mark.parametrize("name", ["./absent", "../absent", "/absent/model", "~/absent", "absent/", "a/b/c", ""])
def test_path_that_leads_nowhere_is_no_hub_name(name: str) -> None:
    """What is written like a path is never asked of the hub."""
    with pytest.raises(ModelError, match=r"no such folder|no config.json"):
        fetch_pretrained(name, None)


def test_files_are_local_too(folder: Path) -> None:
    """A file in the working folder is told to be a file, not looked for on the hub."""
    Path("model.safetensors").write_bytes(b"")
    assert is_local("model.safetensors")
    with pytest.raises(ModelError, match="is a file"):
        fetch_pretrained("model.safetensors", None)


def test_name_without_a_folder_is_asked_of_the_hub() -> None:
    """A plain name that is no model folder goes to the hub, which is away here; an output folder is no model."""
    Path("roberta-base", "best_model").mkdir(parents=True)
    assert not is_local("roberta-base")
    assert not is_local("owner/name")
    with pytest.raises(HubError):
        fetch_pretrained("owner/name", None)
    with pytest.raises(HubError, match=r"; the folder roberta-base here has no config\.json\n"):
        fetch_pretrained("roberta-base", None)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_becomes_a_classifier(architecture: Architecture, folder: Path, tmp_path: Path) -> None:
    """Body from the folder, a head for the classes, and the names of the classes."""
    model = build(write_as(architecture, folder, tmp_path / architecture), ["a", "b", "c"])
    assert model.config.model_type == architecture
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert model.config.label2id == {"a": 0, "b": 1, "c": 2}
    assert model.config.problem_type == "single_label_classification"
    assert model(torch.tensor([[2, 9, 3]])).logits.shape == (1, 3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_limit_is_what_the_model_reads(architecture: Architecture, folder: Path, tmp_path: Path) -> None:
    """The longest text just fits, also where positions are counted from behind the pad id; one more is refused."""
    pretrained = fetch_pretrained(str(write_as(architecture, folder, tmp_path / architecture)), None)
    tokenizer = open_tokenizer(pretrained)
    tokenizer.model_max_length = 10**30
    assert position_limit(open_config(pretrained), tokenizer) == 128
    assert longest_text(pretrained, tokenizer, 128) == 128
    with pytest.raises(ConfigError, match=r"129 tokens.* at most 128") as caught:
        longest_text(pretrained, tokenizer, 129)
    assert caught.value.problems[0].where == "model.max_length"
    model = build_classifier(pretrained, "single_label", CLASSES, tokenizer)
    assert model(torch.full((1, 128), 9)).logits.isfinite().all()


def test_default_length_is_within_the_limit(folder: Path) -> None:
    """Left out, the length is the default, or the model's limit where that is smaller."""
    pretrained = fetch_pretrained(str(folder), None)
    tokenizer = open_tokenizer(pretrained)
    assert longest_text(pretrained, tokenizer, None) == 128
    tokenizer.model_max_length = 100
    assert longest_text(pretrained, tokenizer, None) == 100


def test_no_limit_anywhere_leaves_the_default(folder: Path) -> None:
    """A model with relative positions and a tokenizer without a limit read texts of any length."""
    pretrained = fetch_pretrained(str(folder), None)
    tokenizer = open_tokenizer(pretrained)
    tokenizer.model_max_length = 10**30
    assert position_limit(XLNetConfig(), tokenizer) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_loaded_as_fp32(folder: Path, dtype: torch.dtype) -> None:
    """Whatever precision the weights are stored in, the model computes and is trained in fp32."""
    change(folder, dtype=str(dtype).removeprefix("torch."))
    change_weights(folder, lambda tensor: tensor.to(dtype))
    model = build(folder)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert model.config.dtype == torch.float32


def test_seed_draws_the_head_and_nothing_else_is_drawn(folder: Path) -> None:
    """The same seed gives the same head, another seed another one; looking at the size draws nothing."""
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        heads.append(build(folder).classifier.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_head_for_other_classes_gives_way(folder: Path, tmp_path: Path) -> None:
    """A model tuned for 3 classes gets a new head for 2 and keeps its body."""
    three = build(folder, ["a", "b", "c"])
    three.save_pretrained(tmp_path / "three")
    open_tokenizer(fetch_pretrained(str(folder), None)).save_pretrained(tmp_path / "three")
    two = build(tmp_path / "three")
    assert two.classifier.weight.shape == (2, 32)
    assert two.config.id2label == {0: "neg", 1: "pos"}
    for name, weight in two.bert.named_parameters():
        assert torch.equal(weight, three.bert.get_parameter(name)), name


CONFIGURATIONS: dict[str, tuple[dict[str, object], str]] = {
    "unknown architecture": ({"model_type": "nonsense"}, "model type `nonsense`"),
    "no architecture": ({"model_type": None}, "Should have a `model_type` key"),
    "image model": ({"model_type": "vit"}, "is a vit model, which is not a text classifier"),
    "audio model": ({"model_type": "whisper"}, "is a whisper model, which is not a text classifier"),
    "encoder-decoder": ({"model_type": "bart"}, r"is an encoder-decoder \(bart\)"),
    "words for numbers": ({"hidden_size": "wide"}, "'hidden_size': TypeError"),
    "no heads": ({"num_attention_heads": 0}, "describes no model"),
    "heads that do not divide": ({"num_attention_heads": 3}, "not a multiple"),
    "negative width": ({"hidden_size": -1}, "negative dimension"),
    "enormous width": ({"hidden_size": 10**9}, "the files hold 31,392"),
    "wider than the weights": ({"hidden_size": 64}, "that describes 76,928 numbers, the files hold 31,392"),
    "narrower than the weights": ({"hidden_size": 16}, "35 are absent or of another shape, such as bert"),
    "more layers than the weights": ({"num_hidden_layers": 4}, "that describes 47,424 numbers"),
    "enormous positions": ({"max_position_embeddings": 10**10}, "the files hold 31,392"),
    "enormous vocabulary": ({"vocab_size": 10**9}, "282 tokens, the model has 1,000,000,000"),
    "small vocabulary": ({"vocab_size": 281}, "282 tokens, the model has 281"),
    "unknown activation": ({"hidden_act": "gelu99"}, "KeyError 'gelu99'"),
    "pad id outside": ({"pad_token_id": 10**6}, "describes no model"),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_configuration_of_another_model_is_refused(folder: Path, case: str) -> None:
    """A config.json that does not fit is refused in words, before it takes time or memory."""
    settings, message = CONFIGURATIONS[case]
    change(folder, **settings)
    what = refusal(folder)
    assert re.search(message, what), what


TOKENIZERS = {
    "a web page": ("tokenizer.json", b"<html>"),
    "cut short": ("tokenizer.json", b'{"version": "1.0", "added_to'),
    "an empty object": ("tokenizer.json", b"{}"),
    "settings that are a web page": ("tokenizer_config.json", b"<html>"),
    "settings that are a list": ("tokenizer_config.json", b"[]"),
    "a length in words": ("tokenizer_config.json", b'{"tokenizer_class": "BertTokenizer", "model_max_length": "long"}'),
}


@pytest.mark.parametrize("case", TOKENIZERS)
def test_damaged_tokenizer_is_refused(folder: Path, case: str) -> None:
    """A tokenizer file that cannot be read is told in words."""
    name, content = TOKENIZERS[case]
    (folder / name).write_bytes(content)
    assert "the tokenizer of" in refusal(folder)


def test_tokenizer_of_an_unknown_form_is_refused(folder: Path) -> None:
    """Even what the tokenizers library answers with a bare Exception is told in words."""
    change(folder, "tokenizer.json", normalizer={"type": "Nope"})
    assert "does not open" in refusal(folder)


def test_vocabulary_that_was_lost_is_refused(folder: Path) -> None:
    """Five special tokens for a model of 282 mean that the vocabulary is missing."""
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("")
    assert "5 tokens, the model has 282" in refusal(folder)


def test_weights_of_another_model_are_refused(folder: Path) -> None:
    """When the names do not fit, nothing of the body would be loaded."""
    path = folder / "model.safetensors"
    save_file({f"other.{name}": tensor for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})
    assert "the weights of" in refusal(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(folder: Path, value: float) -> None:
    """One NaN or infinity is found, and its tensor is named."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["encoder.layer.1.output.dense.weight"][3, 4] = value
    save_file(weights, path, metadata={"format": "pt"})
    assert "bert.encoder.layer.1.output.dense.weight of" in refusal(folder)


def test_huge_but_finite_weights_pass(folder: Path) -> None:
    """Numbers whose sum overflows are not taken for infinite ones."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["embeddings.LayerNorm.weight"][:] = 3e38
    save_file(weights, path, metadata={"format": "pt"})
    build(folder)


def test_code_in_the_folder_never_runs(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Code that config.json points to is neither run nor asked about, nor pointed to by what is saved."""
    canary = tmp_path / "canary"
    code = f"open({str(canary)!r}, 'w').close()\nclass C: pass\nclass M: pass\nclass T: pass\n"
    (folder / "evil.py").write_text(code)
    monkeypatch.setattr("builtins.input", lambda prompt="": pytest.fail("it asks"))
    own = {"AutoConfig": "evil.C", "AutoModelForSequenceClassification": "evil.M"}
    change(folder, auto_map=own)
    change(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]})
    model = build(folder)
    model.save_pretrained(tmp_path / "saved")
    assert "auto_map" not in json.loads((tmp_path / "saved" / "config.json").read_text())
    change(folder, model_type="evil")
    refusal(folder)
    assert not canary.exists()


def test_decoder_pads_with_its_end_of_text(tmp_path: Path) -> None:
    """A decoder without a padding token pads with the end-of-text token, and padding does not change its answers."""
    folder = write_tiny_decoder(tmp_path / "decoder", eos_token="<end>")
    assert AutoTokenizer.from_pretrained(folder).pad_token is None
    pretrained = fetch_pretrained(str(folder), None)
    tokenizer = open_tokenizer(pretrained)
    model = build_classifier(pretrained, "single_label", CLASSES, tokenizer).eval()
    assert (tokenizer.pad_token, model.config.pad_token_id) == ("<end>", 1)
    batch = tokenizer(["good", "bad film good"], padding=True, padding_side="right", return_tensors="pt")
    alone = model(torch.tensor([[2]])).logits[0]
    together = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[0]
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_decoder_with_nothing_to_pad_with_is_refused(tmp_path: Path) -> None:
    """Without a padding and an end-of-text token batches cannot be made."""
    what = refusal(write_tiny_decoder(tmp_path / "decoder"))
    assert "neither a padding nor an end-of-text token" in what


def test_missing_weights_are_reported_by_name(folder: Path) -> None:
    """Loading tells which weights were drawn: those of the head that a pre-trained model does not have."""
    _, drawn = load_classifier(fetch_pretrained(str(folder), None))
    assert drawn == {"classifier.weight", "classifier.bias"}


def test_seeds_give_different_bodies(tmp_path: Path) -> None:
    """The folder's own weights are in the model, not ones drawn anew."""
    first, second = (build(write_tiny_bert(tmp_path / str(seed), seed=seed)) for seed in (0, 1))
    stored = load_file(tmp_path / "1" / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(second.bert.get_parameter(name), stored[name])
    assert not torch.equal(first.bert.get_parameter(name), stored[name])
