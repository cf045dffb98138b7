"""Paired comparisons of series: differences, ranks, who cannot be told from the best, and what could be detected.

Every claim about a ranking (who is tied with the leader, which places an encoder can have, which pairs differ, and by
how much) comes from one family of tests over all its pairs (`geneb_jax.stats.testing.multiple`), so no two can
disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np

from geneb_jax.axes import NumpyInt
from geneb_jax.errors import UsageError
from geneb_jax.stats.aggregate import Metric, Series
from geneb_jax.stats.bootstrap import RESAMPLES, Distribution, Source, task_distribution
from geneb_jax.stats.intervals import benjamini_hochberg, holm
from geneb_jax.stats.means import CommonSums, Scope
from geneb_jax.stats.rankings import ranks
from geneb_jax.stats.samples import TaskSample
from geneb_jax.stats.testing.equivalence import Rope, Verdict, rope, tost, verdict
from geneb_jax.stats.testing.exact import exact_p, wins
from geneb_jax.stats.testing.multiple import Family, pair_family, rank_bounds
from geneb_jax.stats.testing.planning import POWER as POWER
from geneb_jax.stats.testing.planning import detectable, reach
from geneb_jax.stats.ties import leaders, order_of


@dataclass(frozen=True)
class Equivalence:
    """Of a difference, with a margin `within`: what the interval that holds all pairs says.

    `p` is the p-value of "not equivalent", adjusted for all pairs; `p_alone` is that of two one-sided tests; `rope`
    says how the resamples lie about the region.
    """

    within: float
    verdict: Verdict
    p: float
    p_alone: float
    rope: Rope


@dataclass(frozen=True)
class Difference:
    """`first` minus `second` in one regime and scope.

    `p` is the p-value of this pair alone. `p_max_t`, `p_holm` and `p_bh` are adjusted over all pairs of that scope;
    `low` … `high` holds all of these pairs at once. The pair is `apart` where `p_max_t` says so, and then the interval
    does not hold 0.
    """

    scope: Scope
    name: str
    regime: str
    first: Series
    second: Series
    estimate: float
    low: float
    high: float
    p: float
    p_max_t: float
    p_holm: float
    p_bh: float
    apart: bool
    equivalence: Equivalence | None = None


@dataclass(frozen=True)
class Rank:
    """The place of a series: 1 is best, `rank_low` … `rank_high` the places that no test rules out, for all at once.

    `best` is the share of resamples in which it leads (shared ones split). `tied`: not told from the series with the
    highest estimate.
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
    """Of one task: the paired difference that would be found with a chance of `POWER` at least, median over pairs of
    series.

    `difference` is for two series that are compared alone, `adjusted` for one pair among all pairs of the task;
    None where the resamples are too few to tell anything.
    """

    task: str
    regime: str
    num_rows: int
    difference: float | None
    adjusted: float | None


@dataclass(frozen=True)
class Ranking:
    """How the claims about one ranking were tested: pairs, resamples, and the smallest p-values that these can give.

    `can_tell`: whether any difference, however large, could be significant.
    """

    scope: Scope
    name: str
    regime: str
    num_pairs: int
    resamples: int
    level: float
    smallest_p: float
    smallest_holm: float
    critical: float
    can_tell: bool


@dataclass(frozen=True)
class Comparison:
    """All of it, and the tasks that not every series has, which no mean here contains."""

    differences: tuple[Difference, ...]
    ranks: tuple[Rank, ...]
    rankings: tuple[Ranking, ...]
    detectable: tuple[Detectable, ...]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Paired:
    """Scores of U series that are paired, on how many rows (U, U) each of them alone is right, and the degrees of
    freedom of what is resampled (rows less one). Those of tasks add up; a mean has the rows of all its tasks.

    `rows` is whether test rows were resampled, so that the exact test of rows applies.
    """

    scores: Distribution
    wins: NumpyInt
    df: float
    rows: bool

    def __add__(self, other: Self) -> Paired:
        return Paired(self.scores + other.scores, self.wins + other.wins, self.df + other.df, self.rows)

    def __mul__(self, share: float) -> Paired:
        return Paired(self.scores * share, self.wins, self.df, self.rows)


