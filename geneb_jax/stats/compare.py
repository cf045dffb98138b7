"""Paired comparisons of series: differences, ranks, who cannot be told from the best, and what could be detected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import norm

from geneb_jax.errors import UsageError
from geneb_jax.stats.aggregate import Metric, Series
from geneb_jax.stats.bootstrap import RESAMPLES, Distribution, Source, task_distribution
from geneb_jax.stats.intervals import benjamini_hochberg, holm, interval, p_value
from geneb_jax.stats.means import CommonSums, Scope
from geneb_jax.stats.rankings import ranks
from geneb_jax.stats.samples import TaskSample

POWER = 0.8
"""Chance with which a difference of the minimum detectable size would be found."""


@dataclass(frozen=True)
class Difference:
    """`first` minus `second` in one regime and scope. `p_holm` and `p_bh` are adjusted over all pairs of that scope."""

    scope: Scope
    name: str
    regime: str
    first: Series
    second: Series
    estimate: float
    low: float
    high: float
    p: float
    p_holm: float
    p_bh: float


@dataclass(frozen=True)
class Rank:
    """The place of a series: 1 is best, `rank_low` … `rank_high` its interval over resamples.

    `best` is the share of resamples in which it leads (shared ones split). `tied`: not told from the best one at this
    level, by p-values against the best with Holm's correction.
    """

    scope: Scope
    name: str
    regime: str
    series: Series
    estimate: float
    rank: float
    rank_low: float
    rank_high: float
    best: float
    tied: bool


@dataclass(frozen=True)
class Detectable:
    """Of one task: the paired difference that would be found with a chance of `POWER`, median over pairs of series."""

    task: str
    regime: str
    num_rows: int
    difference: float


@dataclass(frozen=True)
class Comparison:
    """All of it, and the tasks that not every series has, which no mean here contains."""

    differences: tuple[Difference, ...]
    ranks: tuple[Rank, ...]
    detectable: tuple[Detectable, ...]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Rivals:
    """Series that are compared in one regime and scope, and their scores, which are paired."""

    scope: Scope
    name: str
    regime: str
    series: tuple[Series, ...]
    scores: Distribution


def compare(
    samples: Iterable[TaskSample],
    *,
    metric: Metric = "mcc",
    source: Source = "rows",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    done: Callable[[TaskSample], None] | None = None,
) -> Comparison:
    """Compare all series with each other in every regime, on the tasks that all of them have.

    The resamples of a task are the same for all series, so differences, ranks and leads are joint. Intervals are
    percentile ones.

    Raises:
        UsageError: fewer than two series share a task in any regime.
    """
    sums: CommonSums[Distribution] = CommonSums()
    by_task: list[tuple[Detectable, list[Rank]]] = []
    for sample in samples:
        regimes = sample.by_regime()
        spread = None
        if any(len(places) > 1 for places in regimes.values()):
            spread = task_distribution(sample, metric, source=source, resamples=resamples, seed=seed, influence=False)
        for regime, places in regimes.items():
            own = None if spread is None else spread[np.array(list(places.values()))]
            sums.add(regime, sample.task, sample.category, tuple(places), own)
            if own is not None and len(places) > 1:
                rivals = _Rivals("task", sample.task, regime, tuple(places), own)
                by_task.append((_detectable(rivals, sample.num_groups, level), _ranks(rivals, level)))
        if done is not None:
            done(sample)
    common = sums.common()
    if not common:
        raise UsageError(
            "there are no two series to compare on a common task", cure="name runs of the same tasks, or other regimes"
        )
    by_task = [
        (size, places)
        for size, places in by_task
        if size.regime in common and size.task not in common[size.regime].left_out
    ]
    means = [
        _Rivals(mean.scope, mean.name, regime, found.series, mean.value)
        for regime, found in common.items()
        for mean in found.means
    ]
    return Comparison(
        differences=tuple(d for rivals in means for d in _differences(rivals, level)),
        ranks=(*(r for _, places in by_task for r in places), *(r for rivals in means for r in _ranks(rivals, level))),
        detectable=tuple(size for size, _ in by_task),
        left_out=tuple((regime, task) for regime, found in common.items() for task in found.left_out),
    )


def _differences(rivals: _Rivals, level: float) -> list[Difference]:
    estimate, values = rivals.scores.estimate, rivals.scores.values
    pairs = list(combinations(np.argsort(-estimate, kind="stable"), 2))
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    found = values[:, first] - values[:, second]
    low, high = interval(found, estimate[first] - estimate[second], level=level)
    p = p_value(found)
    columns = zip(pairs, low, high, p, holm(p), benjamini_hochberg(p), strict=True)
    return [
        Difference(
            rivals.scope, rivals.name, rivals.regime, rivals.series[i], rivals.series[j],
            float(estimate[i] - estimate[j]), *map(float, rest),
        )
        for (i, j), *rest in columns
    ]  # fmt: skip


def _ranks(rivals: _Rivals, level: float) -> list[Rank]:
    estimate, values = rivals.scores.estimate, rivals.scores.values
    tail = (1 - level) / 2
    low, high = np.quantile(ranks(values), [tail, 1 - tail], axis=0, method="inverted_cdf")
    leads = values == values.max(axis=1, keepdims=True)
    best = (leads / leads.sum(axis=1, keepdims=True)).mean(axis=0)
    leader = int(np.argmax(estimate))
    others = np.array([i for i in range(len(estimate)) if i != leader])
    tied = np.ones(len(estimate), bool)
    tied[others] = holm(p_value(values[:, [leader]] - values[:, others])) > 1 - level
    own = ranks(estimate)
    return [
        Rank(rivals.scope, rivals.name, rivals.regime, one, float(estimate[i]), float(own[i]), float(low[i]),
             float(high[i]), float(best[i]), bool(tied[i]))
        for i, one in enumerate(rivals.series)
    ]  # fmt: skip


def _detectable(rivals: _Rivals, num_rows: int, level: float) -> Detectable:
    """Two standard errors and a bit: (z of the level + z of the power) · SE of a paired difference."""
    covariance = rivals.scores.covariance
    i, j = np.triu_indices(len(covariance), 1)
    variance = np.diag(covariance)[i] + np.diag(covariance)[j] - 2 * covariance[i, j]
    se = float(np.median(np.sqrt(np.maximum(variance, 0))))
    return Detectable(rivals.name, rivals.regime, num_rows, float(norm.ppf(0.5 + level / 2) + norm.ppf(POWER)) * se)
