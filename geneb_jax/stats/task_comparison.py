"""Encoders compared over tasks: from a table of scores by task to places, pairs and what may be said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.errors import UsageError
from geneb_jax.stats.aggregate import Metric, Series
from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.bootstrap import RESAMPLES, Source, task_distribution
from geneb_jax.stats.means import Scope
from geneb_jax.stats.samples import TaskSample
from geneb_jax.stats.testing.equivalence import Rope, TaskEquivalence, signed_rank, tost_over_tasks
from geneb_jax.stats.testing.multiple import pair_family
from geneb_jax.stats.testing.over_tasks import (
    TaskTest,
    adjacent_apart,
    compare_over_tasks,
    groups_not_apart,
    macro_weights,
    tasks_better,
)
from geneb_jax.stats.ties import order_of


@dataclass(frozen=True, eq=False)
class TaskTable:
    """Scores (n, t) of encoders by `names` in one regime, on the tasks that all of them have.

    `p` (n, n, t) are one-sided p-values of "the first is not better than the second on this task"; None where no
    predictions are at hand.
    """

    regime: str
    names: tuple[str, ...]
    tasks: tuple[str, ...]
    categories: tuple[str, ...]
    scores: NumpyFloat
    p: NumpyFloat | None = None


@dataclass(frozen=True)
class TaskPlace:
    """An encoder over tasks: its mean, its mean rank (1 is best), encoders beaten (Borda, summed over tasks, ties
    half), the places that no test rules out, and whether it is not told from the one with the highest mean."""

    name: str
    mean: float
    mean_rank: float
    borda: float
    rank_low: int
    rank_high: int
    tied: bool


@dataclass(frozen=True)
class TaskPair:
    """Two encoders over tasks, the one with the higher mean first.

    `better` names the one that is told to be better, None where neither is. `tasks_first` and `tasks_second` are on how
    many tasks at least each is the better one, by its test rows; None where these are not at hand.
    """

    first: str
    second: str
    difference: float
    wins: int
    losses: int
    p: float
    p_max_t: float
    p_sign: float
    better: str | None
    tasks_first: int | None = None
    tasks_second: int | None = None
    equivalence: TaskEquivalence | None = None
    rope: Rope | None = None


@dataclass(frozen=True)
class TaskComparison:
    """One regime and mean. `bars` are stretches of the ranking by mean rank in which no two encoders are told apart."""

    scope: Scope
    name: str
    regime: str
    test: TaskTest
    level: float
    num_tasks: int
    num_clusters: int
    smallest_p: float
    can_tell: bool
    within: float | None
    num_adjacent_apart: int
    places: tuple[TaskPlace, ...]
    pairs: tuple[TaskPair, ...]
    bars: tuple[tuple[str, ...], ...]


def board_tables(board: ScoreBoard, regimes: Sequence[str] | None = None) -> list[TaskTable]:
    """The tables of a board's regimes."""
    found = []
    for regime in regimes or board.regimes:
        keep = board.common(regime)
        places = np.flatnonzero(keep)
        found.append(
            TaskTable(
                regime,
                tuple(board.names[model] for model in board.models),
                tuple(board.tasks[i] for i in places),
                tuple(board.categories[i] for i in places),
                board.scores[regime][:, keep],
            )
        )
    return found


def run_tables(
    samples: Iterable[TaskSample],
    name: Callable[[Series], str],
    *,
    metric: Metric = "mcc",
    source: Source = "both",
    resamples: int = RESAMPLES,
    seed: int = 0,
    done: Callable[[TaskSample], None] | None = None,
) -> list[TaskTable]:
    """The tables of runs, with the tests of each task by resamples of its `source`.

    Raises:
        UsageError: fewer than two series share a task in any regime.
    """
    held: dict[str, list[tuple[str, str, dict[Series, int], NumpyFloat, NumpyFloat]]] = {}
    for sample in samples:
        spread = task_distribution(sample, metric, source=source, resamples=resamples, seed=seed, influence=False)
        for regime, places in sample.by_regime().items():
            own = spread[np.array(list(places.values()))]
            p = _one_sided(own.estimate, own.values, own.covariance)
            order = {series: i for i, series in enumerate(places)}
            held.setdefault(regime, []).append((sample.task, sample.category, order, own.estimate, p))
        if done is not None:
            done(sample)
    found = []
    for regime, rows in held.items():
        everyone = list(dict.fromkeys(series for _, _, order, _, _ in rows for series in order))
        common = [row for row in rows if len(row[2]) == len(everyone)]
        if len(everyone) < 2 or not common:
            continue
        at_all = [[order[series] for series in everyone] for _, _, order, _, _ in common]
        found.append(
            TaskTable(
                regime,
                tuple(name(series) for series in everyone),
                tuple(task for task, *_ in common),
                tuple(category for _, category, *_ in common),
                np.stack([row[3][at] for row, at in zip(common, at_all, strict=True)], axis=1),
                np.stack([row[4][np.ix_(at, at)] for row, at in zip(common, at_all, strict=True)], axis=2),
            )
        )
    if not found:
        raise UsageError(
            "there are no two series to compare on a common task", cure="name runs of the same tasks, or other regimes"
        )
    return found


