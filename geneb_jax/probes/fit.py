"""Fit and score every lane of one or more (encoder, task) pairs: the engine's entry points from plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.errors import ProbeError
from geneb_jax.probes.batches import Own, Part, solve_own, solve_part
from geneb_jax.probes.design import build_design, pad, transform_rows
from geneb_jax.probes.lane import Lane, LaneResult, empty_result
from geneb_jax.probes.problems import Targets
from geneb_jax.probes.programs import fitting
from geneb_jax.probes.results import Key, Scoring, check_task, lane_results
from geneb_jax.probes.score import score_lanes
from geneb_jax.probes.settle import settled
from geneb_jax.probes.solvers import SolverChoice, check_solver
from geneb_jax.probes.spec import Dtype, LogisticSpec
from geneb_jax.status import Status


class TaskArrays(NamedTuple):
    """One task: embeddings X_train (n, d), X_test (m, d) with integer labels (n,), (m,)."""

    X_train: NumpyFloat
    y_train: NumpyInt
    X_test: NumpyFloat
    y_test: NumpyInt


class _Prepared(NamedTuple):
    """Lanes of one task that share a design: their problems, and their places among the task's results."""

    task: int
    part: Part
    classes: NumpyInt
    places: list[int]


def fit_task(
    X_train: NumpyFloat,
    y_train: NumpyInt,
    X_test: NumpyFloat,
    y_test: NumpyInt,
    lanes: Sequence[Lane],
    *,
    dtype: Dtype = "float32",
    solver: SolverChoice = "auto",
) -> list[LaneResult]:
    """Fit and score all lanes on embeddings X_train (n, d), X_test (m, d) with integer labels (n,), (m,).

    Lanes that are the same problem (the seeds of the full regime) are solved once. Results come in the order of
    `lanes`; what cannot be fitted carries a status instead of a score. `solver` "auto" takes what the cost model
    chooses (`geneb_jax.probes.cost`). Raises ProbeError on arrays that do not fit together, never on their values.
    """
    return fit_tasks([TaskArrays(X_train, y_train, X_test, y_test)], [lanes], dtype=dtype, solver=solver)[0]


def fit_tasks(
    tasks: Sequence[TaskArrays],
    lanes: Sequence[Sequence[Lane]],
    *,
    dtype: Dtype = "float32",
    solver: SolverChoice = "auto",
) -> list[list[LaneResult]]:
    """`fit_task` for several tasks, `lanes` listing each one's, with draws of like shapes solved in one call.

    A task that cannot be fitted touches no other.
    """
    check_solver(solver)
    if len(tasks) != len(lanes):
        raise ProbeError(f"there are {len(tasks)} tasks, and lanes of {len(lanes)}", cure="give each task its lanes")
    for task in tasks:
        check_task(np.shape(task.X_train), task.y_train, np.shape(task.X_test), task.y_test)
    tasks = [t._replace(y_train=np.asarray(t.y_train, np.int64), y_test=np.asarray(t.y_test, np.int64)) for t in tasks]
    results: list[dict[int, LaneResult]] = [{} for _ in tasks]
    with fitting(dtype, max((task.X_train.shape[1] for task in tasks), default=0)):
        prepared: list[_Prepared] = []
        own: list[Own] = []
        for i, (task, asked) in enumerate(zip(tasks, lanes, strict=True)):
            trouble = _trouble(task.X_train, task.y_train, task.X_test)
            if trouble is not None:
                empty = [empty_result(lane, trouble, task.y_train, task.y_test) for lane in asked]
                results[i] = dict(enumerate(empty))
                continue
            for coordinates in sorted({_coordinates(lane.spec) for lane in asked}, reverse=True):
                places = [place for place, lane in enumerate(asked) if _coordinates(lane.spec) == coordinates]
                ready, left = _prepare(i, task, asked, places, coordinates, dtype, solver)
                prepared.append(ready)
                own += left
        solve_own(own)
        for ready in prepared:
            task, asked = tasks[ready.task], lanes[ready.task]
            scored = _score(task, [asked[place] for place in ready.places], ready)
            results[ready.task].update(zip(ready.places, scored, strict=True))
    return [[found[place] for place in range(len(asked))] for found, asked in zip(results, lanes, strict=True)]


def _trouble(X_train: NumpyFloat, y_train: NumpyInt, X_test: NumpyFloat) -> Status | None:
    for X in (X_train, X_test):
        # a sum is finite when every entry is, short of an overflow that the second look rules out
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.sum(X)
        if not np.isfinite(total) and not np.isfinite(X).all():
            return Status.BAD_EMBEDDING
    return Status.ONE_CLASS_TRAIN if y_train.min() == y_train.max() else None


def _coordinates(spec: LogisticSpec) -> tuple[bool, bool]:
    """(centre, intercept) of the design a specification needs."""
    return spec.fit_intercept or spec.standardize, spec.fit_intercept


def _prepare(
    i: int,
    task: TaskArrays,
    lanes: Sequence[Lane],
    places: list[int],
    coordinates: tuple[bool, bool],
    dtype: Dtype,
    solver: SolverChoice,
) -> tuple[_Prepared, list[Own]]:
    """The lanes at `places`, which share one design: what is on all rows is solved, the rest is left to be."""
    classes, index = np.unique(task.y_train, return_inverse=True)
    design = build_design(task.X_train, np.dtype(dtype), centre=coordinates[0], intercept=coordinates[1])
    keys = dict.fromkeys(Key.of(lanes[place]) for place in places)
    part = Part(task.X_train, design, Targets(index, len(classes)), list(keys), {})
    left = solve_part(part, dtype, solver)
    # from here on only the coordinates are needed, not the rows: other tasks' designs want the memory
    slim = design._replace(X=jax.device_put(np.zeros((0, design.X.shape[1]), design.X.dtype)))
    part = part._replace(design=slim)
    left = [own._replace(part=part, draws=own.draws._replace(design=slim)) for own in left]
    return _Prepared(i, part, classes, places), left


def _score(task: TaskArrays, lanes: list[Lane], ready: _Prepared) -> list[LaneResult]:
    """Score the distinct problems of one design together, and share out the results."""
    y_train, y_test, classes = task.y_train, task.y_test, ready.classes
    design, distinct, solved = ready.part.design, ready.part.keys, ready.part.solved
    labels = np.union1d(classes, y_test)
    test = transform_rows(design, task.X_test)
    m, padded = len(y_test), test.shape[0]
    W, truth = [solved[key].W for key in distinct], np.searchsorted(labels, y_test)
    scored = score_lanes(
        test,
        *jax.device_put(
            (
                np.stack([one.astype(test.dtype) for one in W]),
                pad(truth, padded),
                np.arange(padded) < m,
                np.searchsorted(labels, classes),
            )
        ),
        len(labels),
    )
    scoring = Scoring(
        classes,
        labels,
        np.asarray(scored.predicted)[:, :m],
        np.asarray(scored.confusion),
        np.asarray(scored.tied)[:, :m],
        bool(scored.finite),
    )
    scoring = settled(scoring, W, design, lambda rows: task.X_test[rows], truth)
    return lane_results(lanes, distinct, solved, scoring, design, y_train, y_test)
