"""Paired comparisons of series: differences, ranks, who cannot be told from the best, and what could be detected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import norm, rankdata

from geneb_jax.axes import NumpyFloat
from geneb_jax.errors import UsageError
from geneb_jax.stats.aggregate import Metric, Series
from geneb_jax.stats.bootstrap import RESAMPLES, Source, task_distribution
from geneb_jax.stats.intervals import benjamini_hochberg, holm, interval, p_value
from geneb_jax.stats.samples import TaskSample
from geneb_jax.stats.uncertainty import Scope, weights_of

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


def compare(
    samples: Sequence[TaskSample] | Callable[[], Iterable[TaskSample]],
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
    again = samples if callable(samples) else lambda: samples
    held: dict[str, dict[str, set[Series]]] = {}
    categories: dict[str, str] = {}
    for sample in again():
        categories[sample.task] = sample.category
        for unit in sample.units:
            held.setdefault(unit.regime, {}).setdefault(sample.task, set()).add(unit.series)
    everyone = {
        regime: list(dict.fromkeys(s for series in tasks.values() for s in sorted(series, key=str)))
        for regime, tasks in held.items()
    }
    common = {
        regime: [task for task in categories if tasks.get(task) == set(everyone[regime])]
        for regime, tasks in held.items()
    }
    regimes = [regime for regime in held if len(everyone[regime]) > 1 and common[regime]]
    if not regimes:
        raise UsageError(
            "there are no two series to compare on a common task", cure="name runs of the same tasks, or other regimes"
        )
    shares = {regime: weights_of((task, categories[task]) for task in common[regime]) for regime in regimes}
    values: dict[tuple[str, Scope, str], NumpyFloat] = {}
    estimates: dict[tuple[str, Scope, str], NumpyFloat] = {}
    detectable: list[Detectable] = []
    ranks: list[Rank] = []
    differences: list[Difference] = []
    for sample in again():
        spread = task_distribution(sample, metric, source=source, resamples=resamples, seed=seed, influence=False)
        for regime in regimes:
            if sample.task not in shares[regime]:
                continue
            place = {unit.series: i for i, unit in enumerate(sample.units) if unit.regime == regime}
            order = [place[series] for series in everyone[regime]]
            own, estimate = spread.values[:, order], spread.estimate[order]
            detectable.append(_detectable(sample, regime, own, level))
            ranks += _ranks("task", sample.task, regime, everyone[regime], own, estimate, level)
            for (scope, name), share in shares[regime][sample.task].items():
                where = (regime, scope, name)
                values[where] = values.get(where, 0) + share * own
                estimates[where] = estimates.get(where, 0) + share * estimate
        if done is not None:
            done(sample)
    for (regime, scope, name), own in values.items():
        estimate = estimates[regime, scope, name]
        ranks += _ranks(scope, name, regime, everyone[regime], own, estimate, level)
        differences += _differences(scope, name, regime, everyone[regime], own, estimate, level)
    missing = tuple((regime, task) for regime in regimes for task in held[regime] if task not in common[regime])
    return Comparison(tuple(differences), tuple(ranks), tuple(detectable), missing)


def _differences(
    scope: Scope,
    name: str,
    regime: str,
    series: Sequence[Series],
    values: NumpyFloat,
    estimate: NumpyFloat,
    level: float,
) -> list[Difference]:
    pairs = list(combinations(np.argsort(-estimate, kind="stable"), 2))
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    found = values[:, first] - values[:, second]
    low, high = interval(found, estimate[first] - estimate[second], level=level)
    p = p_value(found)
    columns = zip(pairs, low, high, p, holm(p), benjamini_hochberg(p), strict=True)
    return [
        Difference(scope, name, regime, series[i], series[j], float(estimate[i] - estimate[j]), *map(float, rest))
        for (i, j), *rest in columns
    ]


def _ranks(
    scope: Scope,
    name: str,
    regime: str,
    series: Sequence[Series],
    values: NumpyFloat,
    estimate: NumpyFloat,
    level: float,
) -> list[Rank]:
    places = rankdata(-values, axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(places, [tail, 1 - tail], axis=0, method="inverted_cdf")
    leads = values == values.max(axis=1, keepdims=True)
    best = (leads / leads.sum(axis=1, keepdims=True)).mean(axis=0)
    leader = int(np.argmax(estimate))
    others = np.array([i for i in range(len(series)) if i != leader])
    tied = np.ones(len(series), bool)
    tied[others] = holm(p_value(values[:, [leader]] - values[:, others])) > 1 - level
    own = rankdata(-estimate)
    return [
        Rank(scope, name, regime, one, float(estimate[i]), float(own[i]), float(low[i]), float(high[i]),
             float(best[i]), bool(tied[i]))
        for i, one in enumerate(series)
    ]  # fmt: skip


def _detectable(sample: TaskSample, regime: str, values: NumpyFloat, level: float) -> Detectable:
    """Two standard errors and a bit: (z of the level + z of the power) · SE of a paired difference."""
    covariance = np.atleast_2d(np.cov(values, rowvar=False))
    i, j = np.triu_indices(len(covariance), 1)
    variance = np.diag(covariance)[i] + np.diag(covariance)[j] - 2 * covariance[i, j]
    se = float(np.median(np.sqrt(np.maximum(variance, 0))))
    return Detectable(sample.task, regime, sample.num_groups, float(norm.ppf(0.5 + level / 2) + norm.ppf(POWER)) * se)