def _one_sided(estimate: NumpyFloat, values: NumpyFloat, covariance: NumpyFloat) -> NumpyFloat:
    """p-values (n, n) of one task."""
    n = len(estimate)
    found = np.ones((n, n))
    first, second = np.triu_indices(n, 1)
    if len(first):
        tests = pair_family(estimate, values, first, second, covariance=covariance)
        half = tests.p_alone / 2
        found[first, second] = np.where(tests.estimate > 0, half, 1 - half)
        found[second, first] = np.where(tests.estimate < 0, half, 1 - half)
    return found


def compare_tables(
    tables: Iterable[TaskTable],
    scopes: Sequence[Scope] = ("macro",),
    *,
    test: TaskTest = "wilcoxon",
    within: float | None = None,
    clusters: Mapping[str, str] | None = None,
    level: float = 0.95,
    flips: int = RESAMPLES,
    seed: int = 0,
) -> list[TaskComparison]:
    """Compare the encoders of every table over its tasks: macro (tasks weighed as their categories are), micro, and
    category, the tasks of each one that has two or more.

    clusters: of some tasks, those that share data; the others stand alone.
    """
    found = []
    for table in tables:
        kinds = np.asarray(table.categories)
        parts: list[tuple[Scope, str, NumpyFloat]] = []
        for scope in scopes:
            if scope == "macro":
                parts.append((scope, scope, macro_weights(table.categories)))
            elif scope == "micro":
                parts.append((scope, scope, np.ones(len(kinds))))
            elif scope == "category":
                parts += [(scope, name, (kinds == name) * 1.0) for name in dict.fromkeys(table.categories)]
        for scope, name, weights in parts:
            if (weights > 0).sum() > 1:
                found.append(
                    _compare(table, scope, name, weights, test, within, clusters or {}, level, flips, seed)
                )  # fmt: skip
    if not found:
        raise UsageError("no mean here is over two tasks or more", cure="name runs of more tasks")
    return found


def _compare(
    table: TaskTable, scope: Scope, name: str, weights: NumpyFloat, test: TaskTest, within: float | None,
    clusters: Mapping[str, str], level: float, flips: int, seed: int,
) -> TaskComparison:  # fmt: skip
    keep = weights > 0
    weights = weights[keep] / weights.sum()
    means = table.scores[:, keep] @ weights
    order = order_of(means, table.names)
    names = tuple(table.names[i] for i in order)
    scores = table.scores[np.ix_(order, keep)]
    means = means[order]
    p = None if table.p is None else table.p[np.ix_(order, order, keep)]
    own = [clusters.get(task, task) for task, kept in zip(table.tasks, keep, strict=True) if kept]
    tests = compare_over_tasks(
        scores, weights=weights, clusters=own, test=test, level=level, flips=flips, seed=seed
    )  # fmt: skip
    better = tests.better
    h = len(tests.p)
    pairs = []
    for row, (i, j) in enumerate(zip(tests.first, tests.second, strict=True)):
        told = names[i] if better[i, j] else names[j] if better[j, i] else None
        d = scores[i] - scores[j]
        pairs.append(
            TaskPair(
                names[i], names[j], float(tests.difference[row]), int(tests.wins[row]), int(tests.losses[row]),
                float(tests.p_alone[row]), float(tests.p[row]), float(tests.p_sign[row]), told,
                None if p is None else tasks_better(p[i, j], level=level)[0],
                None if p is None else tasks_better(p[j, i], level=level)[0],
                None if within is None else tost_over_tasks(d, within, weights=weights, level=1 - (1 - level) / h),
                None if within is None or i else signed_rank(d, within, seed=seed),
            )
        )  # fmt: skip
    by_rank = np.argsort(tests.mean_rank, kind="stable").tolist()
    places = tuple(
        TaskPlace(
            one, float(means[i]), float(tests.mean_rank[i]), float(tests.borda[i]),
            int(1 + better[:, i].sum()), int(len(names) - better[i].sum()), bool(not better[0, i] and not better[i, 0]),
        )
        for i, one in enumerate(names)
    )  # fmt: skip
    return TaskComparison(
        scope, name, table.regime, test, level, tests.num_tasks, tests.num_clusters, tests.floor, tests.can_tell,
        within, adjacent_apart(range(len(names)), better), places, tuple(pairs),
        tuple(tuple(names[i] for i in by_rank[a : b + 1]) for a, b in groups_not_apart(by_rank, better)),
    )  # fmt: skip
