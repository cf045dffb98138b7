"""Fit and score every lane of one (encoder, task) whose vectors do not fit in memory: `fit_task` over blocks of rows.

The same problems, coordinates, stop rule and ties; the same draws through the same solver. What differs is that every
product with X is a loop over blocks, in which all lanes take part, each at its own stage (`geneb_jax.probes.sweep`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.backend import devices
from geneb_jax.probes.blocks import Coordinates, Moments, Rows, all_finite, body, moments, select, stream
from geneb_jax.probes.design import Design
from geneb_jax.probes.lane import Lane, LaneResult, empty_result
from geneb_jax.probes.memory import Plan, Shape, own_rows_bytes, plan, scoring_rows
from geneb_jax.probes.problems import Targets, solve_own_rows
from geneb_jax.probes.programs import compiler_memory_returned, program
from geneb_jax.probes.regime import draw_many
from geneb_jax.probes.results import Key, Scoring, Solved, check_task, lane_results, solved_from
from geneb_jax.probes.score import score_lanes
from geneb_jax.probes.settle import settled
from geneb_jax.probes.spec import Dtype, LogisticSpec
from geneb_jax.probes.sweep import Layout, Streamed, solve_streamed
from geneb_jax.solve.streamed import Descent
from geneb_jax.status import Status

DRAW_BATCH = 64
"""Most draws that are solved together; a budget may ask for fewer."""


@dataclass(frozen=True)
class Pass:
    """What a progress callback is told after every pass over rows: how many there were, and the lanes still going.

    `gap` is the largest estimate of (F - F*)/F among the lanes still going, infinite before there is one.
    """

    number: int
    stage: str
    running: int
    gap: float


Progress = Callable[[Pass], None]


def fit_task_streamed(
    train: Rows,
    y_train: NumpyInt,
    test: Rows,
    y_test: NumpyInt,
    lanes: Sequence[Lane],
    *,
    dtype: Dtype = "float32",
    memory_budget: int,
    progress: Progress | None = None,
) -> list[LaneResult]:
    """Fit and score all lanes as `fit_task` does, holding at most `memory_budget` bytes of rows, logits and factors.

    What the budget counts is said in `geneb_jax.probes.memory`. `progress` is called after every pass; what it raises
    ends the fit. Raises ProbeError on rows and labels that do not fit together, and for a budget that is too small.
    """
    y_train, y_test = np.asarray(y_train), np.asarray(y_test)
    check_task(train.shape, y_train, test.shape, y_test)
    y_train, y_test = y_train.astype(np.int64), y_test.astype(np.int64)
    if not lanes:
        return []
    devices()
    with (
        np.errstate(over="ignore", invalid="ignore"),
        jax.enable_x64(dtype == "float64"),
        compiler_memory_returned(),
    ):
        task = _Task(train, y_train, test, y_test, dtype, memory_budget, progress)
        if task.trouble is not None:
            return [empty_result(lane, task.trouble, y_train, y_test) for lane in lanes]
        results: dict[int, LaneResult] = {}
        frames = [(lane.spec.fit_intercept or lane.spec.standardize, lane.spec.fit_intercept) for lane in lanes]
        for frame in sorted(set(frames), reverse=True):
            places = [i for i, own in enumerate(frames) if own == frame]
            fitted = task.fit([lanes[i] for i in places], *frame)
            results.update(zip(places, fitted, strict=True))
        return [results[i] for i in range(len(lanes))]


class _Task:
    """Everything that the lanes of one task share."""

    def __init__(
        self,
        train: Rows,
        y_train: NumpyInt,
        test: Rows,
        y_test: NumpyInt,
        dtype: Dtype,
        budget: int,
        progress: Progress | None,
    ) -> None:
        self.train, self.test, self.y_train, self.y_test = train, test, y_train, y_test
        self.name, self.dtype, self.budget, self.progress = dtype, np.dtype(dtype), budget, progress
        self.classes, index = np.unique(y_train, return_inverse=True)
        self.targets = Targets(index, len(self.classes))
        self.o = 1 if self.targets.k <= 2 else self.targets.k
        self.passes = 0
        block = self.plan(len(y_train), 1).block
        self.moments = moments(train, block, self.dtype, lambda: self.tick("mean and spread"))
        self.trouble: Status | None = None
        if not (self.moments.finite and all_finite(test, block)):
            self.trouble = Status.BAD_EMBEDDING
        elif len(self.classes) < 2:
            self.trouble = Status.ONE_CLASS_TRAIN

    def tick(self, stage: str, lanes: Sequence[Descent] = ()) -> None:
        """Count a pass and tell of it."""
        self.passes += 1
        if self.progress is not None:
            going = [lane.gap for lane in lanes if lane.status is Status.MAX_STEPS]
            self.progress(Pass(self.passes, stage, len(going), max(going, default=np.inf)))

    def shape(self, n: int, lanes: int) -> Shape:
        """The sizes that a plan depends on."""
        scratch = max(self.train.scratch_bytes, self.test.scratch_bytes)
        return Shape(n, self.train.shape[1], self.o, lanes, self.dtype.itemsize, scratch)

    def plan(self, n: int, lanes: int) -> Plan:
        """How to solve lanes over n rows within the budget."""
        return plan(self.shape(n, lanes), self.budget)

    def fit(self, lanes: list[Lane], centre: bool, intercept: bool) -> list[LaneResult]:
        """All lanes that share one design: solve the distinct problems, score them together, share out the results."""
        design, coordinates = self.moments.design(self.dtype, centre=centre, intercept=intercept)
        distinct = list(dict.fromkeys(Key.of(lane) for lane in lanes))
        groups: dict[tuple[object, ...], list[Key]] = {}
        for key in distinct:
            groups.setdefault((None,) if key.shots is None else (key.shots, key.spec), []).append(key)
        solved: dict[Key, Solved] = {}
        for group in groups.values():
            began = time.perf_counter()
            full = group[0].shots is None
            found = self._full(group, design, coordinates) if full else self._draws(group, design)
            seconds = (time.perf_counter() - began) / len(group)
            solved.update((key, s._replace(seconds=seconds)) for key, s in zip(group, found, strict=True))
        W = [solved[key].W for key in distinct]
        scoring = self._score(coordinates, np.stack([one.astype(self.dtype) for one in W]))
        truth = np.searchsorted(scoring.labels, self.y_test)
        scoring = settled(scoring, W, design, self.test.take, truth)
        return lane_results(lanes, distinct, solved, scoring, design, self.y_train, self.y_test)

    def _full(self, group: list[Key], design: Design, coordinates: Coordinates) -> list[Solved]:
        n, d = self.train.shape
        if n < d and own_rows_bytes(n, d, self.o) <= self.budget:
            everything = np.arange(n)
            X = self.train.read(0, n)
            self.tick("rows of the full data")
            return [s for key in group for s in self._own_rows(X, design, self.targets, [everything], key.spec)]
        return self._streamed(self.train, self.targets, coordinates, [key.spec for key in group])

    def _streamed(
        self, rows: Rows, targets: Targets, coordinates: Coordinates, specs: list[LogisticSpec]
    ) -> list[Solved]:
        """Problems over all of `rows`, in their coordinates."""
        how = self.plan(rows.shape[0], len(specs))
        problem = Streamed(rows, targets.index, targets.k, coordinates, self.dtype)
        layout = Layout(how.block, how.per_class, how.diagonal)
        done: list[Descent] = []
        for start in range(0, len(specs), how.lanes):
            part = specs[start : start + how.lanes]
            done += solve_streamed(problem, part, self.name, layout, lambda lanes: self.tick("solving", lanes))
            for lane in done:
                lane.release()
        return [
            Solved(
                W=lane.W,
                status=lane.status,
                objective=lane.value,
                relative_gap=lane.gap,
                grad_norm=lane.grad_norm,
                num_steps=lane.num_steps,
                n_train=rows.shape[0],
                solver="newton-cg over blocks of rows",
            )
            for lane in done
        ]

    def _draws(self, group: list[Key], design: Design) -> list[Solved]:
        """Draws of one size and specification: in the span of their rows, or over blocks where they are too many."""
        draws = draw_many(self.targets.index, [(key.shots or 0, key.seed) for key in group])
        d, spec = self.train.shape[1], group[0].spec
        longest = max(len(rows) for rows in draws)
        batch = min(DRAW_BATCH, len(draws))
        while batch > 1 and own_rows_bytes(longest, d, self.o, batch) > self.budget:
            batch = -(-batch // 2)
        if own_rows_bytes(longest, d, self.o, batch) > self.budget:
            return [self._large_draw(rows, design, spec) for rows in draws]
        found: list[Solved] = []
        for start in range(0, len(draws), batch):
            part = draws[start : start + batch]
            union = np.unique(np.concatenate(part))
            local = [np.searchsorted(union, rows) for rows in part]
            # a short last batch repeats its last draw, so that it needs no compilation of its own
            local += [local[-1]] * (batch - len(part)) if start else []
            targets = Targets(self.targets.index[union], self.targets.k)
            solved = self._own_rows(self.train.take(union), design, targets, local, spec)
            found += solved[: len(part)]
            self.tick("draws")
        return found

    def _own_rows(
        self, X: NumpyFloat, design: Design, targets: Targets, selections: list[NumpyInt], spec: LogisticSpec
    ) -> list[Solved]:
        fitted = solve_own_rows(X, design, targets, selections, spec)
        in_span = max(len(rows) for rows in selections) < X.shape[1]
        solver = "newton-cg in the rows' span" if in_span else "newton-cg"
        return [solved_from(fitted, i, len(rows), solver) for i, rows in enumerate(selections)]

    def _large_draw(self, drawn: NumpyInt, design: Design, spec: LogisticSpec) -> Solved:
        """A draw that is a large data set itself: its own moments and passes, then the common coordinates."""
        rows = select(self.train, drawn)
        assert not isinstance(rows, np.ndarray)
        own_moments: Moments = moments(
            rows, self.plan(len(drawn), 1).block, self.dtype, lambda: self.tick("mean and spread")
        )
        centre = spec.fit_intercept or spec.standardize
        _, own = own_moments.design(self.dtype, centre=centre, intercept=spec.fit_intercept)
        targets = Targets(self.targets.index[drawn], self.targets.k)
        (found,) = self._streamed(rows, targets, own, [spec])
        shift, own_shift = (np.asarray(a, np.float64) for a in (design.shift, own.shift))
        coef = found.W[:-1] / np.asarray(own.scale, np.float64)[:, None]
        # from shift to shift: the intercept on raw features would cancel where their mean is far from zero
        intercept = found.W[-1] + (shift - own_shift) @ coef
        W = np.concatenate([coef * np.asarray(design.scale, np.float64)[:, None], intercept[None]])
        return found._replace(W=W.astype(self.dtype))

    def _score(self, coordinates: Coordinates, W: NumpyFloat) -> Scoring:
        """Score all problems W (p, q, o) on the test rows, block by block; the tables add up."""
        m, p = len(self.y_test), len(W)
        labels = np.union1d(self.classes, self.y_test)
        size = scoring_rows(self.shape(m, p), p, m, self.budget)
        ones = coordinates._replace(last=jnp.ones_like(coordinates.last))
        truth = np.searchsorted(labels, self.y_test)
        on_device, column_labels = jax.device_put((W, np.searchsorted(labels, self.classes)))
        predicted = np.empty((p, m), np.min_scalar_type(len(self.classes)))
        confusion, finite = np.zeros((p, len(labels), len(labels)), np.int64), True
        tied = np.zeros((p, m), bool)
        for block in stream(self.test, size):
            count = block.stop - block.start
            real = np.arange(size) < count
            true = np.zeros(size, np.int64)
            true[:count] = truth[block.start : block.stop]
            X = _with_last(block.raw, real, ones)
            part = score_lanes(X, on_device, *jax.device_put((true, real)), column_labels, len(labels))
            predicted[:, block.start : block.stop] = np.asarray(part.predicted)[:, :count]
            confusion += np.asarray(part.confusion)
            tied[:, block.start : block.stop] = np.asarray(part.tied)[:, :count]
            finite &= bool(part.finite)
        self.tick("scoring")
        return Scoring(self.classes, labels, predicted, confusion, tied, finite)


@program
def _with_last(raw: jax.Array, real: jax.Array, coordinates: Coordinates) -> jax.Array:
    """Rows in solver coordinates with their last column."""
    last = jnp.where(real, coordinates.last, 0)[:, None]
    return jnp.concatenate([body(raw, real, coordinates), last], axis=1)
