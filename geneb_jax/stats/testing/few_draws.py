"""Differences whose variance is in part that of a few draws: the tests of Behrens and Fisher, and many of them.

The variance of a difference has a part from test rows, known well, and one from K draws, known with K - 1 degrees of
freedom. With R and D these two, the difference over its standard error is spread as √R·normal + √D·t(K-1), over √(R+D).

Of many differences each has a D of its own. Joint resamples share one, so where draws are few the largest statistic of
a family is larger by chance than they show: with five draws and forty equal encoders two thirds of the families would
hold a false claim. Such families are tested by Holm's correction of the p-values below as well, which asks nothing of
how the statistics depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy.stats import chi2, norm

from geneb_jax.axes import NumpyFloat
from geneb_jax.stats.intervals import holm

ENOUGH: Final = 100
"""Draws from which on joint resamples are enough."""

_STRATA: Final = 240
_SMALLEST: Final = 1e-14
"""Probability of the last stratum of the scale of t: p-values far above it are right to a hundredth of themselves."""


@dataclass(frozen=True)
class FewDraws:
    """Of differences (h,) the variances from rows and from draws, and the degrees of freedom of the latter."""

    rows: NumpyFloat
    draws: NumpyFloat
    df: float

    def p(self, difference: NumpyFloat) -> NumpyFloat:
        """Two-sided p-values (h,) of "there is no difference", each alone."""
        total = self.rows + self.draws
        safe = np.where(total > 0, total, 1)
        z = np.where(total > 0, np.abs(difference) / np.sqrt(safe), np.where(difference == 0, 0, np.inf))
        return tails(z, self.draws / safe, self.df)

    def holm(self, difference: NumpyFloat) -> NumpyFloat:
        """The same, adjusted over all of them."""
        return holm(self.p(difference))

    def margins(self, level: float, *, alone: bool = False) -> NumpyFloat:
        """Half widths (h,) of intervals that hold all differences at once (Bonferroni), or each alone."""
        total = self.rows + self.draws
        share = np.where(total > 0, self.draws / np.where(total > 0, total, 1), 0)
        grid, quantiles = _quantiles((1 - level) / (1 if alone else max(len(total), 1)), self.df)
        return np.asarray(np.interp(share, grid, quantiles) * np.sqrt(total))


def tails(z: NumpyFloat, share: NumpyFloat, df: float) -> NumpyFloat:
    """P(|√(1-share)·normal + √share·t(df)| > z), elementwise over (h,)."""
    squares, weights = _scales(df)
    spread = np.sqrt((1 - share)[..., None] + share[..., None] * squares)
    return np.asarray(2 * norm.sf(z[..., None] / spread) @ weights)


@lru_cache(maxsize=16)
def _scales(df: float) -> tuple[NumpyFloat, NumpyFloat]:
    """df/χ² and weights: strata of the χ²'s distribution that are finer where it is small and t therefore large."""
    low = np.geomspace(_SMALLEST, 0.1, _STRATA // 2)
    edges = np.concatenate([[0], low, np.linspace(0.1, 1, _STRATA // 2 + 1)[1:]])
    middle = (edges[1:] + edges[:-1]) / 2
    return df / chi2.ppf(middle, df), np.diff(edges)


@lru_cache(maxsize=64)
def _quantiles(alpha: float, df: float) -> tuple[NumpyFloat, NumpyFloat]:
    """Over a grid of shares the z whose `tails` are alpha."""
    grid = np.concatenate([[0], np.geomspace(1e-4, 1, 60)])
    low, high = np.zeros(len(grid)), np.full(len(grid), 1e7)
    for _ in range(80):
        # between numbers of very different size halving the logarithm is quicker
        middle = np.sqrt((low + 1e-3) * (high + 1e-3))
        above = tails(middle, grid, df) > alpha
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return grid, high
