"""The head that came with a model: what of it goes on when the model is tuned for the classes of other data."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.modeling_utils import PreTrainedModel

CLASSES_SHOWN = 8
RAREST = 1e-4
"""A class that is rarer, or absent from as few texts, begins as if it were not."""


def fit_head(
    model: PreTrainedModel, known: Sequence[str], wanted: Sequence[str], absent: Set[str], misshapen: Set[str]
) -> str:
    """Put a head that was trained for the wanted classes in another order into theirs.

    Args:
        model: with the head as it came; its last linear layer has one output for each class.
        known: names of the classes that the head was trained for, in its order.
        wanted: names of the classes in the order of the data.
        absent: names of the weights that did not come with the model.
        misshapen: names of the weights that came in another shape.

    Returns:
        A sentence on what became of the head; empty if it fits as it is, or if none came.
    """
    if any(not in_base(name, model) for name in misshapen):
        return f"its head for {len(known)} classes gives way to a new one for {len(wanted)}"
    came_whole = all(in_base(name, model) for name in absent)
    return _carry_over(model, known, wanted) if came_whole else ""


def start_at_base_rates(model: PreTrainedModel, rates: NDArray[np.float64]) -> None:
    """Let a fresh head for several classes begin with how often each class occurs, instead of with one half.

    Otherwise the first hundred steps push all classes down together, which the encoder follows until it says the same
    of every text. The remedy is that of Lin et al. 2017, "Focal Loss for Dense Object Detection", section 3.3. A head
    that was trained before has biases of its own, and a head may have none.

    Args:
        model: whose last linear layer has an output for each class.
        rates: share of the training texts that have the class, shape (classes,).
    """
    last = _last_layer(model)
    if last.bias is None or last.out_features != len(rates) or last.bias.any():
        return
    inside = np.clip(rates, RAREST, 1 - RAREST)
    with torch.no_grad():
        last.bias.copy_(torch.from_numpy(np.log(inside / (1 - inside))))


def in_base(name: str, model: PreTrainedModel) -> bool:
    """Whether a weight is the encoder's and not the head's."""
    return name.startswith(f"{model.base_model_prefix}.")


def _carry_over(model: PreTrainedModel, known: Sequence[str], wanted: Sequence[str]) -> str:
    if list(known) == list(wanted):
        return ""
    # Published models write NEGATIVE where the data have negative.
    places = {name.casefold(): place for place, name in enumerate(known)}
    order = [places.get(name.casefold(), -1) for name in wanted]
    if sorted(order) != list(range(len(known))):
        return f"its head was trained for {_listed(known)}, in this order; these classes are now {_listed(wanted)}"
    if order == sorted(order):
        return ""
    last = _last_layer(model)
    with torch.no_grad():
        for weights in last.parameters():
            weights.copy_(weights[order])
    return f"its head has the classes in another order, {_listed(known)}; they are put into that of the data"


def _last_layer(model: PreTrainedModel) -> torch.nn.Linear:
    """The layer whose outputs are the classes."""
    return [part for part in model.modules() if isinstance(part, torch.nn.Linear)][-1]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:CLASSES_SHOWN]) + (", ..." if len(names) > CLASSES_SHOWN else "")
