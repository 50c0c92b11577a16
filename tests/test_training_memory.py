"""How much memory a run will take: what the estimate is made of, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from forgeml.config.schema import Config
from forgeml.errors import MachineError
from forgeml.events import Event, Note
from forgeml.model.pretrained import fetch_pretrained
from forgeml.resources import SystemMemory
from forgeml.training import memory as module
from forgeml.training.materials import Materials, gather
from forgeml.training.memory import AT_FIRST, Need, check_memory, check_weights
from forgeml.training.preparing import prepare

PLENTY = SystemMemory(2**40, 2**39, 0, False)


def config_of(settings: dict[str, Any], **training: Any) -> Config:
    """The tiny settings with others for the training."""
    return Config.model_validate({**settings, "training": {**settings["training"], **training}})


def gathered(config: Config) -> Materials:
    """What a run works on."""
    return gather(config, lambda event: None)


def need_of(config: Config) -> Need:
    """The estimate for a run."""
    materials = gathered(config)
    learner, training_set = prepare(config.training, materials)
    found = check_memory(config.training, materials, learner, training_set, lambda event: None)
    assert found is not None
    return found


def checked(config: Config) -> list[Note]:
    """What is told of the memory of a run."""
    told: list[Event] = []
    materials = gathered(config)
    learner, training_set = prepare(config.training, materials)
    check_memory(config.training, materials, learner, training_set, told.append)
    return [event for event in told if isinstance(event, Note)]


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what memory there is."""
    monkeypatch.setattr(module, "system_memory", lambda: PLENTY)
    return lambda found: monkeypatch.setattr(module, "system_memory", lambda: found)


def test_parts_follow_from_the_model(tiny_settings: dict[str, Any], there: Any) -> None:
    """Gradients are a number for each trained weight, moments two; larger batches take more, a text alone least."""
    small, large = (need_of(config_of(tiny_settings, batch_size=size)) for size in (4, 64))
    weights = sum(weight.numel() for weight in gathered(config_of(tiny_settings)).model.parameters())
    assert small.gradients == 4 * weights
    assert small.moments == 8 * weights
    assert 10 < large.batch / small.batch <= 16.5
    assert 0 < small.text == large.text < small.batch
    assert small.least < small.more == small.gradients + small.moments + small.batch + AT_FIRST
    facts = small.facts()
    assert facts["needed"] == facts["held"] + small.more
    assert facts["available"] == facts["held"] + PLENTY.available
    assert facts["held"] > 50_000_000


@pytest.mark.parametrize("packing", ["on", "off"])
@pytest.mark.parametrize(("texts", "length"), [(24, 24), (32, 64), (3, 56)])
def test_batch_is_what_the_forward_pass_keeps(
    packing: str, texts: int, length: int, tiny_settings: dict[str, Any]
) -> None:
    """What three small batches foretell of a larger one is what that keeps, packed and padded."""
    config = config_of(tiny_settings, packing=packing)
    materials = gathered(config)
    learner, _ = prepare(config.training, materials)
    by_size = module._kept_by_size(learner, materials.train, materials.collate, materials.cut.max_length)
    _, kept = module._try(learner, materials.collate, module._sample(materials.train, texts, length))
    assert module._kept(by_size, np.full(texts, length)) == pytest.approx(kept, rel=0.1)


def test_less_is_trained_less_is_needed(tiny_settings: dict[str, Any], there: Any) -> None:
    """With frozen blocks or adapters there are fewer gradients and moments."""
    whole = need_of(config_of(tiny_settings))
    for settings in ({"freeze_layers": 1}, {"lora_rank": 2}):
        part = need_of(config_of(tiny_settings, **settings))
        assert part.gradients < whole.gradients / 2
        assert part.moments == 2 * part.gradients


def test_same_numbers_are_drawn_afterwards(tiny_settings: dict[str, Any], there: Any) -> None:
    """The estimate changes nothing of the run: neither the weights nor what is drawn next."""
    config = config_of(tiny_settings)
    materials = gathered(config)
    learner, training_set = prepare(config.training, materials)
    before = {name: weight.clone() for name, weight in materials.model.state_dict().items()}
    state = torch.get_rng_state()
    check_memory(config.training, materials, learner, training_set, lambda event: None)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(weight, before[name]) for name, weight in materials.model.state_dict().items())
    assert all(weight.grad is None for weight in materials.model.parameters())


