"""Intervals of every score of one or more runs: per task, category, macro and micro, each with what it leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.stats.aggregate import Metric, Series
from geneb_jax.stats.bootstrap import (
    RESAMPLES,
    Distribution,
    Source,
    acceleration,
    plain_scores,
    task_distribution,
    task_resampled,
)
from geneb_jax.stats.intervals import Method, interval
from geneb_jax.stats.samples import TaskSample

Scope = Literal["task", "category", "macro", "micro"]

SMALL: Final = 100
"""Test rows (or groups) below which an interval of a task is marked: its coverage falls short (docs/uncertainty.md)."""

DEGENERATE: Final = 0.01
"""Share of resamples with one true or predicted class from which a score is marked."""


@dataclass(frozen=True)
class Score:
    """An estimate with its interval, and how both came about.

    `se` is the bootstrap standard error. `marks` names what weakens it: "one class" (degenerate resamples), "few rows",
    "no draws" (draw variance was asked for of a regime with a single draw), "partial" (tasks of the suite are missing).
    """

    scope: Scope
    name: str
    series: Series
    regime: str
    metric: Metric
    estimate: float
    low: float
    high: float
    se: float
    num_tasks: int
    num_rows: int
    marks: tuple[str, ...] = ()


@dataclass
class _Mean:
    """A weighted mean of task scores of some units, added up task by task."""

    scope: Scope
    name: str
    values: NumpyFloat
    estimate: float = 0.0
    squares: float = 0.0
    cubes: float = 0.0
    num_tasks: int = 0
    num_rows: int = 0
    marks: Counter[str] = field(default_factory=Counter)


def weights_of(tasks: Iterable[tuple[str, str]]) -> dict[str, dict[tuple[Scope, str], float]]:
    """Of every (task, category): the means that its score enters, and its weight there."""
    tasks = list(tasks)
    sizes = Counter(category for _, category in tasks)
    return {
        task: {
            ("category", category): 1 / sizes[category],
            ("macro", "macro"): 1 / (sizes[category] * len(sizes)),
            ("micro", "micro"): 1 / len(tasks),
        }
        for task, category in tasks
    }


def score_intervals(
    samples: Sequence[TaskSample] | Callable[[], Iterable[TaskSample]],
    *,
    num_in_suite: int | None = None,
    metric: Metric = "mcc",
    source: Source = "rows",
    method: Method = "bca",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    done: Callable[[TaskSample], None] | None = None,
) -> list[Score]:
    """Intervals of all units, task by task and of every mean over tasks; `done` is called after each task.

    `samples` is gone through twice; a function that yields them keeps one task in memory at a time. Means of fewer than
    `num_in_suite` tasks are marked as partial.
    """
    again = samples if callable(samples) else lambda: samples
    held: dict[tuple[Series, str], list[tuple[str, str]]] = {}
    for sample in again():
        for unit in sample.units:
            held.setdefault(unit.name, []).append((sample.task, sample.category))
    weights = {name: weights_of(tasks) for name, tasks in held.items()}
    means: dict[tuple[Series, str], dict[tuple[Scope, str], _Mean]] = {name: {} for name in held}
    found: list[Score] = []
    for sample in again():
        spread = task_distribution(
            sample, metric, source=source, resamples=resamples, seed=seed, influence=method == "bca"
        )
        ends = interval(
            spread.values, spread.estimate, level=level, method=method, acceleration=spread.acceleration
        )  # fmt: skip
        for i, unit in enumerate(sample.units):
            marks = _marks(sample, spread, i, source)
            found.append(
                Score("task", sample.task, *unit.name, metric, float(spread.estimate[i]), float(ends[0][i]),
                      float(ends[1][i]), float(spread.values[:, i].std(ddof=1)), 1, sample.num_groups, marks)
            )  # fmt: skip
            for (scope, name), share in weights[unit.name][sample.task].items():
                mean = means[unit.name].setdefault((scope, name), _Mean(scope, name, np.zeros(resamples)))
                mean.values += share * spread.values[:, i]
                mean.estimate += share * float(spread.estimate[i])
                mean.squares += share**2 * float(spread.squares[i])
                mean.cubes += share**3 * float(spread.cubes[i])
                mean.num_tasks += 1
                mean.num_rows += sample.num_groups
                mean.marks.update(mark for mark in marks if mark != "few rows")
        if done is not None:
            done(sample)
    for (series, regime), own in means.items():
        whole = num_in_suite is None or len(held[series, regime]) == num_in_suite
        for mean in own.values():
            low, high = interval(
                mean.values, np.asarray(mean.estimate), level=level, method=method,
                acceleration=acceleration(np.asarray(mean.squares), np.asarray(mean.cubes)),
            )  # fmt: skip
            marks = (*sorted(mean.marks), *(() if whole or mean.scope == "category" else ("partial",)))
            found.append(
                Score(mean.scope, mean.name, series, regime, metric, mean.estimate, float(low), float(high),
                      float(mean.values.std(ddof=1)), mean.num_tasks, mean.num_rows, marks)
            )  # fmt: skip
    return found


def task_resampled_scores(
    samples: Sequence[TaskSample] | Callable[[], Iterable[TaskSample]],
    *,
    num_in_suite: int | None = None,
    metric: Metric = "mcc",
    method: Method = "bca",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    done: Callable[[TaskSample], None] | None = None,
) -> list[Score]:
    """Macro and micro of all units, with intervals from drawing tasks anew and nothing else: would other tasks of these
    categories say the same? (`geneb_jax.stats.bootstrap.task_resampled`; BCa's acceleration is taken as 0.)"""
    held: dict[tuple[Series, str], list[tuple[str, str, float, int]]] = {}
    for sample in samples() if callable(samples) else samples:
        plain = plain_scores(sample, metric)
        for unit, estimate in zip(sample.units, plain, strict=True):
            held.setdefault(unit.name, []).append((sample.task, sample.category, estimate, sample.num_groups))
        if done is not None:
            done(sample)
    found = []
    for (series, regime), rows in held.items():
        weights = weights_of((task, category) for task, category, _, _ in rows)
        column = np.array([estimate for _, _, estimate, _ in rows])[:, None]
        drawn = task_resampled(column, [category for _, category, _, _ in rows], resamples=resamples, seed=seed)
        marks = () if num_in_suite is None or len(rows) == num_in_suite else ("partial",)
        scopes: tuple[Scope, ...] = ("macro", "micro")
        for scope, values in zip(scopes, drawn, strict=True):
            estimate = sum(weights[task][scope, scope] * one for task, _, one, _ in rows)
            low, high = interval(values[:, 0], np.asarray(estimate), level=level, method=method)
            found.append(
                Score(scope, scope, series, regime, metric, estimate, float(low), float(high),
                      float(values.std(ddof=1)), len(rows), sum(size for *_, size in rows), marks)
            )  # fmt: skip
    return found


def _marks(sample: TaskSample, spread: Distribution, i: int, source: Source) -> tuple[str, ...]:
    marks = []
    if spread.degenerate[i] >= DEGENERATE:
        marks.append("one class")
    if sample.num_groups < SMALL and source != "draws":
        marks.append("few rows")
    if source != "rows" and len(sample.units[i].draws) == 1:
        marks.append("no draws")
    return tuple(marks)
