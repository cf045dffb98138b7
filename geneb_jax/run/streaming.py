"""Whether a pair's vectors fit in memory, and its splits as rows of the store where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.errors import UsageError
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.solvers import SolverChoice
from geneb_jax.probes.spec import Dtype, HeldOutC
from geneb_jax.run.fitting import fit_mixed, heads_of, is_head
from geneb_jax.run.lanes import Asked
from geneb_jax.store import EmbeddingStore, SplitIndex

if TYPE_CHECKING:
    from geneb_jax.probes.blocks import IndexedRows, Rows
    from geneb_jax.probes.fit import TaskArrays

READ_SHARDS = 2
"""Stored objects that a read may hold beside the rows it returns."""


class Reader:
    """Reads the splits of pairs, whole or as rows, and fits either.

    `budget` bytes for what a fit adds to the process; None takes half of what is available when the first pair is
    read. `blocks` is whether the engine can work on rows in blocks at all.
    """

    def __init__(self, dtype: Dtype, budget: int | None, *, blocks: bool, solver: SolverChoice = "auto") -> None:
        self.dtype, self.blocks, self.solver, self._budget = dtype, blocks, solver, budget

    @property
    def budget(self) -> int:
        """The budget in bytes."""
        if self._budget is None:
            from geneb_jax.probes.memory import default_budget

            self._budget = default_budget()
        return self._budget

    def read(
        self, element: EmbeddingStore, train: SplitIndex, test: SplitIndex, lanes: Sequence[Asked]
    ) -> tuple[NumpyFloat | Rows, NumpyFloat | Rows]:
        """The vectors of both splits: arrays where the fit fits the budget, else rows of the store.

        Raises UsageError where rows were to be read in blocks by a solver that cannot.
        """
        if not self.blocks or self.planned(element, train, test, lanes) <= self.budget:
            X_train, X_test = element.read_each(train.rows, test.rows)
            return X_train, X_test
        if any(is_head(lane.spec) for lane in lanes):
            raise UsageError(
                f"only logistic probes can read embeddings in blocks, and {train.task_id} with {len(train):,} rows of "
                f"width {element.width:,} does not fit the memory budget of {self.budget / 2**20:,.0f} MiB",
                cure="allow more with --memory-budget, leave the task out with --tasks, or use --probe logistic",
            )
        if self.solver == "newton":
            raise UsageError(
                f"the exact Newton solver needs embeddings whole, and {train.task_id} with {len(train):,} rows of "
                f"width {element.width:,} does not fit the memory budget of {self.budget / 2**20:,.0f} MiB",
                cure="use --solver newton-cg or auto with another --out, or allow more with --memory-budget",
            )
        return store_rows(element, train.rows), store_rows(element, test.rows)

    def planned(self, element: EmbeddingStore, train: SplitIndex, test: SplitIndex, lanes: Sequence[Asked]) -> int:
        """Bytes that a fit on whole arrays takes."""
        from geneb_jax.probes.memory import planned_bytes

        full = {lane.spec for lane in lanes if lane.regime.shots is None}
        count = sum(len(spec.grid) if isinstance(spec, HeldOutC) else 1 for spec in full)
        classes = max(2, len(np.unique(train.labels)))
        planned = planned_bytes(len(train), len(test), element.width, classes, count, self.dtype)
        # other probe types than the logistic one hold rows in float64 as well
        heads = any(is_head(lane.spec) for lane in lanes)
        return planned + (2 * 8 * (len(train) + len(test)) * element.width if heads else 0)

    def fit(
        self,
        X_train: NumpyFloat | Rows,
        y_train: NumpyInt,
        X_test: NumpyFloat | Rows,
        y_test: NumpyInt,
        lanes: Sequence[Lane],
    ) -> list[LaneResult]:
        """`fit_task`, or `fit_task_streamed` for rows."""
        if isinstance(X_train, np.ndarray) and isinstance(X_test, np.ndarray):
            from geneb_jax.probes.fit import TaskArrays

            return self._fit_whole([TaskArrays(X_train, y_train, X_test, y_test)], [lanes])[0]
        from geneb_jax.probes.streamed import fit_task_streamed

        assert not isinstance(X_train, np.ndarray)
        assert not isinstance(X_test, np.ndarray)
        return fit_task_streamed(X_train, y_train, X_test, y_test, lanes, dtype=self.dtype, memory_budget=self.budget)

    def fit_together(self, tasks: Sequence[TaskArrays], lanes: Sequence[Sequence[Lane]]) -> list[list[LaneResult]]:
        """`fit_tasks` for the logistic probes of all tasks; other types task by task."""
        return self._fit_whole(tasks, lanes)

    def _fit_whole(self, tasks: Sequence[TaskArrays], lanes: Sequence[Sequence[Lane]]) -> list[list[LaneResult]]:
        from geneb_jax.probes.fit import fit_tasks

        logistic = [[lane for lane in own if not is_head(lane.spec)] for own in lanes]
        some = [i for i, own in enumerate(logistic) if own]
        found = fit_tasks([tasks[i] for i in some], [logistic[i] for i in some], dtype=self.dtype, solver=self.solver)
        solved = dict(zip(some, found, strict=True))
        return [
            fit_mixed(own, lambda _, i=i: solved[i], heads_of(task, self.dtype))  # type: ignore[misc]
            for i, (task, own) in enumerate(zip(tasks, lanes, strict=True))
        ]


def store_rows(element: EmbeddingStore, rows: NumpyInt) -> IndexedRows:
    """A split of the store, read a block at a time."""
    from geneb_jax.probes.blocks import IndexedRows

    return IndexedRows(element.read, rows, element.width, READ_SHARDS * 4 * element.width * element.commit_rows)


def non_finite_rows(element: EmbeddingStore, X: NumpyFloat | Rows, rows: NumpyInt) -> NumpyInt:
    """Which rows of a split hold NaN or infinite values: looked up where the vectors themselves are not in memory."""
    if isinstance(X, np.ndarray):
        return np.flatnonzero(~np.isfinite(X).all(axis=1))
    return np.flatnonzero(np.isin(rows, element.non_finite_rows))
