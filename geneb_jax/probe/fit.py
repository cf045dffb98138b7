"""Fit and score every lane of one (encoder, task): the engine's entry point from plain arrays."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.errors import ProbeError
from geneb_jax.probe.design import Design, build_design, pad, raw_coefficients, transform_rows
from geneb_jax.probe.dual_rounds import SINGLE_LIMIT
from geneb_jax.probe.lane import Lane, LaneResult, empty_result
from geneb_jax.probe.problems import Targets, solve_all_rows, solve_own_rows
from geneb_jax.probe.regime import draw_rows
from geneb_jax.probe.score import score_lanes, table_scores
from geneb_jax.probe.spec import Dtype, LogisticSpec
from geneb_jax.status import Status

WIDE = 2048
"""From this width on LAPACK gets all threads; below, its spinning threads only disturb XLA's."""

SMALL_DRAW = 64
"""Draws of up to this many rows are padded to one size and solved together: one compilation, little waste."""


FEW_ROWS = 256
"""Up to this many rows, where they are fewer than the columns, a fit goes to their span in float64."""


class _Solved(NamedTuple):
    """One distinct problem after its fit; W (q, o) in the design's coordinates."""

    W: NumpyFloat
    status: Status
    objective: float
    relative_gap: float
    grad_norm: float
    num_steps: int
    n_train: int
    solver: str
    seconds: float


class _Key(NamedTuple):
    """What makes two lanes the same problem: the full regime has no seed."""

    shots: int | None
    seed: int
    spec: LogisticSpec


def fit_task(
    X_train: NumpyFloat,
    y_train: NumpyInt,
    X_test: NumpyFloat,
    y_test: NumpyInt,
    lanes: Sequence[Lane],
    *,
    dtype: Dtype = "float32",
) -> list[LaneResult]:
    """Fit and score all lanes on embeddings X_train (n, d), X_test (m, d) with integer labels (n,), (m,).

    Lanes that are the same problem (the seeds of the full regime) are solved once. Results come in the order of
    `lanes`; what cannot be fitted carries a status instead of a score. Raises ProbeError on arrays that do not fit
    together, never on their values.
    """
    _check_shapes(X_train, y_train, X_test, y_test)
    y_train, y_test = np.asarray(y_train, np.int64), np.asarray(y_test, np.int64)
    trouble = _trouble(X_train, y_train, X_test)
    if trouble is not None:
        return [empty_result(lane, trouble, y_train, y_test) for lane in lanes]
    one_thread = X_train.shape[1] < WIDE
    results: dict[int, LaneResult] = {}
    with (
        np.errstate(over="ignore"),  # what overflows the asked precision ends as a status
        jax.enable_x64(dtype == "float64"),
        threadpool_limits(1, "blas") if one_thread else contextlib.nullcontext(),
    ):
        for coordinates in sorted({_coordinates(lane.spec) for lane in lanes}, reverse=True):
            places = [i for i, lane in enumerate(lanes) if _coordinates(lane.spec) == coordinates]
            fitted = _fit_coordinates(
                X_train,
                y_train,
                X_test,
                y_test,
                [lanes[i] for i in places],
                coordinates,
                np.dtype(dtype),
                dtype,
            )
            results.update(zip(places, fitted, strict=True))
    return [results[i] for i in range(len(lanes))]


def _check_shapes(X_train: NumpyFloat, y_train: NumpyInt, X_test: NumpyFloat, y_test: NumpyInt) -> None:
    for name, X, y in (("train", X_train, y_train), ("test", X_test, y_test)):
        if np.ndim(X) != 2 or np.ndim(y) != 1 or len(X) != len(y) or not len(X):
            raise ProbeError(
                f"the {name} embeddings must be (n, width) with one label per row, "
                f"not {np.shape(X)} with {np.shape(y)} labels"
            )
        if not np.issubdtype(np.asarray(y).dtype, np.integer):
            raise ProbeError(f"the {name} labels must be integers, not {np.asarray(y).dtype}")
    if X_train.shape[1] != X_test.shape[1]:
        raise ProbeError(f"train and test embeddings differ in width: {X_train.shape[1]} and {X_test.shape[1]}")


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


