"""Hooks that let a transformers classifier take packed batches beside padded ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from forgeml.batch import LowerStates
from forgeml.model.packed.attention import Passage
from forgeml.model.packed.linear import compute_in

Given = tuple[Any, ...]
"""Arguments of a module by place."""
Named = dict[str, Any]
"""And by name."""
Output = torch.Tensor | tuple[Any, ...]
"""Of a block: hidden states, shape (1, tokens, width), alone or with more behind them."""


@dataclass
class Hooks:
    """What is done to a packed batch on its way; padded batches pass untouched."""

    blocks: tuple[torch.nn.Module, ...]
    """Those that attend, each once."""
    depth: int
    """Times that a text passes through a block; more than the number of blocks where these share weights."""
    first_position: int = 0
    """That of a text's first token."""
    key_and_value: tuple[torch.nn.Module, torch.nn.Module] | None = None
    """Layers of the last block that make keys and values. None: that block works out all tokens, not only the first."""
    compute_dtype: torch.dtype = torch.float32
    """Of the numbers between the blocks."""
    frozen: int = 0
    """Of the lowest blocks, those that a batch passes over whose states behind them are known."""
    in_tuples: bool = False
    """Whether the blocks give their states with more behind them."""
    handles: list[Any] = field(default_factory=list)

    def install(self, model: torch.nn.Module) -> None:
        """Hang the hooks into the model."""
        self.handles.append(model.register_forward_pre_hook(self._number_positions, with_kwargs=True))
        for block in self.blocks:
            self.handles.append(block.register_forward_pre_hook(self._enter, with_kwargs=True))
            self.handles.append(block.register_forward_hook(self._leave, with_kwargs=True))

    def compute_in(self, dtype: torch.dtype) -> None:
        """Let the blocks compute in a type of 16 bits, for packed batches and from now on."""
        self.compute_dtype = dtype
        for block in self.blocks:
            compute_in(block, dtype)

    def pass_over(self, frozen: int) -> bool:
        """Pass over the lowest blocks, so many, where the states behind them are known; whether that is possible."""
        # Where blocks share their weights, or none is left to be trained, there is nothing to be passed over.
        if not 0 < frozen < self.depth == len(self.blocks):
            return False
        self.frozen = frozen
        for block in self.blocks[:frozen]:
            block.forward = partial(self._forward, block.forward)
        return True

    def remove(self) -> None:
        """Leave the model as it was."""
        while self.handles:
            self.handles.pop().remove()

    def _number_positions(self, model: torch.nn.Module, given: Given, named: Named) -> tuple[Given, Named] | None:
        if named.get("packing") is None or not self.first_position:
            return None
        return given, {**named, "position_ids": named["position_ids"] + self.first_position}

    def _enter(self, block: torch.nn.Module, given: Given, named: Named) -> tuple[Given, Named] | None:
        passage: Passage | None = named.get("packing")
        if passage is None:
            return None
        passage.blocks_entered += 1
        states = given[0] if given else named["hidden_states"]
        entering = states
        if passage.blocks_entered == 1:
            entering = entering.to(self.compute_dtype)
        if self.frozen and passage.lower:
            entering = self._remember(passage, passage.lower, entering)
        if passage.blocks_entered == self.depth and self.key_and_value:
            whole, (key, value) = entering, self.key_and_value
            passage.whole = lambda: (key(whole), value(whole))
            entering = whole[:, passage.layout.starts]
        if entering is states:
            return None
        return ((entering, *given[1:]), named) if given else (given, {**named, "hidden_states": entering})

    def _remember(self, passage: Passage, lower: LowerStates, entering: torch.Tensor) -> torch.Tensor:
        """What enters a block: known states in front of the first one that is trained, where they are known."""
        if passage.blocks_entered == 1:
            known = lower.known()
            if known is not None:
                filling = entering.shape[1] - len(known)
                states = torch.nn.functional.pad(known.to(entering.device), (0, 0, 0, filling))
                passage.known = states[None].to(entering.dtype)
        if passage.blocks_entered != self.frozen + 1:
            return entering
        if passage.known is None:
            lower.keep(entering[0, : passage.layout.tokens])
            return entering
        return passage.known

    def _forward(self, original: Callable[..., Output], *given: Any, **named: Any) -> Output:
        """A frozen block, or nothing at all where what comes behind it is known."""
        passage: Passage | None = named.get("packing")
        if passage is None or passage.known is None:
            return original(*given, **named)
        states = given[0] if given else named["hidden_states"]
        return (states,) if self.in_tuples else states

    def _leave(self, block: torch.nn.Module, given: Given, named: Named, output: Output) -> Output | None:
        self.in_tuples = not isinstance(output, torch.Tensor)
        passage: Passage | None = named.get("packing")
        if passage is None or passage.blocks_entered < self.depth:
            return None
        states = output if isinstance(output, torch.Tensor) else output[0]
        if passage.whole is None:
            states = states[:, passage.layout.starts]
        # As the head of a padded batch finds it: the first token of each text in its place. A head is small, so that
        # its 32 bits cost nothing. A copy, as models whose weights are divided among processes complain of views.
        first = states.float().view(-1, 1, states.shape[-1]).clone()
        return first if isinstance(output, torch.Tensor) else (first, *output[1:])
