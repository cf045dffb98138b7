"""Paired tests over tasks: would the order of encoders be the same on other tasks of this kind?

Scores of n encoders on t tasks are enough; no predictions are needed, so the published board can be tested. The tasks
are the sample. For two encoders of equal strength the difference of their scores on a task is as likely to be d as -d,
so turning the signs of whole tasks around (all pairs of encoders at once) shows what differences arise by chance. Tasks
that share their data turn together, as a *cluster*.

The statistic of a pair is its mean difference, or the sum of the signed ranks of its differences (Wilcoxon 1945),
divided by what that varies by under turned signs. The largest of these over all pairs keeps the family-wise error,
step-down, as in `geneb_jax.stats.testing.multiple`. With few clusters every way to turn them is tried, which makes the
test exact, and the smallest p-value that there can be is 2 / 2^clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from scipy.stats import binom, rankdata

from geneb_jax.axes import NumpyBool, NumpyFloat, NumpyInt
from geneb_jax.errors import UsageError
from geneb_jax.stats.rankings import ranks
from geneb_jax.stats.testing.multiple import BLOCK_NUMBERS, all_pairs
from geneb_jax.stats.ties import reaches

TaskTest = Literal["wilcoxon", "mean"]
TASK_TESTS: Final[tuple[TaskTest, ...]] = ("wilcoxon", "mean")
FLIPS: Final = 10_000
_SAME: Final = 1e-9
"""By which statistics may differ from rounding alone."""


@dataclass(frozen=True)
class TaskTests:
    """All pairs `first` (h,), `second` (h,) of encoders over t tasks.

    `difference` is the weighted mean of score differences. `p` is the step-down max-T p-value over all pairs, `p_alone`
    that of each pair alone. `wins` and `losses` count tasks, `p_sign` is the sign test's, alone. `mean_rank` (n,) has 1
    for the encoder that is best on every task, `borda` (n,) counts the encoders beaten, summed over tasks, ties half.
    `floor` is the smallest p-value that so few tasks, or flips, can give. `direction` is the sign (h,) of the
    statistic, which need not be that of the mean difference.
    """

    first: NumpyInt
    second: NumpyInt
    difference: NumpyFloat
    p_alone: NumpyFloat
    p: NumpyFloat
    wins: NumpyInt
    losses: NumpyInt
    p_sign: NumpyFloat
    mean_rank: NumpyFloat
    borda: NumpyFloat
    num_tasks: int
    num_clusters: int
    floor: float
    test: TaskTest
    level: float
    direction: NumpyFloat

    @property
    def apart(self) -> NumpyBool:
        """Which pairs differ."""
        found: NumpyBool = reaches(1 - self.level, self.p)
        return found

    @property
    def can_tell(self) -> bool:
        """Whether any pair, however clear, could differ."""
        return bool(reaches(1 - self.level, self.floor))

    @property
    def better(self) -> NumpyBool:
        """(n, n): whether the first is told to be better than the second. The sign is that of the tested statistic."""
        n = len(self.mean_rank)
        found = np.zeros((n, n), bool)
        up = self.direction > 0
        better, worse = np.where(up, self.first, self.second), np.where(up, self.second, self.first)
        found[better[self.apart], worse[self.apart]] = True
        return found


def compare_over_tasks(
    scores: NumpyFloat,
    *,
    weights: NumpyFloat | None = None,
    clusters: Sequence[object] | None = None,
    test: TaskTest = "wilcoxon",
    level: float = 0.95,
    flips: int = FLIPS,
    seed: int = 0,
) -> TaskTests:
    """Test all pairs of encoders with `scores` (n, t), none missing.

    weights: of the tasks (t,) in the mean, such as `macro_weights`; all alike by default. Signed ranks have no weights.
    clusters: of the tasks (t,), any labels; those of one label turn together.

    Raises:
        UsageError: fewer than two encoders or tasks, or a missing score.
    """
    scores = np.asarray(scores, np.float64)
    n, t = scores.shape
    if n < 2 or t < 2:
        raise UsageError(
            f"a test over tasks needs two encoders and two tasks, not {n} and {t}", cure="name runs of more tasks"
        )
    if not np.isfinite(scores).all():
        raise UsageError("a score is missing", cure="test over the tasks that every encoder has")
    share = np.full(t, 1 / t) if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
    _, cluster = np.unique([str(one) for one in (range(t) if clusters is None else clusters)], return_inverse=True)
    num_clusters = int(cluster.max()) + 1
    first, second = all_pairs(n)
    raw = scores[first] - scores[second]
    raw[np.abs(raw) < _SAME] = 0
    items = raw * share if test == "mean" else np.sign(raw) * rankdata(np.where(raw == 0, np.nan, np.abs(raw)),
                                                                     axis=1, nan_policy="omit")  # fmt: skip
    items = np.nan_to_num(items)
    by_cluster = np.zeros((len(first), num_clusters))
    np.add.at(by_cluster.T, cluster, items.T)
    spread = np.sqrt((by_cluster**2).sum(axis=1))
    unit = (by_cluster / np.where(spread > 0, spread, 1)[:, None]).T
    signs, exact = _signs(num_clusters, flips, seed)
    statistic = unit.sum(axis=0)
    p_alone, p = _step_down(np.abs(statistic), signs, unit, exact)
    wins, losses = (raw > 0).sum(axis=1), (raw < 0).sum(axis=1)
    places = ranks(scores.T).T
    return TaskTests(
        first, second, raw @ share, p_alone, p, wins, losses,
        np.minimum(1, 2 * binom.cdf(np.minimum(wins, losses), wins + losses, 0.5)),
        places.mean(axis=1), (n - places).sum(axis=1), t, num_clusters,
        2 / len(signs) if exact else 1 / (len(signs) + 1), test, level, np.sign(statistic),
    )  # fmt: skip


def _signs(clusters: int, flips: int, seed: int) -> tuple[NumpyFloat, bool]:
    """Signs (b, c): all 2^c ways where these are not more than `flips`, else so many random ones."""
    if 2**clusters <= flips:
        codes = np.arange(2**clusters)[:, None] >> np.arange(clusters) & 1
        return 1.0 - 2.0 * codes, True
    generator = np.random.default_rng((seed, clusters))
    return generator.integers(0, 2, (flips, clusters)) * 2.0 - 1, False


def _step_down(observed: NumpyFloat, signs: NumpyFloat, unit: NumpyFloat, exact: bool) -> tuple[NumpyFloat, NumpyFloat]:
    """p-values (h,) alone and step-down, from statistics (h,) and their parts by cluster (c, h)."""
    order = np.argsort(observed, kind="stable")
    least = observed[order] - _SAME
    alone, joint = np.zeros(len(order)), np.zeros(len(order))
    step = max(1, BLOCK_NUMBERS // len(order))
    for start in range(0, len(signs), step):
        t = np.abs(signs[start : start + step] @ unit[:, order])
        alone += (t >= least).sum(axis=0)
        joint += (np.maximum.accumulate(t, axis=1) >= least).sum(axis=0)
    added, total = (0, len(signs)) if exact else (1, len(signs) + 1)
    p_alone, p = np.empty(len(order)), np.empty(len(order))
    p_alone[order] = (alone + added) / total
    p[order] = np.maximum.accumulate(((joint + added) / total)[::-1])[::-1]
    return p_alone, p


def macro_weights(categories: Sequence[str]) -> NumpyFloat:
    """Weights (t,) of the tasks in the mean of the categories' means."""
    names, of, counts = np.unique(list(categories), return_inverse=True, return_counts=True)
    found: NumpyFloat = 1 / (counts[of] * len(names))
    return found


