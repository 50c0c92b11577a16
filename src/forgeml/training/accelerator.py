"""Accelerate, set up for a run: device, precision, and the processes that share it."""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import (
    DistributedDataParallelKwargs,
    FullyShardedDataParallelPlugin,
    GradientAccumulationPlugin,
)

from forgeml.machine import is_set
from forgeml.records import Runtime


def build_accelerator(
    runtime: Runtime, *, autocast: bool = True, model: torch.nn.Module | None = None, unreached: bool = False
) -> Accelerator:
    """Accelerate on the chosen device, with the processes that were started together.

    Args:
        runtime: what to compute on.
        autocast: whether to see to the precision; otherwise the model does so itself.
        model: that will be prepared; where each process is to have a part of it, it is divided by its layers.
        unreached: whether the model has weights that its output does not depend on.
    """
    # Its state is shared by the whole process and would keep the settings of an earlier run.
    AcceleratorState._reset_state(reset_partial_state=True)
    if runtime.device.startswith("cuda:"):
        torch.cuda.set_device(runtime.device)
    mixed = runtime.precision if autocast and runtime.precision != "fp32" else "no"
    copies = DistributedDataParallelKwargs(find_unused_parameters=unreached, gradient_as_bucket_view=True)
    return Accelerator(
        mixed_precision=mixed,
        cpu=runtime.device == "cpu",
        step_scheduler_with_optimizer=False,
        # The mean over all examples is taken here; what `accelerate launch` was told must not divide it again.
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        kwargs_handlers=[copies],
        fsdp_plugin=_division(model),
    )


def _division(model: torch.nn.Module | None) -> FullyShardedDataParallelPlugin | None:
    """How a model is divided among processes; None leaves it to what Accelerate was told.

    Told nothing, it would take the blocks that transformers keeps whole, and fail over the embeddings among them, which
    it divides once more by themselves.
    """
    if model is None or not is_set("ACCELERATE_USE_FSDP") or os.environ.get("FSDP_TRANSFORMER_CLS_TO_WRAP"):
        return None
    rows = [list(module) for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    layers = {type(layer).__name__ for row in rows if len(row) > 1 for layer in row}
    return FullyShardedDataParallelPlugin(transformer_cls_names_to_wrap=sorted(layers))
