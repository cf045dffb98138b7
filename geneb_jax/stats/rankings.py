"""Agreement of rankings: ranks, Spearman's and Kendall's correlation, and how many of the best two rankings share.

Everything works on the last axis and broadcasts over the others, so that all resamples are one call. Ties are usual
(two encoders with one score), and no result depends on the order in which tied ones stand. Scores tie where
`geneb_jax.stats.ties` calls them equal.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from geneb_jax.axes import NumpyFloat
from geneb_jax.errors import UsageError
from geneb_jax.stats.ties import comparable


def ranks(values: NumpyFloat, axis: int = -1) -> NumpyFloat:
    """Ranks along an axis: 1 is the largest, equal values share the mean of their places, NaN has none (NaN)."""
    return np.asarray(rankdata(-comparable(values), axis=axis, nan_policy="omit"), np.float64)


def spearman(a: NumpyFloat, b: NumpyFloat) -> NumpyFloat:
    """Spearman's rho (...) of scores (..., n): Pearson's correlation of their ranks.

    NaN where one side is constant or holds a NaN.
    """
    return correlation(rank_profile(a), rank_profile(b))


def kendall(a: NumpyFloat, b: NumpyFloat) -> NumpyFloat:
    """Kendall's tau-b (...) of scores (..., n): pairs in one order minus pairs in opposite orders, corrected for ties.

    NaN where one side is constant or holds a NaN.
    """
    return correlation(order_profile(a), order_profile(b))


def rank_profile(values: NumpyFloat) -> NumpyFloat:
    """Of scores (..., n) the vectors (..., n) of length 1 whose `correlation` is Spearman's; NaN where constant."""
    places = ranks(values)
    return _unit(places - places.mean(axis=-1, keepdims=True))


def order_profile(values: NumpyFloat) -> NumpyFloat:
    """Of scores (..., n) the vectors (..., n(n-1)/2) of length 1 whose `correlation` is Kendall's tau-b.

    Every pair's entry has the sign of its difference. NaN where all scores are equal.
    """
    values = comparable(values)
    i, j = np.triu_indices(values.shape[-1], 1)
    return _unit(np.sign(values[..., i] - values[..., j]))


def correlation(a: NumpyFloat, b: NumpyFloat) -> NumpyFloat:
    """The correlation (...) of two profiles (..., p) of one kind."""
    found: NumpyFloat = (a * b).sum(axis=-1)
    return found


def top_overlap(a: NumpyFloat, b: NumpyFloat, top: int) -> NumpyFloat:
    """Share (...) of the `top` best of scores (..., n) that are among the `top` best of both.

    Where equal scores stand across the border, the places left are shared equally among them. Raises UsageError.
    """
    return shared_places(membership(a, top), membership(b, top))


def shared_places(a: NumpyFloat, b: NumpyFloat) -> NumpyFloat:
    """Share (...) of the places that two memberships (..., n) have in common."""
    found: NumpyFloat = np.minimum(a, b).sum(axis=-1) / a.sum(axis=-1)
    return found


def membership(values: NumpyFloat, top: int) -> NumpyFloat:
    """Whether each of scores (..., n) is among the `top` best: 1, 0, or if tied across the border a share of a place.

    Raises:
        UsageError: there are not `top` scores.
    """
    values = comparable(values)
    if not 1 <= top <= values.shape[-1]:
        raise UsageError(
            f"the best {top} of {values.shape[-1]} cannot be taken", cure=f"take from 1 to {values.shape[-1]}"
        )
    others = values[..., None, :]
    ahead = (others > values[..., None]).sum(axis=-1)
    equal = np.maximum((others == values[..., None]).sum(axis=-1), 1)
    found: NumpyFloat = np.clip((top - ahead) / equal, 0, 1)
    return found


def _unit(vectors: NumpyFloat) -> NumpyFloat:
    """Vectors (..., p) divided by their length; NaN where it is 0."""
    length = np.sqrt((vectors**2).sum(axis=-1, keepdims=True))
    found: NumpyFloat = vectors / np.where(length == 0, np.nan, length)
    return found
