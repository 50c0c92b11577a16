"""Attention inside each text of a packed batch, and not across them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from forgeml.batch import LowerStates
from forgeml.model.packed.dropout import draw_seed, keep_mask
from forgeml.model.packed.layout import Group, Layout

NAME = "forgeml_packed"
"""What the attention is called in a model's configuration."""

HARMLESS = frozenset({"position_ids", "use_cache", "output_attentions", "output_hidden_states", "return_dict"})
"""What models hand on to their attention, and what does not change it."""


@dataclass(frozen=True)
class Weighing:
    """How products of queries and keys become weights."""

    scaling: float
    """Factor on the products."""
    dropout: float
    """Probability of a weight to be dropped."""


LONG_ROW = 32
"""Weights of a token from which on torch's softmax of short numbers computes many at once, backward."""

Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None, Weighing], torch.Tensor]


class UnpackableError(Exception):
    """The model's attention is of a kind that this one does not know."""


@dataclass
class Passage:
    """One packed batch on its way through the model."""

    layout: Layout
    lower: LowerStates | None = None
    """Of the tokens behind frozen blocks, where these are remembered."""
    known: torch.Tensor | None = None
    """What is remembered of them, shape (1, tokens, width)."""
    blocks_entered: int = 0
    seen: list[tuple[torch.nn.Module, int, int]] = field(default_factory=list)
    """For each attention so far: the module, and the addresses of its keys and of its values."""
    whole: Callable[[], tuple[torch.Tensor, torch.Tensor]] | None = None
    """In a block that only works out first tokens: gives keys and values of all tokens, shape (1, tokens, width)."""


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it: of a packed batch if there is one, of a padded batch otherwise.

    Args:
        module: that attends.
        query: shape (1, heads, tokens, head width), or of the first tokens alone: (1, heads, texts, head width).
        key: shape (1, heads, tokens, head width).
        value: as `key`.
        attention_mask: of a padded batch.
        options: what else the model hands on; `packing`, the `Passage` of a packed batch, `scaling` and `dropout`.

    Returns:
        Shape (1, tokens or texts, heads, head width), and no weights.

    Raises:
        UnpackableError: the model attends in a way that is not known here.
    """
    passage: Passage | None = options.pop("packing", None)
    if passage is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    heads, width = query.shape[1], query.shape[3]
    scaling = options.pop("scaling", None)
    weighing = Weighing(width**-0.5 if scaling is None else scaling, options.pop("dropout", 0.0))
    _refuse_unknown(query, key, options)
    passage.seen.append((module, key.data_ptr(), value.data_ptr()))
    if passage.whole is None:
        keys, values = (tensor[0].transpose(0, 1) for tensor in (key, value))
    else:
        keys, values = (tensor.view(-1, heads, width) for tensor in passage.whole())
    queries = query[0].transpose(0, 1)
    attend = _attend_at_once if _has_kernel(queries, weighing) else _attend_in_groups
    return attend(passage.layout, (queries, keys, values), weighing)[None], None


def _refuse_unknown(query: torch.Tensor, key: torch.Tensor, options: Mapping[str, Any]) -> None:
    unknown = [
        name for name, given in options.items() if name not in HARMLESS and given is not None and given is not False
    ]
    if unknown or query.shape[:2] != (1, key.shape[1]):
        raise UnpackableError(f"attention with {', '.join(unknown) or 'shared heads'}")


AttentionInterface.register(NAME, packed_attention)
# Without a mask for the padding, which a packed batch has none of, this one gives none.
AttentionMaskInterface.register(NAME, sdpa_mask)

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Queries, shape (tokens or texts, heads, head width), keys and values, shape (tokens, heads, head width)."""


def _has_kernel(queries: torch.Tensor, weighing: Weighing) -> bool:
    """Whether torch has a kernel for texts of different lengths: on CUDA, in 16 bits, without dropout."""
    return queries.is_cuda and not weighing.dropout and queries.dtype in (torch.bfloat16, torch.float16)


def _attend_at_once(layout: Layout, tensors: Tensors, weighing: Weighing) -> torch.Tensor:
    queries, keys, values = tensors
    if len(queries) != len(keys):
        firsts = torch.arange(len(queries) + 1, dtype=torch.int32, device=queries.device)
        between = firsts, layout.bounds, 1, layout.longest
    else:
        # The filling counts as one more text: what the kernel passes over would be left as it was in memory.
        filling = len(queries) - layout.tokens
        bounds = torch.nn.functional.pad(layout.bounds, (0, 1), value=len(queries)) if filling else layout.bounds
        longest = max(layout.longest, filling)
        between = bounds, bounds, longest, longest
    # Without auxiliary results asked for it gives a tensor.
    return varlen_attn(queries, keys, values, *between, scale=weighing.scaling)  # type: ignore[return-value]


