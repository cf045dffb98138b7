"""`fit_task_streamed` against `fit_task`: the same answer from blocks of rows, whatever the budget."""

from __future__ import annotations

import re

import numpy as np
import pytest

from geneb_jax.errors import ProbeError
from geneb_jax.probes.blocks import ArrayRows, IndexedRows
from geneb_jax.probes.fit import fit_task
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.memory import Shape, plan, smallest_budget
from geneb_jax.probes.regime import Regime, draw_rows
from geneb_jax.probes.spec import Dtype, LogisticSpec
from geneb_jax.probes.streamed import Pass, fit_task_streamed
from geneb_jax.status import Status
from tests.problems import D, Task, assert_reaches, lanes, make_task, optimum
from tests.tolerances import limit

N, M = 500, 300
PLENTY = 8 * 2**20
"""A budget at which all rows of these tasks are one block; the smallest cuts them into four."""

OPTIONS = (
    LogisticSpec(),
    LogisticSpec(C=0.01),
    LogisticSpec(C=100.0),
    LogisticSpec(balanced=True),
    LogisticSpec(standardize=True, C=0.3),
    LogisticSpec(fit_intercept=False),
    LogisticSpec(fit_intercept=False, standardize=True, balanced=True),
)


def shape(k: int, dtype: Dtype, n: int = N, count: int = 1) -> Shape:
    return Shape(n, D, 1 if k == 2 else k, count, np.dtype(dtype).itemsize, 0)


def streamed(task: Task, asked: list[Lane], dtype: Dtype, budget: int) -> list[LaneResult]:
    X, y, X_test, y_test = task
    return fit_task_streamed(ArrayRows(X), y, ArrayRows(X_test), y_test, asked, dtype=dtype, memory_budget=budget)


def assert_same(streamed: list[LaneResult], whole: list[LaneResult], dtype: Dtype) -> None:
    for a, b in zip(streamed, whole, strict=True):
        assert a.lane == b.lane
        assert a.status is b.status, a.lane
        assert a.n_train == b.n_train
        if not b.status.has_score:
            assert a.coef is None
            continue
        assert a.objective == pytest.approx(b.objective, rel=limit(dtype, "same_problem"))
        assert np.mean(a.predictions == b.predictions) >= limit(dtype, "predictions_equal")  # type: ignore[arg-type]
        assert a.confusion is not None
        assert a.confusion.sum() == len(b.predictions)  # type: ignore[arg-type]
        if np.array_equal(a.predictions, b.predictions):  # type: ignore[arg-type]
            assert np.array_equal(a.confusion, b.confusion)  # type: ignore[arg-type]
        assert np.array_equal(a.classes, b.classes)
        assert np.array_equal(a.labels, b.labels)
        assert a.num_steps > 0


