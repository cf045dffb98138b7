"""Whether a vector follows from its sequence alone, seen from inside a model: its state, and what its first token sees.

Both are measured on copies with a state of their own, so that the model itself is as it was loaded when it meets its
first sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from geneb_jax.encoder.hf_advice import told
from geneb_jax.encoder.hf_state import fresh_copy
from geneb_jax.errors import EncoderError

_SAME = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 5e-2}
_BLIND = 1e-6
PROBE = "ACGTTGCAAGGCTTACCGATATCGGATTCACAGTGTCCAAGT" * 6

Read = Callable[[Any, dict[str, Any]], Any]  # a model and its inputs to the states (rows, tokens, width)


def check_history(model: Any, short: dict[str, Any], long: dict[str, Any], read: Read, *, where: str) -> None:
    """Raise EncoderError for a model whose vectors depend on what it read before; a cache that grows is no fault.

    ``short`` and ``long`` are inputs of one row each. A model that cannot be copied is left to `check_encoder`.
    """
    first, second = fresh_copy(model), fresh_copy(model)
    if first is None or second is None:
        return
    cure = "let the model's code compute such tables from each input, or for its longest one when it is made"
    with told("the model cannot read a short and then a longer sequence", where=where, cure=cure):
        seen = [read(first, inputs) for inputs in (short, long, short)]
        turned = [read(second, inputs) for inputs in (long, short)]
    pairs = ((seen[0], seen[2]), (seen[0], turned[1]), (seen[1], turned[0]))
    gap = max(_difference(a, b) for a, b in pairs)
    if not gap <= _SAME.get(seen[0].dtype, 1e-4):  # NaN is no agreement either
        raise EncoderError(
            "the model's vectors depend on what it read before: a short and a long sequence got other vectors in the "
            f"other order (relative difference {gap:.1e})",
            where=where,
            cure=f"it keeps a state between inputs, such as a mask or a table made for the first one; {cure}",
        )


def check_first_token(model: Any, inputs: Sequence[dict[str, Any]], read: Read, *, where: str) -> None:
    """Raise EncoderError where the first token has one vector whatever follows: it sees nothing of the sequence."""
    copied = fresh_copy(model)
    with told("the model cannot read a short sequence", where=where, cure="use pooling=mean"):
        first, second = (read(model if copied is None else copied, one)[:, :1] for one in inputs)
    if _difference(first, second) <= _BLIND:
        raise EncoderError(
            "pooling=cls reads the first token, which sees nothing of the sequence here: all sequences would get one "
            "vector",
            where=where,
            cure="a decoder looks back only: use pooling=mean or pooling=last",
        )


def _difference(a: Any, b: Any) -> float:
    if a.shape != b.shape:
        return float("nan")
    a, b = a.double(), b.double()
    return float((a - b).norm() / b.norm().clamp_min(1e-30))
