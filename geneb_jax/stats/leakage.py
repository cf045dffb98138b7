"""Scores without the test rows that also stand in train, from the predictions that a run keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from geneb_jax.axes import NumpyBool
from geneb_jax.errors import RunError
from geneb_jax.stats.aggregate import Metric, Series, macro_micro
from geneb_jax.stats.bootstrap import plain_scores
from geneb_jax.stats.samples import TaskSample


@dataclass(frozen=True)
class Rescored:
    """One series on one task (or the mean over categories, `task` "macro") in one regime.

    `score` is over all test rows, `without` over the `num_kept` of `num_rows` that do not leak; None where these are of
    one class, or none.
    """

    task: str
    regime: str
    series: Series
    score: float
    without: float | None
    num_rows: int
    num_kept: int


def without_rows(sample: TaskSample, leaked: NumpyBool) -> TaskSample:
    """The sample without the rows of a mask (m,). Raises RunError where the mask is of other rows."""
    if leaked.shape != sample.truth.shape:
        raise RunError(
            f"there are leaks for {len(leaked)} rows, and {len(sample.truth)} test rows",
            where=f"task {sample.task}",
            cure="look for leaks in the data that the run was made from",
        )
    keep = ~leaked
    groups = None if sample.groups is None else np.unique(sample.groups[keep], return_inverse=True)[1]
    return replace(sample, truth=sample.truth[keep], predicted=sample.predicted[:, keep], groups=groups)


def rescored(
    samples: Iterable[TaskSample], leaked: Mapping[str, NumpyBool], *, metric: Metric = "mcc"
) -> list[Rescored]:
    """Every unit's score with and without leaked rows, on the tasks that `leaked` names; macro last.

    Macro is the mean of categories of both scores over the tasks where both exist.
    """
    found: list[Rescored] = []
    categories: dict[str, str] = {}
    for sample in samples:
        if sample.task not in leaked:
            continue
        categories[sample.task] = sample.category
        clean = without_rows(sample, leaked[sample.task])
        usable = len(np.unique(clean.truth)) > 1
        after = plain_scores(clean, metric) if usable else [None] * len(sample.units)
        found += [
            Rescored(sample.task, unit.regime, unit.series, score, left, len(sample.truth), len(clean.truth))
            for unit, score, left in zip(sample.units, plain_scores(sample, metric), after, strict=True)
        ]
    units = dict.fromkeys((one.regime, one.series) for one in found)
    return found + [row for unit in units for row in _macro(found, categories, *unit)]


def _macro(found: list[Rescored], categories: Mapping[str, str], regime: str, series: Series) -> Iterable[Rescored]:
    rows = [r for r in found if (r.regime, r.series) == (regime, series) and r.without is not None]
    before = macro_micro({r.task: r.score for r in rows}, categories)
    after = macro_micro({r.task: r.without for r in rows if r.without is not None}, categories)
    if before and after:
        size, kept = sum(r.num_rows for r in rows), sum(r.num_kept for r in rows)
        yield Rescored("macro", regime, series, before[0], after[0], size, kept)
