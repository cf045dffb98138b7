"""Intervals of every score of one or more runs: per task, category, macro and micro, each with what it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.stats.aggregate import Metric, Series
from geneb_jax.stats.bootstrap import (
    RESAMPLES,
    Distribution,
    Source,
    plain_scores,
    task_distribution,
)
from geneb_jax.stats.intervals import Method, interval
from geneb_jax.stats.marks import DEFAULT_C, LEAKED, SHORT, STATUS_MARKS, UNREAD
from geneb_jax.stats.means import CategorySums, Scope
from geneb_jax.stats.samples import TaskSample, Unit
from geneb_jax.stats.task_spread import task_means
from geneb_jax.stats.testing.exact import perfect_bound

SMALL: Final = 100
SMALL_CLASS: Final = 20
"""Test rows (or groups) in all, and of the rarest class, below which an interval of a task is marked: its coverage
falls short (docs/uncertainty.md)."""

DEGENERATE: Final = 0.01
"""Share of resamples with one true or predicted class from which a score is marked."""


MARKS: Final = (
    *STATUS_MARKS, LEAKED, SHORT, UNREAD, DEFAULT_C, "one class", "few rows", "perfect", "no draws", "one task",
    "partial",
)  # fmt: skip
"""What is said beside a score (`Score.marks`): of its fits and tasks (`geneb_jax.stats.marks`), and of its interval."""


@dataclass(frozen=True)
class Score:
    """An estimate with its interval, and how both came about.

    `se` is the standard error. `marks` names what weakens it: "one class" (degenerate resamples), "few rows", "perfect"
    (no wrong row in some task: `geneb_jax.stats.testing.exact.perfect_bound`), "no draws" (draw variance was asked for
    of a few-shot regime with a single draw), "one task" (tasks were to vary, and a category has a single one),
    "partial" (tasks of the suite are missing). Intervals end where the metric does.
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


@dataclass(frozen=True)
class Part:
    """A distribution and what it is made of: rows of all its tasks, the fewest draws of any, and their marks.

    `perfect` has the weight of every task without a wrong row, and its test rows by class: there resamples of rows do
    not vary, although the score may.
    """

    distribution: Distribution
    num_rows: int
    num_draws: int
    marks: frozenset[str]
    perfect: tuple[tuple[float, tuple[int, ...]], ...] = ()

    def __add__(self, other: Self) -> Part:
        return Part(
            self.distribution + other.distribution,
            self.num_rows + other.num_rows,
            min(self.num_draws, other.num_draws),
            self.marks | other.marks,
            self.perfect + other.perfect,
        )

    def __mul__(self, share: float) -> Part:
        perfect = tuple((share * own, rows) for own, rows in self.perfect)
        return Part(self.distribution * share, self.num_rows, self.num_draws, self.marks, perfect)

    def below(self, metric: Metric, low: float, level: float) -> float:
        """The lower end `low`, moved down by what perfect scores leave open.

        Distances of independent parts to their lower ends add up by their squares (MOVER: Zou & Donner 2008).
        """
        open_ends = [share * (1 - perfect_bound(rows, metric, level=level)) for share, rows in self.perfect]
        estimate = float(self.distribution.estimate)
        return estimate - float(np.sqrt((estimate - low) ** 2 + sum(end**2 for end in open_ends)))


@dataclass(frozen=True)
class Spread:
    """The bootstrap distribution of one unit's score on a task, or of a mean of such scores over tasks."""

    scope: Scope
    name: str
    series: Series
    regime: str
    num_tasks: int
    part: Part

    def score(self, metric: Metric, method: Method, level: float) -> Score:
        """The estimate with its interval."""
        found = self.part.distribution
        low, high = interval(
            found.marginal, found.estimate, level=level, method=method, acceleration=found.acceleration
        )  # fmt: skip
        if self.part.perfect:
            low = np.asarray(self.part.below(metric, float(low), level))
        return Score(
            self.scope, self.name, self.series, self.regime, metric, float(found.estimate), *_within(metric, low, high),
            float(found.se), self.num_tasks, self.part.num_rows,
            tuple(mark for mark in MARKS if mark in self.part.marks),
        )  # fmt: skip


