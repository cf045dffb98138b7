"""Planning from runs: what their paired differences vary by, and how large a study finds a given difference."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from geneb_jax.axes import NumpyFloat
from geneb_jax.errors import UsageError
from geneb_jax.stats.aggregate import Metric
from geneb_jax.stats.bootstrap import RESAMPLES, Distribution, task_distribution
from geneb_jax.stats.means import CommonSums
from geneb_jax.stats.samples import TaskSample
from geneb_jax.stats.testing.equivalence import tost_over_tasks
from geneb_jax.stats.testing.over_tasks import macro_weights
from geneb_jax.stats.testing.planning import needed, reach


@dataclass(frozen=True)
class Plan:
    """Of one regime: what a paired macro difference varies by (medians over pairs of encoders), and what it would take
    to find `difference`; None: no number is enough, since what else varies hides it.

    `rows_factor` is how many times as many test rows every task needs, at these draws; `draws` how many draws, with
    these rows; `tasks` how many tasks of these kinds, where the tasks are the sample.
    """

    regime: str
    difference: float
    num_tasks: int
    num_rows: int
    num_draws: int
    se_rows: float
    se_draws: float
    sd_tasks: float | None
    detectable: float
    rows_factor: float | None
    draws: int | None
    tasks: int | None


def plan(
    samples: Iterable[TaskSample],
    difference: float,
    *,
    metric: Metric = "mcc",
    level: float = 0.95,
    power: float = 0.8,
    among: int = 2,
    resamples: int = RESAMPLES,
    seed: int = 0,
    done: Callable[[TaskSample], None] | None = None,
) -> list[Plan]:
    """The plan of every regime in which two series or more share tasks. among: how many encoders will be compared.

    Raises:
        UsageError: no two series share a task.
    """
    sums: CommonSums[Distribution] = CommonSums()
    rows: dict[tuple[str, str], tuple[int, int, str, NumpyFloat]] = {}
    for sample in samples:
        spread = task_distribution(sample, metric, resamples=resamples, seed=seed, source="both", influence=False)
        for regime, places in sample.by_regime().items():
            own = spread[np.array(list(places.values()))]
            sums.add(regime, sample.task, sample.category, tuple(places), own if len(places) > 1 else None)
            draws = min(len(sample.units[i].draws) for i in places.values())
            rows[regime, sample.task] = sample.num_groups, draws, sample.category, own.estimate
        if done is not None:
            done(sample)
    found = []
    critical = adjusted_critical(level, among)
    for regime, common in sums.common().items():
        tasks = [task for (r, task) in rows if r == regime and task not in common.left_out]
        macro = next(mean.value for mean in common.means if mean.scope == "macro")
        held = [rows[regime, task] for task in tasks]
        by_rows = _median_variance(np.atleast_2d(np.cov(macro.by_rows, rowvar=False)))
        several = min(draws for _, draws, _, _ in held)
        by_draws = _median_variance(macro.draws.covariance) if several > 1 else 0.0
        spread_tasks = _task_sd(np.stack([scores for *_, scores in held], axis=1), [kind for _, _, kind, _ in held])
        both = by_rows + by_draws
        room = (difference / reach(level, power, critical=critical)) ** 2 - by_draws
        found.append(
            Plan(
                regime, difference, len(tasks), sum(n for n, *_ in held), several, float(np.sqrt(by_rows)),
                float(np.sqrt(by_draws)), spread_tasks, reach(level, power, critical=critical) * float(np.sqrt(both)),
                by_rows / room if room > 0 else None,
                needed(difference, by_draws * several, fixed=by_rows, level=level, power=power, critical=critical)
                if several > 1
                else None,
                None
                if spread_tasks is None
                else needed(
                    difference, spread_tasks**2, level=level_alone(level, among), power=power, t_test=True
                ),
            )
        )  # fmt: skip
    if not found:
        raise UsageError(
            "there are no two series that share a task",
            cure="name runs of the same tasks, or state what varies instead",
        )
    return found


def adjusted_critical(level: float, among: int) -> float:
    """What |t| must exceed for a pair among all pairs of so many encoders, by Bonferroni's correction."""
    return float(norm.isf((1 - level_alone(level, among)) / 2))


def level_alone(level: float, among: int) -> float:
    """The level at which a pair has to be told apart, among all pairs of so many encoders."""
    return 1 - (1 - level) / max(1, among * (among - 1) // 2)


def _median_variance(covariance: NumpyFloat) -> float:
    """Of the differences of all pairs."""
    i, j = np.triu_indices(len(covariance), 1)
    variance = np.diag(covariance)
    return max(0.0, float(np.median(variance[i] + variance[j] - 2 * covariance[i, j])))


def _task_sd(scores: NumpyFloat, categories: list[str]) -> float | None:
    """What the difference of two encoders varies by from task to task, weighed as in macro; None with one task."""
    n, t = scores.shape
    if t < 2:
        return None
    weights = macro_weights(categories)
    i, j = np.triu_indices(n, 1)
    each = [tost_over_tasks(scores[a] - scores[b], 1.0, weights=weights).se for a, b in zip(i, j, strict=True)]
    return float(np.median(each)) * float(np.sqrt(t))