def groups_not_apart(order: Sequence[int], better: NumpyBool) -> list[tuple[int, int]]:
    """The bars of a critical-difference diagram: stretches (from, to) of places in `order` in which no two encoders are
    told apart, none inside another, each of at least two."""
    apart = (better | better.T)[np.ix_(order, order)]
    found: list[tuple[int, int]] = []
    for start in range(len(order)):
        end = start
        while end + 1 < len(order) and not apart[start : end + 1, end + 1].any():
            end += 1
        if end > start and (not found or end > found[-1][1]):
            found.append((start, end))
    return found


def adjacent_apart(order: Sequence[int], better: NumpyBool) -> int:
    """How many neighbours in an order are told apart, whichever of them is the better."""
    return sum(bool(better[i, j] or better[j, i]) for i, j in pairwise(order))


def tasks_better(p: NumpyFloat, *, level: float = 0.95) -> tuple[int, NumpyBool]:
    """On at least how many tasks an encoder is the better one, and on which for certain, from one-sided p-values (t,).

    The number is the largest u for which "better on fewer than u tasks" is rejected: (t - u + 1) times the u-th
    smallest p-value, which holds whatever the tasks have to do with each other (partial conjunction; Dror, Baumer,
    Bogomolov & Reichart 2017). It is right with the level. Which tasks: those that survive Holm's correction.
    """
    p = np.asarray(p, np.float64)
    t = len(p)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate((t - np.arange(t)) * p[order])
    count = int(reaches(1 - level, steps).sum())
    named = np.zeros(t, bool)
    named[order[:count]] = True
    return count, named
