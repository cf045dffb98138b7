"""What the bootstrap resamples: per task the true classes and every series' predictions, from one or more runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from geneb_jax.axes import NumpyBool, NumpyInt
from geneb_jax.errors import RunError, UsageError
from geneb_jax.run import Run
from geneb_jax.run.reading import Letters, letters_of_records
from geneb_jax.run.runs import Runs, draw_order
from geneb_jax.stats.aggregate import Series
from geneb_jax.stats.marks import fit_marks


def shots_of(regime: str) -> int | None:
    """Labelled rows per class of a regime's name; None for full data."""
    return None if regime == "full" else int(regime.removesuffix("shot"))


@dataclass(frozen=True)
class Unit:
    """One series in one regime: what has a score. `draws` are places in its task's predictions, one per draw.

    `seeds` are those of the draws, the same for the same draw of any task and series; by default 0, 1, 2, …
    `marks` are those of its fits and its task (`geneb_jax.stats.marks`).
    """

    series: Series
    regime: str
    draws: tuple[int, ...]
    seeds: tuple[int, ...] = ()
    marks: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.seeds:
            object.__setattr__(self, "seeds", tuple(range(len(self.draws))))

    @property
    def name(self) -> tuple[Series, str]:
        """The same unit on every task."""
        return self.series, self.regime


@dataclass(frozen=True)
class TaskSample:
    """One task: true classes (m,) and predictions (L, m) as indices in 0 … k-1, and who made which of them.

    `groups` (m,) numbers 0 … G-1: rows of one group are resampled together; None where every row is its own.
    `counted` (m,) are the rows that are scored; None: all. The others are resampled too, so that scores of some rows
    are paired with scores of all.
    """

    task: str
    category: str
    k: int
    truth: NumpyInt
    predicted: NumpyInt
    units: tuple[Unit, ...]
    groups: NumpyInt | None = None
    counted: NumpyBool | None = None

    def only(self, units: Sequence[Unit]) -> TaskSample:
        """The same rows with some of the units, and the predictions that these need."""
        if len(units) == len(self.units):
            return self
        places = np.concatenate([unit.draws for unit in units])
        ends = np.cumsum([0, *(len(unit.draws) for unit in units)])
        moved = tuple(
            replace(unit, draws=tuple(range(start, stop)))
            for unit, (start, stop) in zip(units, pairwise(ends.tolist()), strict=True)
        )
        return replace(self, predicted=self.predicted[places], units=moved)

    def by_regime(self) -> dict[str, dict[Series, int]]:
        """Of every regime the units' places by their series, in an order that is the same for all tasks."""
        found: dict[str, dict[Series, int]] = {}
        for place, unit in sorted(enumerate(self.units), key=lambda one: str(one[1].series)):
            found.setdefault(unit.regime, {})[unit.series] = place
        return found

    @property
    def class_rows(self) -> tuple[int, ...]:
        """How many scored rows, or groups of them, each class has that occurs; one 0 where none is scored."""
        rows = np.arange(len(self.truth)) if self.groups is None else self.groups
        keep = slice(None) if self.counted is None else self.counted
        pairs = np.unique(np.stack([self.truth[keep], rows[keep]]), axis=1)
        counts = np.bincount(pairs[0]) if pairs.size else np.zeros(0, np.int64)
        return tuple(int(n) for n in counts[counts > 0]) or (0,)

    @property
    def num_groups(self) -> int:
        """How many things are drawn in a resample."""
        return len(self.truth) if self.groups is None else int(self.groups.max()) + 1


def task_samples(
    runs: Runs | Iterable[Run],
    *,
    regimes: Collection[str] | None = None,
    groups: Mapping[str, NumpyInt] | None = None,
) -> Iterator[TaskSample]:
    """The samples of all tasks, one at a time, from the union of the runs.

    `groups` gives the group (m,) of every test row of some tasks, as any integers.

    Raises:
        UsageError: no scores in these regimes.
        RunError: predictions are missing, or `groups` do not fit.
    """
    whole = Runs.of(runs)
    by_task = _rows_by_task(whole, regimes)
    if not by_task:
        asked = "" if regimes is None else f" in the regimes {', '.join(regimes)}"
        raise UsageError(f"the runs hold no score{asked}", cure="look at them with `geneb report` or run them again")
    seeded, letters = _seeded(by_task), letters_of_records(whole.records)
    for task, category in whole.categories.items():
        if task in by_task:
            yield _sample(task, category, by_task[task], whole, seeded, letters, (groups or {}).get(task))