def _attend_in_groups(layout: Layout, tensors: Tensors, weighing: Weighing) -> torch.Tensor:
    parts = [_attend_in_group(group, tensors, weighing) for group in layout.groups]
    queries, keys, _ = tensors
    filling = len(queries) - layout.tokens if len(queries) == len(keys) else 0
    if filling:
        parts.append(queries.new_zeros(filling, *queries.shape[1:]))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _attend_in_group(group: Group, tensors: Tensors, weighing: Weighing) -> torch.Tensor:
    queries, keys, values = tensors
    _, heads, width = queries.shape
    rows = group.count, group.longest, heads, width
    first_only = len(queries) != len(keys)

    def side_by_side(tensor: torch.Tensor) -> torch.Tensor:
        """Shape (texts * heads, longest, head width)."""
        own = tensor[group.tokens].reshape(-1, heads * width)
        own = own if group.filled is None else own.index_select(0, group.filled)
        return own.view(rows).transpose(1, 2).reshape(-1, group.longest, width)

    asking = queries[group.texts].reshape(-1, 1, width) if first_only else side_by_side(queries)
    bias = None if group.bias is None else group.bias.repeat_interleave(heads, 0)
    attended = _KERNELS.get(queries.device.type, _library_kernel)(
        asking, side_by_side(keys), side_by_side(values), bias, weighing
    )
    if first_only:
        return attended.view(-1, heads, width)
    attended = attended.view(group.count, heads, group.longest, width).transpose(1, 2).reshape(-1, heads * width)
    attended = attended if group.kept is None else attended.index_select(0, group.kept)
    return attended.view(-1, heads, width)


class _Attention(torch.autograd.Function):
    """Plain products and a softmax in fp32: on a processor faster, forward and backward, than torch's own attention."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        bias: torch.Tensor | None,
        weighing: Weighing,
    ) -> torch.Tensor:
        scores = _product(query, key.transpose(1, 2), weighing.scaling)
        if bias is not None:
            scores.add_(bias.to(scores.dtype))
        weights = torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
        ctx.save_for_backward(query, key, value, weights)
        ctx.weighing, ctx.seed = weighing, draw_seed() if weighing.dropout else 0
        mask, factor = _dropout_of(weights, weighing, ctx.seed)
        return _product(weights if mask is None else mask.mul_(weights), value, factor)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, weights = ctx.saved_tensors
        (gradient,) = gradients
        mask, factor = _dropout_of(weights, ctx.weighing, ctx.seed)
        to_weights = _product(gradient, value.transpose(1, 2), factor)
        to_weights = to_weights if mask is None else to_weights.mul_(mask)
        kept = weights if mask is None else mask.mul_(weights)
        to_value = _product(kept.transpose(1, 2), gradient, factor)
        to_scores = _through_softmax(to_weights, weights)
        to_query = _product(to_scores, key, ctx.weighing.scaling)
        return to_query, _product(to_scores.transpose(1, 2), query, ctx.weighing.scaling), to_value, None, None


def _dropout_of(weights: torch.Tensor, weighing: Weighing, seed: int) -> tuple[torch.Tensor | None, float]:
    """Which weights are kept, and the factor that makes up for the others."""
    return keep_mask(seed, weights.shape, weighing.dropout, weights.dtype) if weighing.dropout else (None, 1.0)


def _through_softmax(gradient: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The gradient before a softmax, from that behind it and the weights that it gave."""
    backward: Callable[..., torch.Tensor] = torch.ops.aten._softmax_backward_data
    # For short rows of short numbers torch has only a slow way.
    if weights.shape[-1] >= LONG_ROW or weights.dtype == torch.float32:
        return backward(gradient, weights, -1, weights.dtype)
    return backward(gradient.float(), weights.float(), -1, torch.float32).to(weights.dtype)


def _product(left: torch.Tensor, right: torch.Tensor, factor: float) -> torch.Tensor:
    """Products of matrices times a factor."""
    return torch.baddbmm(left.new_empty(()), left, right, beta=0, alpha=factor)


def _own_kernel(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None, weighing: Weighing
) -> torch.Tensor:
    attended: torch.Tensor = _Attention.apply(query, key, value, bias, weighing)  # type: ignore[no-untyped-call]
    return attended


def _library_kernel(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None, weighing: Weighing
) -> torch.Tensor:
    mask = None if bias is None else bias.to(query.dtype)
    return torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=weighing.dropout, scale=weighing.scaling
    )


_KERNELS: dict[str, Kernel] = {"cpu": _own_kernel}
"""By kind of device; all others take torch's own attention."""