@dataclass(frozen=True)
class Rivals:
    """Series that are compared in one regime and scope, their scores, and the tests of all pairs."""

    scope: Scope
    name: str
    regime: str
    series: tuple[Series, ...]
    scores: Distribution
    first: NumpyInt
    second: NumpyInt
    discordant: NumpyInt
    tests: Family

    @classmethod
    def of(
        cls, scope: Scope, name: str, regime: str, series: tuple[Series, ...], paired: Paired, level: float
    ) -> Rivals:
        """The tests of all pairs at `level`, the better one first."""
        order = order_of(paired.scores.estimate, [str(one) for one in series])
        i, j = np.triu_indices(len(order), 1)
        first, second = order[i], order[j]
        exact = exact_p(paired.wins[first, second], paired.wins[second, first]) if paired.rows else None
        tests = pair_family(
            paired.scores.estimate, paired.scores.values, first, second, level=level, exact=exact,
            df=max(paired.df, 1) if paired.rows else np.inf, covariance=paired.scores.covariance,
            few_draws=paired.scores.few_draws(first, second),
        )  # fmt: skip
        discordant = paired.wins[first, second] + paired.wins[second, first]
        return cls(scope, name, regime, series, paired.scores, first, second, discordant, tests)


def compare(
    samples: Iterable[TaskSample],
    *,
    metric: Metric = "mcc",
    source: Source = "both",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    within: float | None = None,
    done: Callable[[TaskSample], None] | None = None,
) -> Comparison:
    """Compare all series with each other in every regime, on the tasks that all of them have.

    The resamples of a task are the same for all series, so differences, ranks and leads are joint. within: a margin
    below which differences do not matter.

    Raises:
        UsageError: fewer than two series share a task in any regime.
    """
    sums: CommonSums[Paired] = CommonSums()
    by_task: list[tuple[Rivals, int]] = []
    for sample in samples:
        regimes = sample.by_regime()
        spread = None
        if any(len(places) > 1 for places in regimes.values()):
            spread = task_distribution(sample, metric, source=source, resamples=resamples, seed=seed, influence=False)
        for regime, places in regimes.items():
            own = None
            if spread is not None and len(places) > 1:
                units = np.array(list(places.values()))
                own = Paired(spread[units], paired_wins(sample, units), sample.num_groups - 1, source != "draws")
                by_task.append((Rivals.of("task", sample.task, regime, tuple(places), own, level), sample.num_groups))
            sums.add(regime, sample.task, sample.category, tuple(places), own)
        if done is not None:
            done(sample)
    common = sums.common()
    if not common:
        raise UsageError(
            "there are no two series to compare on a common task", cure="name runs of the same tasks, or other regimes"
        )
    kept = [
        (rivals, size)
        for rivals, size in by_task
        if rivals.regime in common and rivals.name not in common[rivals.regime].left_out
    ]
    means = [
        Rivals.of(mean.scope, mean.name, regime, found.series, mean.value, level)
        for regime, found in common.items()
        for mean in found.means
    ]
    every = [*(rivals for rivals, _ in kept), *means]
    return Comparison(
        differences=tuple(d for rivals in means for d in _differences(rivals, within)),
        ranks=tuple(r for rivals in every for r in _ranks(rivals)),
        rankings=tuple(_ranking(rivals) for rivals in every),
        detectable=tuple(_detectable(rivals, size) for rivals, size in kept),
        left_out=tuple((regime, task) for regime, found in common.items() for task in found.left_out),
    )


