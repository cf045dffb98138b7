"""Confidence intervals from bootstrap values: percentile, basic and BCa.

Definitions as in Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 14, and the multi-sample
acceleration of their section 14.5; quantiles by linear interpolation.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from scipy.stats import norm

from geneb_jax.axes import NumpyFloat
from geneb_jax.errors import UsageError

Method = Literal["percentile", "basic", "bca"]
METHODS: Final[tuple[Method, ...]] = ("percentile", "basic", "bca")


def interval(
    values: NumpyFloat,
    estimate: NumpyFloat,
    *,
    level: float = 0.95,
    method: Method = "percentile",
    acceleration: NumpyFloat | float = 0.0,
) -> tuple[NumpyFloat, NumpyFloat]:
    """Lower and upper ends (...) at `level`, from bootstrap values (b, ...) of estimates (...).

    BCa corrects the median's bias by the share of values below the estimate (half of those equal to it count, since a
    score of few rows repeats its values), and skewness by `acceleration`. Where values are all on one side of the
    estimate, or NaN, its ends are NaN.
    """
    if not 0 < level < 1:
        raise UsageError(f"the level must lie between 0 and 1, not {level}", cure="0.95 is usual")
    values, estimate = np.asarray(values, np.float64), np.asarray(estimate, np.float64)
    tail = (1 - level) / 2
    if method == "bca":
        below = ((values < estimate).sum(axis=0) + 0.5 * (values == estimate).sum(axis=0)) / len(values)
        with np.errstate(all="ignore"):
            bias = norm.ppf(below)
            shifted = [bias + norm.ppf(q) for q in (tail, 1 - tail)]
            low, high = (norm.cdf(bias + z / (1 - acceleration * z)) for z in shifted)
        constant = (values == estimate).all(axis=0)
        low, high = np.where(constant, tail, low), np.where(constant, 1 - tail, high)
        return _quantile(values, low), _quantile(values, high)
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return (low, high) if method == "percentile" else (2 * estimate - high, 2 * estimate - low)


def _quantile(values: NumpyFloat, share: NumpyFloat) -> NumpyFloat:
    """The quantile of each column (b, ...) at its own share (...); NaN where the share is no number."""
    shape = np.shape(share)
    flat, share = values.reshape(len(values), -1), np.ravel(share)
    found = [np.quantile(column, q) if np.isfinite(q) else np.nan for column, q in zip(flat.T, share, strict=True)]
    return np.asarray(found, np.float64).reshape(shape)


def holm(p: NumpyFloat) -> NumpyFloat:
    """p-values (t,) adjusted for the family-wise error rate (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    t = len(p)
    steps = np.maximum.accumulate(p[order] * (t - np.arange(t)))
    out = np.empty(t)
    out[order] = np.minimum(1, steps)
    return out


def benjamini_hochberg(p: NumpyFloat) -> NumpyFloat:
    """p-values (t,) adjusted for the false discovery rate (Benjamini & Hochberg 1995)."""
    order = np.argsort(p, kind="stable")
    t = len(p)
    steps = np.minimum.accumulate((p[order] * t / np.arange(1, t + 1))[::-1])[::-1]
    out = np.empty(t)
    out[order] = np.minimum(1, steps)
    return out
