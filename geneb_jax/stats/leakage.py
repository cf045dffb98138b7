"""Scores without the test rows that also stand in train, from the predictions that a run keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from geneb_jax.axes import NumpyBool
from geneb_jax.errors import RunError
from geneb_jax.stats.aggregate import Metric, Series
from geneb_jax.stats.bootstrap import RESAMPLES, Distribution, Source, task_distribution
from geneb_jax.stats.intervals import interval
from geneb_jax.stats.means import CategorySums
from geneb_jax.stats.samples import TaskSample


@dataclass(frozen=True)
class Rescored:
    """One series on one task (or the mean over categories, `task` "macro") in one regime.

    `score` is over all test rows, `without` over the `num_kept` of `num_rows` that do not leak, and `low` … `high` is
    the percentile interval of the change, `without` - `score`, both being resampled together. None where the rows that
    are left are of one class, or none.
    """

    task: str
    regime: str
    series: Series
    score: float
    without: float | None
    low: float | None
    high: float | None
    num_rows: int
    num_kept: int


@dataclass(frozen=True)
class _Both:
    """Scores on all rows and on those that are left, and how many rows these are; sums over tasks of all that."""

    before: Distribution
    after: Distribution
    num_rows: int
    num_kept: int

    def __add__(self, other: Self) -> _Both:
        return _Both(
            self.before + other.before,
            self.after + other.after,
            self.num_rows + other.num_rows,
            self.num_kept + other.num_kept,
        )

    def __mul__(self, share: float) -> _Both:
        return _Both(self.before * share, self.after * share, self.num_rows, self.num_kept)

    def rescored(self, task: str, name: tuple[Series, str], level: float, *, usable: bool = True) -> Rescored:
        """The change with its interval, where the rows that are left are usable."""
        series, regime = name
        without = low = high = None
        if usable:
            change = self.after + self.before * -1
            without = float(self.after.estimate)
            low, high = map(float, interval(change.values, change.estimate, level=level))
        return Rescored(
            task, regime, series, float(self.before.estimate), without, low, high, self.num_rows, self.num_kept
        )  # fmt: skip


def without_rows(sample: TaskSample, leaked: NumpyBool) -> TaskSample:
    """The sample without the rows of a mask (m,). Raises RunError where the mask is of other rows."""
    if leaked.shape != sample.truth.shape:
        raise RunError(
            f"there are leaks for {len(leaked)} rows, and {len(sample.truth)} test rows",
            where=f"task {sample.task}",
            cure="look for leaks in the data that the run was made from",
        )
    return replace(sample, counted=~leaked)


def rescored(
    samples: Iterable[TaskSample],
    leaked: Mapping[str, NumpyBool],
    *,
    metric: Metric = "mcc",
    source: Source = "both",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    done: Callable[[TaskSample], None] | None = None,
) -> list[Rescored]:
    """Every unit's score with and without leaked rows, on the tasks that `leaked` names; macro last.

    Macro is the mean of categories of both scores over the tasks where both exist.
    """
    found: list[Rescored] = []
    sums: dict[tuple[Series, str], CategorySums[_Both]] = {}

    def scores(sample: TaskSample) -> Distribution:
        return task_distribution(sample, metric, source=source, resamples=resamples, seed=seed, influence=False)

    for sample in samples:
        if sample.task not in leaked:
            continue
        rows = leaked[sample.task]
        clean = without_rows(sample, rows)
        before = scores(sample)
        after = scores(clean) if rows.any() else before
        usable = len(np.unique(sample.truth[~rows])) > 1
        for i, unit in enumerate(sample.units):
            both = _Both(before[i], after[i], len(rows), int(np.sum(~rows)))
            found.append(both.rescored(sample.task, unit.name, level, usable=usable))
            if usable:
                sums.setdefault(unit.name, CategorySums()).add(sample.category, both)
        if done is not None:
            done(sample)
    macros = [(name, mean) for name, own in sums.items() for mean in own.means() if mean.scope == "macro"]
    return found + [mean.value.rescored("macro", name, level) for name, mean in macros]
