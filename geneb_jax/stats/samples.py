"""What the bootstrap resamples: per task the true classes and every series' predictions, from one or more runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from geneb_jax.axes import NumpyBool, NumpyInt
from geneb_jax.errors import RunError, UsageError
from geneb_jax.run import Run
from geneb_jax.run.controls import require_runs_of_one_control
from geneb_jax.run.predictions import PREDICTIONS, read_pair
from geneb_jax.run.presets import require_runs_of_one_preset
from geneb_jax.stats.aggregate import Series


def shots_of(regime: str) -> int | None:
    """Labelled rows per class of a regime's name; None for full data."""
    return None if regime == "full" else int(regime.removesuffix("shot"))


@dataclass(frozen=True)
class Unit:
    """One series in one regime: what has a score. `draws` are places in its task's predictions, one per draw.

    `seeds` are those of the draws, the same for the same draw of any task and series; by default 0, 1, 2, …
    """

    series: Series
    regime: str
    draws: tuple[int, ...]
    seeds: tuple[int, ...] = ()

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
    def num_groups(self) -> int:
        """How many things are drawn in a resample."""
        return len(self.truth) if self.groups is None else int(self.groups.max()) + 1


def tasks_of(runs: Sequence[Run]) -> dict[str, str]:
    """Every task with a record, and its category, in the order of the runs' suites."""
    held = {task for run in runs for task in run.records["task"].to_pylist()}
    found: dict[str, str] = {}
    for run in runs:
        found.update((t, c) for t, c in run.meta.suite.categories.items() if t in held and t not in found)
        names, categories = run.records["task"].to_pylist(), run.records["category"].to_pylist()
        found.update((t, c) for t, c in zip(names, categories, strict=True) if t not in found)
    return found


def task_samples(
    runs: Sequence[Run],
    *,
    regimes: Sequence[str] | None = None,
    groups: Mapping[str, NumpyInt] | None = None,
) -> Iterator[TaskSample]:
    """The samples of all tasks, one at a time; a series that several runs hold is taken from the first.

    `groups` gives the group (m,) of every test row of some tasks, as any integers.

    Raises:
        UsageError: no runs, or none with scores in these regimes.
        RunError: runs hold other test rows under one task's name, predictions are missing, or `groups` do not fit.
    """
    if not runs:
        raise UsageError("there is no run to look at", cure="name at least one run directory")
    require_runs_of_one_preset(runs)
    require_runs_of_one_control(runs)
    tables = [_rows_by_task(run, regimes) for run in runs]
    if not any(tables):
        asked = "" if regimes is None else f" in the regimes {', '.join(regimes)}"
        raise UsageError(f"the runs hold no score{asked}", cure="look at them with `geneb report` or run them again")
    for task, category in tasks_of(runs).items():
        parts = [(run, table[task]) for run, table in zip(runs, tables, strict=True) if task in table]
        if parts:
            yield _sample(task, category, parts, (groups or {}).get(task))


def _rows_by_task(run: Run, regimes: Sequence[str] | None) -> dict[str, list[dict[str, object]]]:
    names = ["record_id", "encoder", "encoder_digest", "probe", "probe_digest", "C", "c_selection", "engine", "dtype",
             "regime", "task", "seed", "mcc"]  # fmt: skip
    found: dict[str, list[dict[str, object]]] = {}
    for row in run.records.select(names).to_pylist():
        if row["mcc"] is not None and (regimes is None or row["regime"] in regimes):
            found.setdefault(row["task"], []).append(row)
    return found


def _series(row: Mapping[str, object]) -> Series:
    free = row["c_selection"] not in (None, "fixed")
    text = {name: str(row[name]) for name in ("encoder", "encoder_digest", "probe", "probe_digest", "engine", "dtype")}
    C = row["C"]
    return Series(**text, C=None if free or C is None else float(str(C)))


def _sample(
    task: str, category: str, parts: Sequence[tuple[Run, list[dict[str, object]]]], groups: NumpyInt | None
) -> TaskSample:
    first = parts[0][0].meta.tasks.get(task)
    truth: NumpyInt | None = None
    predicted: list[NumpyInt] = []
    members: dict[tuple[Series, str], dict[object, int]] = {}
    labels: NumpyInt | None = None
    for run, rows in parts:
        meta = run.meta.tasks.get(task)
        if meta is not None and first is not None and meta.test_digest != first.test_digest:
            raise RunError(
                "these runs scored different test rows under one task's name",
                where=f"task {task}: {parts[0][0].path.name} and {run.path.name}",
                cure="compare runs that were made from the same data",
            )
        known = set(members)
        by_encoder: dict[str, list[dict[str, object]]] = {}
        for row in rows:
            by_encoder.setdefault(str(row["encoder_digest"]), []).append(row)
        for digest, own in by_encoder.items():
            encoder = run.meta.encoder(digest)
            pair = read_pair(run.path / PREDICTIONS, encoder.element if encoder else digest[:12], task)
            if truth is None or labels is None:
                truth, labels = pair.true, pair.labels
            elif not (np.array_equal(labels, pair.labels) and np.array_equal(truth, pair.true)):
                raise RunError(
                    "the true classes of two runs differ", where=f"task {task}", cure="compare runs of the same data"
                )
            line = {record_id: i for i, record_id in enumerate(pair.record_ids)}
            for row in own:
                name = (_series(row), str(row["regime"]))
                if name in known:
                    continue
                if row["record_id"] not in line:
                    raise RunError(
                        "the predictions of a record are missing",
                        where=f"{run.path.name}, task {task}, record {row['record_id']}",
                        cure="run the probe again in a new directory",
                    )
                draws = members.setdefault(name, {})
                # full-data fits of all seeds are one fit
                draws.setdefault(None if row["regime"] == "full" else row["seed"], len(predicted))
                predicted.append(pair.predicted[line[str(row["record_id"])]])
    assert truth is not None
    assert labels is not None
    used = sorted({place for draws in members.values() for place in draws.values()})
    place = {old: new for new, old in enumerate(used)}
    units = tuple(
        Unit(
            series,
            regime,
            tuple(place[i] for i in draws.values()),
            tuple(int(str(seed)) if seed is not None else 0 for seed in draws),
        )
        for (series, regime), draws in members.items()
    )
    chosen = np.stack([predicted[i] for i in used])
    return TaskSample(
        task, category, len(labels), truth.astype(np.int64), chosen, units, _numbered(task, groups, len(truth))
    )


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
