"""How long a run will take: lines through timed batches, and the work of a batch. No clock is trusted here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forgeml.config.schema import Config
from forgeml.data.batches import SCORING_BATCH, collate, plan_scoring, plan_training
from forgeml.data.tokens.encoding import encode
from forgeml.events import Event, Progress
from forgeml.records import Cut, EncodedTexts
from forgeml.training.materials import Materials, gather
from forgeml.training.timing import SAMPLES, Pace, time_scoring, time_training, work_of
from tiny import listed

WORK = np.array([100.0, 400.0, 900.0, 2500.0])


@pytest.fixture
def materials(tiny_settings: dict[str, Any]) -> Materials:
    """What a run on the tiny reviews works on."""
    return gather(Config.model_validate(tiny_settings), lambda event: None)


@pytest.mark.parametrize(("each", "per_work"), [(0.02, 1e-4), (0.0, 1e-4), (0.5, 0.0)])
def test_line_is_recovered(each: float, per_work: float) -> None:
    """Batches whose seconds lie on a line give that line, and its seconds for any other batches."""
    pace = Pace.fit(WORK, each + per_work * WORK)
    assert (pace.each, pace.per_work) == pytest.approx((each, per_work), rel=1e-6, abs=1e-9)
    assert pace.seconds(np.array([10.0, 20.0])) == pytest.approx(2 * each + 30 * per_work, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seconds", [[0.9, 0.5, 0.3, 0.2], [0.01, 0.5, 1.5, 6.0], [1.0, 1.0, 1.0, 0.99]])
def test_no_part_is_below_zero(seconds: list[float]) -> None:
    """Whatever the clock said, no batch is estimated at less than nothing."""
    pace = Pace.fit(WORK, np.array(seconds))
    assert pace.each >= 0
    assert pace.per_work >= 0
    assert pace.seconds(np.array([0.0])) >= 0
    assert pace.seconds(WORK) > 0


def test_single_batch_has_a_pace() -> None:
    """One batch is all there is of small data; its own seconds come out again."""
    pace = Pace.fit(np.array([500.0]), np.array([0.25]))
    assert pace.seconds(np.array([500.0])) == pytest.approx(0.25)
    assert min(pace.each, pace.per_work) >= 0


def test_work_counts_padded_tokens(materials: Materials) -> None:
    """The work of a batch is that of its tensor, padding included, and grows faster than its length."""
    encoded = materials.train
    plan = plan_training(encoded.lengths, 16, 0, 0)
    padded = np.array([collate(encoded, indexes).input_ids.size for indexes in plan])
    longest = np.array([collate(encoded, indexes).input_ids.shape[1] for indexes in plan])
    work = work_of(materials.model, encoded, plan)
    np.testing.assert_allclose(work, padded * (1 + longest / (6 * materials.model.config.hidden_size)))
    assert work.dtype == np.float64


def test_work_counts_windows(materials: Materials) -> None:
    """A text of several windows is as much work as that many texts."""
    texts = listed(["good " * 200, "bad " * 200])
    windows = encode(materials.tokenizer, texts, Cut(32, "windows"))
    assert windows.bounds is not None
    each = EncodedTexts(windows.ids, windows.offsets, windows.pad_id, np.zeros(len(windows.offsets) - 1, bool))
    (of_windows,) = work_of(materials.model, windows, [np.arange(2)])
    (of_pieces,) = work_of(materials.model, each, [np.arange(len(each))])
    assert of_windows == of_pieces
    assert of_windows > work_of(materials.model, each, [np.arange(2)])[0]


def test_model_that_names_its_width_otherwise_has_work(materials: Materials) -> None:
    """A configuration without a width is taken to be of the usual one."""
    plan = plan_scoring(materials.train, SCORING_BATCH)
    expected = work_of(materials.model, materials.train, plan)
    materials.model.config.hidden_size = 10**9
    assert (work_of(materials.model, materials.train, plan) < expected).all()


def test_training_is_timed_on_real_steps(tiny_settings: dict[str, Any], materials: Materials) -> None:
    """Some batches are taken, each told as progress; the epoch is the sum over all batches; no gradient stays."""
    told: list[Event] = []
    before = {name: weight.clone() for name, weight in materials.model.state_dict().items()}
    config = Config.model_validate(tiny_settings).training
    pace, epoch, need = time_training(config, materials, told.append)
    plan = plan_training(materials.train.lengths, config.batch_size, config.seed, 0)
    assert [(event.task, event.done) for event in told if isinstance(event, Progress)] == [
        ("time training", done) for done in range(1, min(SAMPLES, len(plan)) + 1)
    ]
    assert epoch == pytest.approx(pace.seconds(work_of(materials.model, materials.train, plan)))
    assert epoch > 0
    assert need is None or need.more > need.batch > 0
    assert all(weight.grad is None for weight in materials.model.parameters())
    assert not all(torch.equal(weight, before[name]) for name, weight in materials.model.state_dict().items())


def test_scoring_is_timed_without_learning(materials: Materials) -> None:
    """Scoring leaves the weights and the random numbers as they are, and even a single batch has a pace."""
    before = {name: weight.clone() for name, weight in materials.model.state_dict().items()}
    told: list[Event] = []
    pace = time_scoring(materials, told.append)
    assert {event.task for event in told if isinstance(event, Progress)} == {"time scoring"}
    assert pace.seconds(WORK) > 0
    assert all(torch.equal(weight, before[name]) for name, weight in materials.model.state_dict().items())
    few = replace(materials, validation=encode(materials.tokenizer, listed(["good"]), Cut(16)))
    assert time_scoring(few, told.append).seconds(np.array([3.0])) > 0


def test_pairs_and_numbers_are_timed(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """Timing takes real steps of the task at hand, numbers and pairs among them."""
    rows = "\n".join(f"good film {index},bad film {index},{index / 7:.3f}" for index in range(40))
    (tmp_path / "pairs.csv").write_text("text1,text2,similarity\n" + rows + "\n")
    config = Config.model_validate({**tiny_settings, "data": {"dataset": "pairs.csv"}})
    found = gather(config, lambda event: None)
    assert (found.splits.task, found.splits.columns["text_pair_column"]) == ("regression", "text2")
    _, epoch, _ = time_training(config.training, found, lambda event: None)
    assert epoch > 0