def spreads(
    samples: Iterable[TaskSample],
    *,
    num_in_suite: int | None = None,
    metric: Metric = "mcc",
    source: Source = "both",
    resamples: int = RESAMPLES,
    seed: int = 0,
    influence: bool = True,
    done: Callable[[TaskSample], None] | None = None,
) -> Iterator[Spread]:
    """The distributions of all units, task by task, then of every mean over tasks; `done` is called after each task.

    Macro and micro of fewer than `num_in_suite` tasks are marked as partial. influence: as in
    `geneb_jax.stats.bootstrap.task_distribution`.
    """
    sums: dict[tuple[Series, str], CategorySums[Part]] = {}
    for sample in samples:
        found = task_distribution(sample, metric, source=source, resamples=resamples, seed=seed, influence=influence)
        few = sample.num_groups < SMALL or min(sample.class_rows) < SMALL_CLASS
        few_rows = {"few rows"} if few and source != "draws" else set()
        for i, unit in enumerate(sample.units):
            perfect = source != "draws" and _no_wrong_row(sample, unit)
            marks = _marks(found[i], unit, source) | ({"perfect"} if perfect else set())
            open_end = ((1.0, sample.class_rows),) if perfect else ()
            part = Part(found[i], sample.num_groups, len(unit.draws), marks, open_end)
            # the rows of a mean are many
            sums.setdefault(unit.name, CategorySums()).add(sample.category, part)
            yield Spread("task", sample.task, *unit.name, 1, replace(part, marks=part.marks | few_rows))
        if done is not None:
            done(sample)
    for name, own in sums.items():
        partial = num_in_suite is not None and own.num_tasks != num_in_suite
        for mean in own.means():
            marks = mean.value.marks | ({"partial"} if partial and mean.scope != "category" else set())
            yield Spread(mean.scope, mean.name, *name, mean.num_tasks, replace(mean.value, marks=marks))


def score_intervals(
    samples: Iterable[TaskSample],
    *,
    num_in_suite: int | None = None,
    metric: Metric = "mcc",
    source: Source = "both",
    method: Method = "bca",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    done: Callable[[TaskSample], None] | None = None,
) -> list[Score]:
    """Intervals of all units, on every task and of every mean over tasks, as in `spreads`."""
    found = spreads(
        samples,
        num_in_suite=num_in_suite,
        metric=metric,
        source=source,
        resamples=resamples,
        seed=seed,
        influence=method == "bca" and source != "draws",
        done=done,
    )
    return [spread.score(metric, method, level) for spread in found]


def task_resampled_scores(
    samples: Iterable[TaskSample],
    *,
    num_in_suite: int | None = None,
    metric: Metric = "mcc",
    level: float = 0.95,
    done: Callable[[TaskSample], None] | None = None,
) -> list[Score]:
    """Categories, macro and micro of all units, with intervals from drawing tasks anew, each with rows of its own.

    Would other tasks of these categories say the same? (`geneb_jax.stats.task_spread`)

    Raises:
        UsageError: a unit has a score on a single task.
    """
    held: dict[tuple[Series, str], list[tuple[str, float, int, frozenset[str]]]] = {}
    for sample in samples:
        plain = plain_scores(sample, metric)
        for unit, estimate in zip(sample.units, plain, strict=True):
            held.setdefault(unit.name, []).append((sample.category, estimate, sample.num_groups, unit.marks))
        if done is not None:
            done(sample)
    found = []
    for (series, regime), rows in held.items():
        categories = [category for category, *_ in rows]
        partial = num_in_suite is not None and len(rows) != num_in_suite
        for mean in task_means(np.array([estimate for _, estimate, *_ in rows]), categories):
            marks = {"one task"} if mean.borrowed else set()
            marks |= {"partial"} if partial and mean.scope != "category" else set()
            own = [row for row in rows if mean.scope != "category" or row[0] == mean.name]
            size = sum(row[2] for row in own)
            marks = marks.union(*(row[3] for row in own))
            found.append(
                Score(mean.scope, mean.name, series, regime, metric, mean.estimate, *_within(metric, *mean.ends(level)),
                      mean.se, mean.num_tasks, size, tuple(mark for mark in MARKS if mark in marks))
            )  # fmt: skip
    return found


def _within(metric: Metric, low: NumpyFloat | float, high: NumpyFloat | float) -> tuple[float, float]:
    """Ends of an interval inside the metric's range; NaN stays."""
    least = -1.0 if metric == "mcc" else 0.0
    return float(np.clip(low, least, 1)), float(np.clip(high, least, 1))


def _no_wrong_row(sample: TaskSample, unit: Unit) -> bool:
    wrong = sample.predicted[list(unit.draws)] != sample.truth
    return not (wrong if sample.counted is None else wrong[:, sample.counted]).any()


def _marks(found: Distribution, unit: Unit, source: Source) -> frozenset[str]:
    """What weakens a unit's score and every mean that holds it."""
    marks = {"one class"} if found.degenerate >= DEGENERATE else set()
    single = len(unit.draws) == 1 and (source == "draws" or (source == "both" and unit.regime != "full"))
    return unit.marks | marks | ({"no draws"} if single else set())
