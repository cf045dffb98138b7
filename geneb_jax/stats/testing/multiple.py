"""Many differences tested at once: step-down max-T on joint resamples (Romano & Wolf 2005).

A *family* is the set of differences that one table makes claims about, such as all pairs of encoders of a ranking. With
d the observed difference, s its bootstrap standard error and d* its resamples, a difference has the statistic
t = \\|d\\| / s, and every resample gives t* = \\|d* - d\\| / s, what t would be if there were no difference. The
resamples are joint, so the largest t* of the family says how large the largest t gets by chance, whatever the
differences have to do with each other; the p-value of a difference is the share of resamples in which the largest t* of
those differences that are not clearer than it reaches its t. This keeps the chance of *any* false claim in the family
at or below 1 - level.

The family holds all pairs, so it does not matter that the leading encoder was picked by the same data: calling an
encoder worse than the leader that is in truth its equal is a false claim about one of the pairs, whichever of them
leads.

With few rows (or draws) a standard error is itself uncertain, and t has the tails of Student's distribution. Where its
degrees of freedom are given, an observed t counts as the standard normal quantile of the same tail.

One resample is added to every count (the add-one rule), so no p-value is below 1 / (b + 1), its *floor*, however many
differences there are. Holm's p-values of h differences are never below h times that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtri_exp
from scipy.stats import norm
from scipy.stats import t as student

from geneb_jax.axes import NumpyBool, NumpyFloat, NumpyInt
from geneb_jax.stats.testing.few_draws import FewDraws
from geneb_jax.stats.ties import above, comparable, reaches

BLOCK_NUMBERS: Final = 2_000_000
"""Statistics that are held at a time."""

_SAME: Final = 1 - 1e-12
"""Statistics that differ by rounding alone count as equal, so that a resample that repeats the data counts."""


@dataclass(frozen=True)
class Family:
    """Differences (h,) tested together at `level`, from `resamples` joint resamples.

    `p` is the step-down max-T p-value, `p_alone` that of each difference as if it were the only one. `low` … `high` are
    simultaneous intervals: estimate ± `critical` standard errors hold all differences of the family at once (`largest`
    (b,) are the sorted largest t* of the resamples). Where the
    step-down or an exact test decides otherwise than that interval, its end is moved to 0, so the two never disagree:
    `apart` is where the interval does not hold 0.
    """

    estimate: NumpyFloat
    se: NumpyFloat
    p_alone: NumpyFloat
    p: NumpyFloat
    low: NumpyFloat
    high: NumpyFloat
    apart: NumpyBool
    critical: float
    resamples: int
    level: float
    df: float
    largest: NumpyFloat

    def p_equivalent(self, within: float) -> NumpyFloat:
        """p-values (h,) of "the difference is `within` or more": at most 1 - level where the interval, which holds all
        differences at once, lies within the margin."""
        room = (within - np.abs(self.estimate)) / np.where(self.se > 0, self.se, 1)
        t = np.where(self.se > 0, room, np.where(within > np.abs(self.estimate), np.inf, -np.inf))
        z = np.where(t > 0, _as_normal(np.maximum(t, 0), self.df), 0) * _SAME
        reached = len(self.largest) - np.searchsorted(self.largest, z)
        return np.asarray(np.where(t > 0, (1 + reached) / (self.resamples + 1), 1.0))

    @property
    def floor(self) -> float:
        """The smallest p-value that there can be."""
        return smallest_p(self.resamples)

    @property
    def can_tell(self) -> bool:
        """Whether any difference, however large, could be significant."""
        return bool(reaches(1 - self.level, self.floor))


def smallest_p(resamples: int) -> float:
    """The smallest p-value that so many resamples can give."""
    return 1 / (resamples + 1)


def needed_resamples(level: float) -> int:
    """The fewest resamples with which a difference can be significant."""
    return int(np.ceil(1 / (1 - level) - 1 - 1e-9))


def pair_family(
    estimate: NumpyFloat,
    values: NumpyFloat,
    first: NumpyInt,
    second: NumpyInt,
    *,
    level: float = 0.95,
    exact: NumpyFloat | None = None,
    df: float = np.inf,
    covariance: NumpyFloat | None = None,
    few_draws: FewDraws | None = None,
) -> Family:
    """The differences `first` (h,) minus `second` (h,) of scores (n,) with joint resamples (b, n), as in `family`.

    covariance: (n, n) of the scores, where it is not that of the resamples (which are spread wider than the standard
    errors where draws are few).
    few_draws: where draws are few, what their part is; joint resamples do not suffice then (`FewDraws`).
    """
    estimate, values = comparable(estimate), comparable(values)

    def drawn(rows: slice) -> NumpyFloat:
        block = values[rows]
        found: NumpyFloat = block[:, first] - block[:, second]
        return found

    se = None
    if covariance is not None:
        variance = np.diag(covariance)
        total = variance[first] + variance[second]
        rest = total - 2 * covariance[first, second]
        # of two equal columns rounding alone is left
        se = np.sqrt(np.where(rest > 1e-12 * total, rest, 0))
    return _family(estimate[first] - estimate[second], drawn, len(values), level, exact, df, se, few_draws)


def family(
    estimate: NumpyFloat,
    values: NumpyFloat,
    *,
    level: float = 0.95,
    exact: NumpyFloat | None = None,
    df: float = np.inf,
) -> Family:
    """Differences (h,) with joint resamples (b, h).

    df: degrees of freedom of the standard errors, such as the rows less one.
    exact: p-values (h,) of an exact test of each difference where so few rows differ that resamples cannot be trusted
    (`geneb_jax.stats.testing.exact`), NaN elsewhere. Such a difference counts as significant only where its exact
    p-value, after Bonferroni's correction over all that have one, is small as well; one that could not become
    significant whatever its rows say takes no part in the family (Tarone 1990).
    """
    values = np.asarray(values, np.float64)
    estimate = np.asarray(estimate, np.float64)
    return _family(estimate, lambda rows: values[rows], len(values), level, exact, df, None, None)


def _family(
    estimate: NumpyFloat,
    drawn: Callable[[slice], NumpyFloat],
    b: int,
    level: float,
    exact: NumpyFloat | None,
    df: float,
    se: NumpyFloat | None,
    few_draws: FewDraws | None,
) -> Family:
    h = len(estimate)
    step = max(1, BLOCK_NUMBERS // max(h, 1))
    blocks = [slice(start, min(start + step, b)) for start in range(0, b, step)]
    if se is None:
        total, squares = np.zeros(h), np.zeros(h)
        for rows in blocks:
            off = drawn(rows) - estimate
            total += off.sum(axis=0)
            squares += np.einsum("bh,bh->h", off, off)
        se = np.sqrt(np.maximum(squares - total**2 / b, 0) / max(b - 1, 1))
    fixed = se <= 1e-12 * np.maximum(1, np.abs(estimate))
    scale = np.where(fixed, np.inf, se)
    # what never varies differs for certain, or not at all
    observed = np.where(fixed, np.where(np.abs(estimate) > 1e-12, np.inf, 0), _as_normal(np.abs(estimate) / scale, df))
    tested = np.ones(h, bool) if exact is None else ~above(exact, 1 - level)
    # the least clear difference first, so that a running maximum is that over all that are not clearer
    order = np.lexsort((observed, tested))
    sorted_t = observed[order] * _SAME
    alone, joint, largest = np.zeros(h), np.zeros(h), np.empty(b)
    for rows in blocks:
        t = np.abs(drawn(rows) - estimate) / scale
        t = t[:, order]
        alone += (t >= sorted_t).sum(axis=0)
        t[:, ~tested[order]] = 0
        np.maximum.accumulate(t, axis=1, out=t)
        joint += (t >= sorted_t).sum(axis=0)
        largest[rows] = t[:, -1] if h else 0
    p_alone, p = np.empty(h), np.empty(h)
    p_alone[order] = (alone + 1) / (b + 1)
    p[order] = np.maximum.accumulate(((joint + 1) / (b + 1))[::-1])[::-1]
    p = np.where(tested, p, p_alone)
    critical = _as_student(_critical(largest, level), df)
    if exact is not None:
        few = np.isfinite(exact)
        p_alone = np.where(few, np.fmax(p_alone, exact), p_alone)
        # an untested difference is never significant, so it costs the others nothing
        adjusted = np.where(tested, np.minimum(1, exact * max((few & tested).sum(), 1)), exact)
        p = np.where(few, np.fmax(p, adjusted), p)
    p = np.maximum(p, p_alone)
    if few_draws is not None:
        p_alone = np.where(fixed, p_alone, np.maximum(p_alone, few_draws.p(estimate)))
        p = np.where(fixed, p, np.maximum(p, few_draws.holm(estimate)))
    apart = reaches(1 - level, p) & (estimate != 0)
    margin = np.where(fixed, 0, critical * se) if np.isfinite(critical) else np.full(h, np.inf)
    if few_draws is not None:
        wider = few_draws.margins(level)
        margin = np.maximum(margin, wider)
        critical = max(critical, float(np.median(wider[~fixed] / se[~fixed]))) if not fixed.all() else critical
    low, high = estimate - margin, estimate + margin
    low = np.where(apart & (estimate > 0), np.maximum(low, 0), np.where(apart, low, np.minimum(low, 0)))
    high = np.where(apart & (estimate < 0), np.minimum(high, 0), np.where(apart, high, np.maximum(high, 0)))
    return Family(estimate, se, p_alone, p, low, high, apart, critical, b, level, df, np.sort(largest))


def _critical(largest: NumpyFloat, level: float) -> float:
    """What |t| must exceed for a p-value of at most 1 - level at the first step; infinite where none can."""
    allowed = int(np.floor((1 - level) * (len(largest) + 1) + 1e-9))
    return float("inf") if allowed < 1 else float(np.sort(largest)[len(largest) - allowed])


def _as_normal(t: NumpyFloat, df: float) -> NumpyFloat:
    """Standard normal quantiles of the same tails as Student's t (h,)."""
    return t if np.isinf(df) else np.asarray(-ndtri_exp(student.logsf(t, df)), np.float64)


def _as_student(z: float, df: float) -> float:
    """The reverse, of one."""
    return z if np.isinf(df) or np.isinf(z) else float(student.isf(norm.sf(z), df))


def all_pairs(n: int) -> tuple[NumpyInt, NumpyInt]:
    """The n(n-1)/2 pairs i < j."""
    first, second = np.triu_indices(n, 1)
    return first, second


def rank_bounds(n: int, first: NumpyInt, second: NumpyInt, found: Family) -> tuple[NumpyInt, NumpyInt]:
    """The first and the last place that each of n can have: with all pairs in the family, all n places are right at
    once with the family's level (Mogstad, Romano, Shaikh & Wilhelm 2024)."""
    better = np.where(found.estimate > 0, first, second)[found.apart]
    worse = np.where(found.estimate > 0, second, first)[found.apart]
    low = 1 + np.bincount(worse, minlength=n)
    high = n - np.bincount(better, minlength=n)
    return low, high
