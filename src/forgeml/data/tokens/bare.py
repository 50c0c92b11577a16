"""A tokenizer of the `tokenizers` library with the few facts that its file lacks, without transformers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer


@dataclass(frozen=True, eq=False)
class BareTokenizer:
    """A tokenizer that neither cuts nor pads. It is never changed, so threads may share it."""

    backend: Tokenizer
    pad_token_id: int
    truncation_side: str
    split_special_tokens: bool
    model_input_names: tuple[str, ...]
    eos_token_id: None = None

    @classmethod
    def open(cls, file: Path, facts: Mapping[str, Any]) -> Self:
        """Read a `tokenizer.json` that is known to be one.

        Args:
            file: of the tokenizer.
            facts: the fields besides `backend`, as `facts_of` gives them.
        """
        backend = Tokenizer.from_file(str(file))
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = facts["split_special_tokens"]
        names = tuple(facts["model_input_names"])
        return cls(backend, facts["pad_token_id"], facts["truncation_side"], facts["split_special_tokens"], names)