def _fit_coordinates(
    X_train: NumpyFloat,
    y_train: NumpyInt,
    X_test: NumpyFloat,
    y_test: NumpyInt,
    lanes: list[Lane],
    coordinates: tuple[bool, bool],
    np_dtype: np.dtype[Any],
    dtype: Dtype,
) -> list[LaneResult]:
    """All lanes that share one design: solve the distinct problems, score them together, share out the results."""
    classes, index = np.unique(y_train, return_inverse=True)
    targets = Targets(index, len(classes))
    design = build_design(X_train, np_dtype, centre=coordinates[0], intercept=coordinates[1])
    keys = [_Key(lane.regime.shots, lane.seed if lane.regime.shots is not None else 0, lane.spec) for lane in lanes]
    distinct = list(dict.fromkeys(keys))
    solved: dict[_Key, _Solved] = {}
    for group in _groups(distinct, targets.k):
        solved.update(zip(group, _solve_group(X_train, design, targets, group, dtype), strict=True))

    labels = np.union1d(classes, y_test)
    test = transform_rows(design, X_test)
    m, padded = len(y_test), test.shape[0]
    scored = score_lanes(
        test,
        jnp.asarray(np.stack([solved[key].W for key in distinct])),
        jnp.asarray(pad(np.searchsorted(labels, y_test), padded)),
        jnp.arange(padded) < m,
        jnp.asarray(np.searchsorted(labels, classes)),
        len(labels),
    )
    confusion = np.asarray(scored.confusion)
    values = [np.asarray(v) for v in table_scores(confusion)]
    predicted, ties = np.asarray(scored.predicted), np.asarray(scored.ties)
    shift, scale = np.asarray(design.shift), np.asarray(design.scale)
    # squares of features that overflow would otherwise divide every feature to zero, and look like a fit
    finite = bool(scored.finite) and bool(np.isfinite(scale).all())
    place = {key: i for i, key in enumerate(distinct)}

    def result(lane: Lane, key: _Key) -> LaneResult:
        s, i = solved[key], place[key]
        status = s.status if finite else Status.NON_FINITE
        if not status.has_score:
            return empty_result(lane, status, y_train, y_test)
        coef, intercept = raw_coefficients(s.W, shift, scale)
        return LaneResult(
            lane=lane,
            status=_scored_status(status, confusion[i]),
            classes=classes,
            labels=labels,
            n_train=s.n_train,
            coef=coef,
            intercept=intercept,
            predictions=classes[predicted[i, :m]],
            confusion=confusion[i].astype(np.int64),
            mcc=float(values[0][i]),
            accuracy=float(values[1][i]),
            macro_f1=float(values[2][i]),
            objective=s.objective,
            relative_gap=s.relative_gap,
            grad_norm=s.grad_norm,
            num_steps=s.num_steps,
            num_ties=int(ties[i]),
            solver=s.solver,
            seconds=s.seconds,
        )

    return [result(lane, key) for lane, key in zip(lanes, keys, strict=True)]


def _groups(keys: list[_Key], k: int) -> list[list[_Key]]:
    """Problems that are solved in one batch: all full-data penalties together, and all small draws of one spec.

    Draws may differ in C, as they do where it is chosen draw by draw; a second C of the same draw is in another batch.
    """
    groups: dict[tuple[object, ...], list[_Key]] = {}
    turns: Counter[_Key] = Counter()
    for key in keys:
        if key.shots is None:
            label: tuple[object, ...] = (None, key.spec.max_steps, key.spec.tolerance)
        else:
            # small draws of different sizes share one padded batch, and one compilation
            alike = key._replace(spec=replace(key.spec, C=1.0))
            label = (0 if key.shots * k <= SMALL_DRAW else key.shots, alike.spec, turns[alike])
            turns[alike] += 1
        groups.setdefault(label, []).append(key)
    return list(groups.values())


def _solve_group(X: NumpyFloat, design: Design, targets: Targets, group: list[_Key], dtype: Dtype) -> list[_Solved]:
    began = time.perf_counter()
    first = group[0]
    tolerance = first.spec.resolved_tolerance(dtype)
    n, d = design.rows, design.X.shape[1] - 1
    in_span = "newton-cg in the rows' span"
    specs = [key.spec for key in group]
    if first.shots is None and (n >= d or (dtype == "float32" and _many_tame_rows(X, specs))):
        solver, sizes = "newton-cg" if n >= d else "newton-cg, dual", [n] * len(group)
        parts = [solve_all_rows(design, targets, specs, tolerance=tolerance, max_steps=first.spec.max_steps)]
    elif first.shots is None:
        solver, sizes = in_span, [n] * len(group)
        everything = np.arange(n)
        parts = [solve_own_rows(X, design, targets, [everything], key.spec) for key in group]
    else:
        draws = [draw_rows(targets.index, key.shots or 0, key.seed) for key in group]
        sizes = [len(rows) for rows in draws]
        solver = in_span if max(sizes) < d else "newton-cg"
        parts = [solve_own_rows(X, design, targets, draws, first.spec, [key.spec.C for key in group])]
    W, status, value, gap, grad_norm, steps = (np.concatenate(column) for column in zip(*parts, strict=True))
    seconds = (time.perf_counter() - began) / len(group)
    return [
        _Solved(
            W=W[i],
            status=Status(int(status[i])),
            objective=float(value[i]),
            relative_gap=float(gap[i]),
            grad_norm=float(grad_norm[i]),
            num_steps=int(steps[i]),
            n_train=sizes[i],
            solver=solver,
            seconds=seconds,
        )
        for i in range(len(group))
    ]


def _many_tame_rows(X: NumpyFloat, specs: Sequence[LogisticSpec]) -> bool:
    """Whether full-data rows fewer than their columns are solved in float32: too many to go to their span in float64
    at little cost, and of norms that float32's dual can take."""
    if len(X) <= FEW_ROWS or any(spec.standardize or spec.balanced for spec in specs):
        return False
    centred = X - X.mean(axis=0) if specs[0].fit_intercept else X
    return bool(0.25 * max(spec.C for spec in specs) * np.einsum("nd,nd->n", centred, centred).max() <= SINGLE_LIMIT)


def _scored_status(status: Status, table: NumpyInt) -> Status:
    """A finished fit's status after a look at its table: a degenerate score is marked as such."""
    if status is not Status.CONVERGED:
        return status
    if np.count_nonzero(table.sum(axis=1)) == 1:
        return Status.ONE_CLASS_TEST
    return Status.ONE_CLASS_PREDICTED if np.count_nonzero(table.sum(axis=0)) == 1 else status
