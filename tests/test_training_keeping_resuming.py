"""Whether a run may go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forgeml.config.schema import Config
from forgeml.errors import ConfigError
from forgeml.training.keeping.checkpoints import Checkpoint, Damaged
from forgeml.training.keeping.resuming import asked, check_same, differing, facts, passed_over, pinned
from forgeml.training.materials import gather


def _checkpoint(same: dict[str, Any], near: dict[str, Any] | None = None) -> Checkpoint:
    return Checkpoint(Path("step-3"), 3, {"facts": {"same": same, "near": near or {}}})


def test_facts_are_the_same_of_the_same_run(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """Also after they were written as JSON; what has no part in the weights is not among them."""
    found = [
        facts(config, gather(config, lambda event: None))
        for folder in ("one", "other")
        for config in [Config.model_validate({**tiny_settings, "output_dir": str(tmp_path / folder)})]
    ]
    written = json.loads(json.dumps(found[0]))
    assert written == found[1]
    assert {"data", "model", "training.learning_rate", "logging.eval_interval"} <= set(written["same"])
    assert not {"output_dir", "training.keep_checkpoints", "logging.log_interval"} & set(written["same"])
    assert {"torch", "threads", "device", "precision", "processes"} <= set(written["near"])
    check_same(_checkpoint(**written), found[1], ())
    assert list(differing(_checkpoint(**written), found[1])) == []


def test_all_that_differs_is_named_with_both_values() -> None:
    """And what may be done about each."""
    with pytest.raises(ConfigError) as refused:
        check_same(_checkpoint({"training.seed": 1, "data": "a"}), {"same": {"training.seed": 2, "data": "b"}}, ())
    text = str(refused.value)
    assert "--fresh starts over" in text
    assert "training.seed: 1 then, 2 now" in text
    assert "data: the rows are not those that the run began with" in text
    assert "--allow-changed training.seed" in text
    check_same(_checkpoint({"training.seed": 1}), {"same": {"training.seed": 2}}, ["training.seed"])


def test_other_machine_or_version_is_told() -> None:
    """It is no reason to refuse: the run is the same but for the last bits."""
    (note,) = differing(_checkpoint({}, {"torch": "2.0", "threads": 2}), {"near": {"torch": "2.1", "threads": 2}})
    assert note.warning
    assert "not be the same bit for bit: torch 2.0 then, 2.1 now" in note.text


def test_recorded_commits_are_taken_again(tiny_settings: dict[str, Any]) -> None:
    """So a branch that has moved on makes no difference, and the hub need not be asked; another model has its own."""
    for revision in (None, "main"):
        model = {**tiny_settings["model"], "revision": revision}
        config = Config.model_validate({**tiny_settings, "model": model})
        state = {"commits": {"model": "a" * 40, "data": None}, "asked": json.loads(json.dumps(asked(config)))}
        checkpoint = Checkpoint(Path("step-3"), 3, state)
        assert pinned(config, checkpoint).model.revision == "a" * 40
        assert pinned(config, checkpoint).data.revision is None
        assert pinned(config, None) is config
        other = Config.model_validate({**tiny_settings, "model": {**model, "name": "another"}})
        assert pinned(other, checkpoint) == other


def test_damaged_ones_are_told() -> None:
    """With the file that is damaged."""
    (note,) = passed_over([Damaged(Path("step-3"), "state.json is missing")])
    assert (note.warning, note.text) == (True, "step-3 is passed over: state.json is missing")