@pytest.mark.slow
@pytest.mark.parametrize(("k", "dtype"), [(2, "float32"), (5, "float64")])
def test_the_same_answer_as_in_memory(k: int, dtype: Dtype) -> None:
    task = make_task(k, k, n=N, m=M, spread=5.0 if k > 2 else 2.5)
    asked = [*lanes(OPTIONS[:4]), Lane(Regime(10), 13, LogisticSpec())]
    assert_same(streamed(task, asked, dtype, PLENTY // 3), fit_task(*task, asked, dtype=dtype), dtype)


@pytest.mark.parametrize("k", [2, 5])
def test_every_option_reaches_the_optimum(k: int) -> None:
    task = make_task(k, k, n=N, m=M, spread=5.0 if k > 2 else 2.5)
    check(streamed(task, lanes(OPTIONS), "float64", PLENTY), task)


def check(results: list[LaneResult], task: Task) -> None:
    """All lanes converged to the optimum of their rows, in float64."""
    X, y, X_test, _ = task
    for result in results:
        shots = result.lane.regime.shots
        rows = np.arange(len(y)) if shots is None else draw_rows(y, shots, result.lane.seed)
        assert result.status is Status.CONVERGED
        assert result.n_train == len(rows)
        assert result.relative_gap <= result.lane.spec.resolved_tolerance("float64")
        best = optimum(X[rows], y[rows], result.lane.spec, newton=False)
        assert_reaches(result, best, X_test, "float64")


@pytest.mark.parametrize("k", [2, 5])
def test_the_smallest_budget_takes_longer_to_the_same_answer(k: int) -> None:
    task = make_task(k, k, n=N, m=M, spread=5.0 if k > 2 else 2.5)
    budget = smallest_budget(shape(k, "float64"))
    small = plan(shape(k, "float64", count=2), budget)
    assert (small.lanes, small.diagonal) == (1, True)
    assert small.block < N
    asked = [*lanes((LogisticSpec(), LogisticSpec(C=0.01))), Lane(Regime(200), 13, LogisticSpec())]
    check(streamed(task, asked, "float64", budget), task)


def test_a_budget_below_the_smallest_says_how_much_it_takes() -> None:
    task = make_task(2, 2, n=N, m=M)
    budget = smallest_budget(shape(2, "float32")) - 1
    with pytest.raises(ProbeError, match="memory budget") as caught:
        streamed(task, lanes((LogisticSpec(),)), "float32", budget)
    named = re.search(r"at least ([\d.]+) MiB", str(caught.value))
    assert named is not None
    assert float(named.group(1)) * 2**20 >= budget


def hard(kind: str, k: int) -> Task:
    X, y, X_test, y_test = make_task(30, k, n=N, m=M)
    rng = np.random.default_rng(1)
    if kind == "badly scaled":
        scales = np.logspace(-4, 4, D, dtype=np.float32)[rng.permutation(D)]
        return X * scales, y, X_test * scales, y_test
    if kind == "mean above spread":
        return X + 1000 * X.std(), y, X_test + 1000 * X.std(), y_test
    if kind == "sorted by class":
        order = np.argsort(y)
        return X[order], y[order], X_test, y_test
    X[:, 12:], X_test[:, 12:] = X[:, :12], X_test[:, :12]
    X[:, 0] = X_test[:, 0] = -1e6
    return X * 30, y, X_test * 30, y_test


@pytest.mark.parametrize("kind", ["badly scaled", "mean above spread", "sorted by class", "duplicated and constant"])
@pytest.mark.parametrize("k", [2, 5])
def test_hard_features(k: int, kind: str) -> None:
    task = hard(kind, k)
    asked = lanes((LogisticSpec(), LogisticSpec(standardize=True)))
    found = streamed(task, asked, "float64", PLENTY // 6)
    check(found, task)


@pytest.mark.slow
def test_fewer_rows_than_columns() -> None:
    """In the rows' span where they fit the budget, else over blocks with a diagonal preconditioner."""
    task = make_task(23, 3, n=200, d=256, m=M, spread=8.0)
    asked = lanes((LogisticSpec(),))
    check(streamed(task, asked, "float64", PLENTY), task)
    (tight,) = streamed(task, asked, "float64", smallest_budget(Shape(200, 256, 3, 1, 8, 0)))
    assert "blocks" in tight.solver
    check([tight], task)


@pytest.mark.parametrize("where", ["train", "test"])
def test_bad_embeddings_are_found_in_any_block(where: str) -> None:
    X, y, X_test, y_test = make_task(3, 2, n=N, m=M)
    (X if where == "train" else X_test)[-1, 5] = np.nan
    (result,) = streamed((X, y, X_test, y_test), lanes((LogisticSpec(),)), "float32", PLENTY // 6)
    assert result.status is Status.BAD_EMBEDDING
    assert result.predictions is None


def test_one_class_is_a_status() -> None:
    X, y, X_test, y_test = make_task(3, 2, n=N, m=M)
    (train,) = streamed((X, y * 0, X_test, y_test), lanes((LogisticSpec(),)), "float32", PLENTY)
    assert train.status is Status.ONE_CLASS_TRAIN
    (test,) = streamed((X, y, X_test, y_test * 0), lanes((LogisticSpec(),)), "float32", PLENTY)
    assert test.status is Status.ONE_CLASS_TEST


def test_rows_by_number_in_any_order() -> None:
    X, y, X_test, y_test = make_task(4, 2, n=N, m=M)
    order = np.random.default_rng(0).permutation(N)
    fetched: list[int] = []

    def fetch(rows: np.ndarray) -> np.ndarray:
        fetched.append(len(rows))
        return X[rows]

    rows = IndexedRows(fetch, order, D)
    asked = [*lanes((LogisticSpec(),)), Lane(Regime(10), 13, LogisticSpec())]
    found = fit_task_streamed(
        rows, y[order], ArrayRows(X_test), y_test, asked, dtype="float64", memory_budget=PLENTY // 6
    )
    check(found, (X[order], y[order], X_test, y_test))
    assert max(fetched) < N


def test_every_pass_is_told_and_may_be_the_last() -> None:
    task = make_task(2, 2, n=N, m=M)
    X, y, X_test, y_test = task
    told: list[Pass] = []
    args = (ArrayRows(X), y, ArrayRows(X_test), y_test, lanes((LogisticSpec(),)))
    fit_task_streamed(*args, memory_budget=PLENTY, progress=told.append)
    assert [p.number for p in told] == list(range(1, len(told) + 1))
    assert told[0].stage == "mean and spread"
    assert told[-1].stage == "scoring"
    assert told[-2].running == 0

    def stop(p: Pass) -> None:
        if p.number == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_task_streamed(*args, memory_budget=PLENTY, progress=stop)


def test_an_error_of_the_source_comes_through() -> None:
    X, y, X_test, y_test = make_task(2, 2, n=N, m=M)

    def fetch(rows: np.ndarray) -> np.ndarray:
        if rows[-1] > 300:
            raise OSError("the disk is gone")
        return X[rows]

    rows = IndexedRows(fetch, np.arange(N), D)
    with pytest.raises(OSError, match="the disk is gone"):
        fit_task_streamed(rows, y, ArrayRows(X_test), y_test, lanes((LogisticSpec(),)), memory_budget=PLENTY // 6)


def test_no_lanes_no_results() -> None:
    assert streamed(make_task(2, 2, n=N, m=M), [], "float32", PLENTY) == []
