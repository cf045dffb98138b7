"""How far the rankings under two settings agree: correlations, shared leaders, and encoders that change order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from geneb_jax.axes import NumpyBool, NumpyFloat
from geneb_jax.stats.intervals import interval
from geneb_jax.stats.means import Scope
from geneb_jax.stats.rankings import correlation, shared_places
from geneb_jax.stats.sensitivity.scores import MeanScores
from geneb_jax.stats.sensitivity.settings import NONE, Axis, Setting
from geneb_jax.stats.ties import reaches

FEWEST: Final = 3
"""Encoders without which a ranking says nothing."""

ALL: Final = "all"
"""The regime of comparisons on the axis of shots, which lie between regimes."""


@dataclass(frozen=True)
class Estimate:
    """A number with its percentile interval; None where the encoders all tie, or nothing was resampled."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Flip:
    """Two encoders that change places: `ahead` leads under `first`, `behind` under `second`, by these differences.

    `p_first` and `p_second` are p-values of the paired bootstrap, adjusted (step-down max-T) over all pairs of encoders
    of each setting; the flip is `real` where both are significant, None where nothing was resampled.
    """

    ahead: str
    behind: str
    lead_first: float
    lead_second: float
    p_first: float | None
    p_second: float | None
    real: bool | None


@dataclass(frozen=True)
class Comparison:
    """Two settings that differ on one axis. `context` says in words what is held; `shared` is the overlap of the best.

    The draws behind the estimates are in `values`: (3, 1 + b) of spearman, kendall, shared; row 0 the estimate.
    """

    axis: Axis
    first: Setting
    second: Setting
    regime: str
    scope: Scope
    name: str
    num_encoders: int
    num_pairs: int
    values: NumpyFloat
    flips: tuple[Flip, ...]


@dataclass(frozen=True)
class Agreement:
    """Two values of an axis in one regime and mean, over all contexts: mean correlations, and the lowest Spearman.

    `num_pairs` counts pairs of encoders over all contexts, `num_flips` those that change order, `num_real` those of
    them that the paired test holds for real in both settings.
    """

    axis: Axis
    first: str
    second: str
    regime: str
    scope: Scope
    name: str
    num_contexts: int
    spearman: Estimate
    kendall: Estimate
    shared: Estimate
    lowest: float | None
    lowest_at: str
    num_pairs: int
    num_flips: int
    num_real: int | None


def compare_settings(
    scores: MeanScores, axis: Axis, pairs: Iterable[tuple[Setting, Setting]], *, level: float
) -> Iterator[Comparison]:
    """Compare the rankings of each pair of settings, over the encoders that have both."""
    for first, second in pairs:
        a, b = scores.estimates[first], scores.estimates[second]
        present = np.isfinite(a) & np.isfinite(b)
        count = int(present.sum())
        if count < FEWEST:
            continue
        x, y = scores.profile(first, present), scores.profile(second, present)
        found = [correlation(x.ranks, y.ranks), correlation(x.orders, y.orders), shared_places(x.best, y.best)]
        yield Comparison(
            axis, first, second, ALL if axis == "shots" else first.shots, scores.scope, scores.name, count,
            count * (count - 1) // 2, np.stack(found), tuple(find_flips(scores, first, second, present, level=level)),
        )  # fmt: skip


def find_flips(
    scores: MeanScores, first: Setting, second: Setting, present: NumpyBool, *, level: float
) -> Iterator[Flip]:
    """Pairs of encoders with one order under the first setting and the opposite under the second; no ties."""
    names = scores.study.encoders
    a, b = scores.estimates[first], scores.estimates[second]
    p, q = scores.p(first), scores.p(second)
    for i, j in combinations(np.flatnonzero(present), 2):
        if (a[i] - a[j]) * (b[i] - b[j]) >= 0:
            continue
        i, j = (i, j) if a[i] > a[j] else (j, i)
        known = np.isfinite(p[i, j]) and np.isfinite(q[i, j])
        yield Flip(
            names[i], names[j], float(a[i] - a[j]), float(b[j] - b[i]),
            float(p[i, j]) if known else None, float(q[i, j]) if known else None,
            bool(reaches(1 - level, max(p[i, j], q[i, j]))) if known else None,
        )  # fmt: skip


def summarise(comparisons: Sequence[Comparison], *, level: float) -> list[Agreement]:
    """Comparisons of the same two values, regime and mean, put together over their contexts."""
    groups: dict[tuple[Axis, str, str, str, Scope, str], list[Comparison]] = {}
    for one in comparisons:
        words = one.first.value(one.axis), one.second.value(one.axis)
        groups.setdefault((one.axis, *words, one.regime, one.scope, one.name), []).append(one)
    return [_agreement(key, group, level) for key, group in groups.items()]


def _agreement(key: tuple[Axis, str, str, str, Scope, str], group: Sequence[Comparison], level: float) -> Agreement:
    values = np.stack([one.values for one in group])
    means = [estimate(mean_of_known(values[:, row]), level) for row in range(values.shape[1])]
    rho = values[:, 0, 0]
    least = int(np.argmin(np.where(np.isnan(rho), np.inf, rho)))
    flips = [flip for one in group for flip in one.flips]
    axis, first, second, regime, scope, name = key
    return Agreement(
        axis, first, second, regime, scope, name, len(group), means[0], means[1], means[2],
        None if np.isnan(rho[least]) else float(rho[least]), context_words(group[least]),
        sum(one.num_pairs for one in group), len(flips),
        sum(flip.real is True for flip in flips) if values.shape[2] > 1 else None,
    )  # fmt: skip


def context_words(one: Comparison) -> str:
    """What is held in a comparison, in words; C where only one of the two probes has it as well."""
    more = one.first if one.second.C == NONE else one.second
    return more.words(skip={one.axis, *(() if one.axis == "shots" else ("shots",))})


def mean_of_known(values: NumpyFloat) -> NumpyFloat:
    """Means (1 + b,) of values (c, 1 + b) that are numbers; NaN where none is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=0)
    found: NumpyFloat = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
    return found


def estimate(values: NumpyFloat, level: float) -> Estimate:
    """The estimate in place 0 of (1 + b,), and the percentile interval of the others that are numbers."""
    drawn = values[1:][np.isfinite(values[1:])]
    if np.isnan(values[0]):
        return Estimate(None, None, None)
    if not drawn.size:
        return Estimate(float(values[0]), None, None)
    low, high = interval(drawn, values[0], level=level)
    return Estimate(float(values[0]), float(low), float(high))