def _seeded(by_task: Mapping[str, Iterable[Mapping[str, Any]]]) -> set[Series]:
    """The series whose fits of all training rows depend on the seed, as a network's do."""
    found = set()
    for rows in by_task.values():
        scores: dict[Series, set[tuple[float, ...]]] = {}
        for row in rows:
            if row["regime"] == "full":
                scores.setdefault(_series(row), set()).add((row["mcc"], row["accuracy"], row["macro_f1"]))
        found |= {series for series, distinct in scores.items() if len(distinct) > 1}
    return found


def _rows_by_task(runs: Runs, regimes: Collection[str] | None) -> dict[str, list[dict[str, Any]]]:
    names = ["record_id", "encoder", "encoder_digest", "probe", "probe_digest", "C", "c_selection", "engine", "dtype",
             "regime", "task", "seed", "draw", "mcc", "accuracy", "macro_f1",
             "status", "n_train", "num_classes"]  # fmt: skip
    found: dict[str, list[dict[str, Any]]] = {}
    for row in runs.records.select(names).to_pylist():
        if row["mcc"] is not None and (regimes is None or row["regime"] in regimes):
            found.setdefault(row["task"], []).append(row)
    return found


def _series(row: Mapping[str, Any]) -> Series:
    free = row["c_selection"] not in (None, "fixed")
    text = {name: str(row[name]) for name in ("encoder", "encoder_digest", "probe", "probe_digest", "engine", "dtype")}
    C = row["C"]
    return Series(**text, C=None if free or C is None else float(str(C)))


def _sample(
    task: str,
    category: str,
    rows: Iterable[dict[str, Any]],
    runs: Runs,
    seeded: Collection[Series],
    letters: Mapping[str, Mapping[str, Letters]],
    groups: NumpyInt | None,
) -> TaskSample:
    found = runs.predictions(task)
    meta = runs.meta.tasks.get(task)
    members: dict[tuple[Series, str], list[dict[str, Any]]] = {}
    for row in rows:
        members.setdefault((_series(row), row["regime"]), []).append(row)
    predicted: list[NumpyInt] = []
    units = []
    for (series, regime), own in members.items():
        own.sort(key=lambda row: draw_order(row["seed"], row["draw"]))
        lines = [found.predicted[row["record_id"]] for row in own]
        seeds = [int(row["seed"]) for row in own]
        if regime == "full" and series not in seeded:
            lines, seeds = lines[:1], [0]  # nothing was drawn, so that all seeds are one fit
        places = tuple(range(len(predicted), len(predicted) + len(lines)))
        marks = frozenset[str]().union(
            *(fit_marks(row, meta, letters.get(row["encoder_digest"], {}).get(task)) for row in own)
        )
        units.append(Unit(series, regime, places, tuple(seeds), marks))
        predicted += lines
    return TaskSample(
        task, category, len(found.labels), found.true.astype(np.int64), np.stack(predicted), tuple(units),
        _numbered(task, groups, len(found.true)),
    )  # fmt: skip


def _numbered(task: str, groups: NumpyInt | None, m: int) -> NumpyInt | None:
    if groups is None:
        return None
    if np.shape(groups) != (m,):
        raise RunError(
            f"there are groups for {np.shape(groups)} rows, and {m} test rows",
            where=f"task {task}",
            cure="give one group per test row, in the order of the test file",
        )
    _, first, of = np.unique(groups, return_index=True, return_inverse=True)
    # in the order of first rows, so that resamples do not depend on what the groups are called
    return None if len(first) == m else first.argsort().argsort()[of]
