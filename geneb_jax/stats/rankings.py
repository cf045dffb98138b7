"""Agreement of rankings: ranks, Spearman's and Kendall's correlation, and how many of the best two rankings share.

Everything works on the last axis and broadcasts over the others, so that all resamples are one call. Ties are usual
(two encoders with one score), and no result depends on the order in which tied ones stand.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from geneb_jax.axes import NumpyFloat
from geneb_jax.errors import UsageError


def ranks(values: NumpyFloat, axis: int = -1) -> NumpyFloat:
    """Ranks along an axis: 1 is the largest, equal values share the mean of their places, NaN has none (NaN)."""
    return np.asarray(rankdata(-np.asarray(values, np.float64), axis=axis, nan_policy="omit"), np.float64)


def spearman(a: NumpyFloat, b: NumpyFloat) -> NumpyFloat:
    """Spearman's rho (...) of scores (..., n): Pearson's correlation of their ranks.

    NaN where one side is constant or holds a NaN.
    """
    return _cosine(*(one - one.mean(axis=-1, keepdims=True) for one in (ranks(a), ranks(b))))


def kendall(a: NumpyFloat, b: NumpyFloat) -> NumpyFloat:
    """Kendall's tau-b (...) of scores (..., n): pairs in one order minus pairs in opposite orders, corrected for ties.

    NaN where one side is constant or holds a NaN.
    """
    return _cosine(*(_orders(np.asarray(one, np.float64)) for one in (a, b)))


def top_overlap(a: NumpyFloat, b: NumpyFloat, top: int) -> NumpyFloat:
    """Share (...) of the `top` best of scores (..., n) that are among the `top` best of both.

    Where equal scores stand across the border, the places left are shared equally among them.

    Raises:
        UsageError: there are not `top` scores.
    """
    n = np.shape(a)[-1]
    if not 1 <= top <= n:
        raise UsageError(f"the best {top} of {n} cannot be taken", cure=f"take from 1 to {n}")
    found: NumpyFloat = np.minimum(_membership(a, top), _membership(b, top)).sum(axis=-1) / top
    return found


def _cosine(a: NumpyFloat, b: NumpyFloat) -> NumpyFloat:
    """Σ ab / √(Σ a² Σ b²) over the last axis; NaN where a side is all zeros."""
    size = (a**2).sum(axis=-1) * (b**2).sum(axis=-1)
    found: NumpyFloat = np.where(size == 0, np.nan, (a * b).sum(axis=-1) / np.sqrt(np.where(size == 0, 1, size)))
    return found


def _orders(values: NumpyFloat) -> NumpyFloat:
    """Of every pair (..., n(n-1)/2): 1 where the first is larger, -1 where the second is, 0 for a tie."""
    i, j = np.triu_indices(values.shape[-1], 1)
    found: NumpyFloat = np.sign(values[..., i] - values[..., j])
    return found


def _membership(values: NumpyFloat, top: int) -> NumpyFloat:
    """Whether each (..., n) is among the `top` best: 1, 0, or for those tied across the border a share of a place."""
    values = np.asarray(values, np.float64)
    others = values[..., None, :]
    ahead = (others > values[..., None]).sum(axis=-1)
    equal = np.maximum((others == values[..., None]).sum(axis=-1), 1)
    found: NumpyFloat = np.clip((top - ahead) / equal, 0, 1)
    return found
