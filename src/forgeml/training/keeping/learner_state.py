"""What of a learner a checkpoint holds, and how it is given back to one that was built anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from forgeml.errors import MachineError
from forgeml.training.loop import Learner

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Tensors = dict[str, torch.Tensor]
WEIGHT, MOMENT = "model", "optimizer"
"""What the names of tensors begin with."""


def tensors_of(learner: Learner, model: PreTrainedModel) -> Tensors:
    """Trained weights, buffers, and what the optimizer has of each weight.

    Weights that are not trained are those that the run began with, and so need not be kept. Random numbers need not
    either: each step draws them anew from (seed, step).
    """
    kept: Tensors = {f"{WEIGHT}.{name}": weight.detach() for name, weight in _changing(model).items()}
    states = learner.optimizer.state_dict()["state"]
    for index, name in enumerate(_in_order(learner, model)):
        for key, value in states.get(index, {}).items():
            kept[f"{MOMENT}.{name}.{key}"] = value if torch.is_tensor(value) else torch.tensor(value)
    return kept


def settings_of(learner: Learner) -> dict[str, Any]:
    """What is not a tensor: learning rates, their course, and the scale of fp16."""
    scaler = learner.accelerator.scaler
    return {
        "learning_rates": [float(group["lr"]) for group in learner.optimizer.param_groups],
        "scaler": scaler.state_dict() if scaler else None,
    }


def put_back(
    learner: Learner,
    model: PreTrainedModel,
    step: int,
    tensors: Mapping[str, torch.Tensor],
    settings: Mapping[str, Any],
) -> None:
    """Bring a learner that was built anew to where it was after a step.

    Raises:
        MachineError: the checkpoint does not have what this learner needs.
    """
    names = _in_order(learner, model)
    try:
        with torch.no_grad():
            for name, weight in _changing(model).items():
                weight.copy_(tensors[f"{WEIGHT}.{name}"])
        kept = learner.optimizer.state_dict()
        kept["state"] = {index: state for index, name in enumerate(names) if (state := _moments(name, tensors))}
        learner.optimizer.load_state_dict(kept)
        rates = settings["learning_rates"]
        for group, rate in zip(learner.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        learner.schedule.last_epoch, learner.schedule._last_lr = step, list(rates)
        if learner.accelerator.scaler and settings["scaler"]:
            learner.accelerator.scaler.load_state_dict(settings["scaler"])
    except (LookupError, RuntimeError, ValueError) as error:
        what = f"the checkpoint of step {step} does not fit this model: {error}"
        raise MachineError.at("checkpoint", what, "--fresh starts over") from error


def _moments(name: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """The optimizer's tensors of one weight, by their own names."""
    prefix = f"{MOMENT}.{name}."
    return {
        # A copy, since these tensors lie in the checkpoint's file, whose room on the disk is wanted back.
        key.removeprefix(prefix): value.clone()
        for key, value in tensors.items()
        if key.startswith(prefix) and "." not in key.removeprefix(prefix)
    }


def _changing(model: PreTrainedModel) -> Tensors:
    """Weights that are trained, and buffers that are saved, by name."""
    weights: Tensors = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    saved = model.state_dict().keys()
    return weights | {name: buffer for name, buffer in model.named_buffers() if name in saved}


def _in_order(learner: Learner, model: PreTrainedModel) -> list[str]:
    """Names of the weights in the order in which the optimizer counts them."""
    names = {id(weight): name for name, weight in model.named_parameters()}
    return [names[id(weight)] for group in learner.optimizer.param_groups for weight in group["params"]]