def test_plenty_is_not_worth_a_word(tiny_settings: dict[str, Any], there: Any) -> None:
    """Where there is enough nothing is told."""
    assert checked(config_of(tiny_settings)) == []


def test_little_memory_is_warned_of(tiny_settings: dict[str, Any], there: Any) -> None:
    """Numbers, and what needs less, are told; the run goes on, as the estimate is one."""
    there(SystemMemory(8_000_000_000, 90_000_000, 0, True))
    [note] = checked(config_of(tiny_settings))
    assert (note.topic, note.warning) == ("memory", True)
    assert "for the largest batch" in note.text
    assert "90 MB of the 8.0 GB that this container may take are free" in note.text
    assert "training.batch_size: 8 with training.gradient_accumulation_steps: 2" in note.text


def test_too_little_memory_is_refused(tiny_settings: dict[str, Any], there: Any) -> None:
    """Where a single text would be too much the run does not begin; space for swapping counts then."""
    config = config_of(tiny_settings)
    materials = gathered(config)
    learner, training_set = prepare(config.training, materials)
    told: list[Event] = []
    there(SystemMemory(8_000_000_000, 100_000, 0, False))
    with pytest.raises(MachineError, match="a single text in a batch would be too much") as caught:
        check_memory(config.training, materials, learner, training_set, told.append)
    assert "lower model.max_length" in caught.value.problems[0].fix
    assert told == []
    there(SystemMemory(8_000_000_000, 100_000, 2**30, False))
    assert check_memory(config.training, materials, learner, training_set, told.append) is not None
    assert len(told) == 1


def test_windows_of_one_text_stay_together(tiny_settings: dict[str, Any], there: Any) -> None:
    """A text that is read in many windows is as large as all of them, whatever the size of a batch."""
    model = {**tiny_settings["model"], "max_length": 8, "long_texts": "windows"}
    found = need_of(config_of({**tiny_settings, "model": model}, batch_size=1))
    assert found.batch > 2 * found.text


def test_system_that_does_not_say_is_not_asked(tiny_settings: dict[str, Any], there: Any) -> None:
    """Then there is no estimate, and no refusal."""
    there(None)
    config = config_of(tiny_settings)
    materials = gathered(config)
    learner, training_set = prepare(config.training, materials)
    assert check_memory(config.training, materials, learner, training_set, lambda event: None) is None
    check_weights(config.training, materials.pretrained, "cpu")


def test_weights_are_looked_at_before_they_are_read(tiny_settings: dict[str, Any], there: Any) -> None:
    """A model that cannot fit with gradients and moments is refused; adapters alone may do, and so may a GPU."""
    config = config_of(tiny_settings)
    pretrained = fetch_pretrained(config.model.name, None)
    size = 4 * sum(tensor.numel() for tensor in load_file(Path(pretrained.folder) / "model.safetensors").values())
    there(SystemMemory(2**40, 2 * size, 0, False))
    with pytest.raises(MachineError, match="with their gradients and the optimizer's moments, take"):
        check_weights(config.training, pretrained, "cpu")
    with pytest.raises(MachineError, match="take"):
        gathered(config)
    check_weights(config.training, pretrained, "cuda")
    check_weights(config_of(tiny_settings, lora_rank=2).training, pretrained, "cpu")
    there(SystemMemory(2**40, size // 2, 0, False))
    with pytest.raises(MachineError, match=f"the weights of {pretrained.name} take"):
        check_weights(config_of(tiny_settings, lora_rank=2).training, pretrained, "cpu")


def test_weights_in_16_bits_count_as_32(tiny_model: Path, tmp_path: Path, there: Any) -> None:
    """That is what they are trained in."""
    config = Config.model_validate({"model": {"name": "x"}, "data": {"dataset": "x"}})
    sizes = []
    for dtype in (torch.float32, torch.bfloat16):
        folder = tmp_path / str(dtype)
        folder.mkdir()
        tensors = load_file(tiny_model / "model.safetensors")
        save_file({name: one.to(dtype) for name, one in tensors.items()}, folder / "model.safetensors")
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_bytes((tiny_model / name).read_bytes())
        there(SystemMemory(2**40, 1000, 0, False))
        with pytest.raises(MachineError) as caught:
            check_weights(config.training, fetch_pretrained(str(folder), None), "cpu")
        sizes.append(caught.value.problems[0].what.split(" take ")[1])
    assert sizes[0] == sizes[1]