def paired_wins(sample: TaskSample, units: NumpyInt) -> NumpyInt:
    """Rows (or groups) of which each unit has more right than each other one, over its draws."""
    right = np.stack(
        [(sample.predicted[list(sample.units[i].draws)] == sample.truth).mean(axis=0) for i in units]
    )  # fmt: skip
    if sample.groups is not None:
        of, grouped = sample.groups, np.zeros((len(right), sample.num_groups))
        for row, own in zip(grouped, right, strict=True):
            row += np.bincount(of, own, minlength=len(row))
        right = grouped
    return wins(right)


def _differences(rivals: Rivals, within: float | None) -> list[Difference]:
    found = rivals.tests
    equal = None if within is None else _equivalences(rivals, within)
    by_holm, by_bh = holm(found.p_alone), benjamini_hochberg(found.p_alone)
    return [
        Difference(
            rivals.scope, rivals.name, rivals.regime, rivals.series[i], rivals.series[j], float(found.estimate[row]),
            float(found.low[row]), float(found.high[row]), float(found.p_alone[row]), float(found.p[row]),
            float(by_holm[row]), float(by_bh[row]), bool(found.apart[row]), None if equal is None else equal[row],
        )
        for row, (i, j) in enumerate(zip(rivals.first, rivals.second, strict=True))
    ]  # fmt: skip


def _equivalences(rivals: Rivals, within: float) -> list[Equivalence]:
    found, values = rivals.tests, rivals.scores.values
    p, alone = found.p_equivalent(within), tost(found.estimate, found.se, within, found.df)
    few = rivals.scores.few_draws(rivals.first, rivals.second)
    if few is not None:
        room = within - np.abs(found.estimate)
        each = np.where(room > 0, few.p(np.maximum(room, 0)), 1)
        p, alone = np.maximum(p, np.minimum(1, len(each) * each)), np.maximum(alone, each / 2)
    return [
        Equivalence(
            within, verdict(found.low[row], found.high[row], within), float(p[row]), float(alone[row]),
            rope(values[:, i] - values[:, j], within),
        )
        for row, (i, j) in enumerate(zip(rivals.first, rivals.second, strict=True))
    ]  # fmt: skip


def _ranks(rivals: Rivals) -> list[Rank]:
    estimate, values = rivals.scores.estimate, rivals.scores.values
    low, high = rank_bounds(len(estimate), rivals.first, rivals.second, rivals.tests)
    leads = leaders(values)
    best = (leads / leads.sum(axis=1, keepdims=True)).mean(axis=0)
    leader = rivals.first[0]
    tied = np.ones(len(estimate), bool)
    tied[rivals.second[(rivals.first == leader) & rivals.tests.apart]] = False
    own = ranks(estimate)
    return [
        Rank(rivals.scope, rivals.name, rivals.regime, one, float(estimate[i]), float(own[i]), float(low[i]),
             float(high[i]), float(best[i]), bool(tied[i]))
        for i, one in enumerate(rivals.series)
    ]  # fmt: skip


def _ranking(rivals: Rivals) -> Ranking:
    tests = rivals.tests
    pairs = len(tests.p)
    return Ranking(
        rivals.scope, rivals.name, rivals.regime, pairs, tests.resamples, tests.level, tests.floor,
        min(1.0, pairs * tests.floor), tests.critical, tests.can_tell,
    )  # fmt: skip


def _detectable(rivals: Rivals, num_rows: int) -> Detectable:
    tests = rivals.tests
    if not tests.can_tell:
        return Detectable(rivals.name, rivals.regime, num_rows, None, None)
    se, discordant = float(np.median(tests.se)), float(np.median(rivals.discordant)) / num_rows
    alone = reach(tests.level, POWER, df=max(num_rows - 1, 1))
    few = rivals.scores.few_draws(rivals.first, rivals.second)
    if few is not None and se > 0:
        margin = float(np.median(few.margins(tests.level, alone=True))) / se
        alone = max(alone, reach(tests.level, POWER, critical=margin))
    among_all = reach(tests.level, POWER, critical=tests.critical)
    found = [detectable(se, num_rows, discordant, factor=max(factor, alone)) for factor in (alone, among_all)]
    return Detectable(rivals.name, rivals.regime, num_rows, *found)
