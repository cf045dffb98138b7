"""Several tasks at once: each gets what it gets alone, ties and statuses too, and like shapes share a compilation."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from geneb_jax.errors import ProbeError
from geneb_jax.probes import batches, problems
from geneb_jax.probes.fit import TaskArrays, fit_task, fit_tasks
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.regime import Regime
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.status import Status
from tests.probe.test_compilations import compilations
from tests.problems import FULL, make_task

PENALTIES = (1.0, 0.1)


def study(penalties: tuple[float, ...] = PENALTIES) -> list[Lane]:
    few = [Lane(Regime(shots), seed, LogisticSpec(C=C)) for C in penalties for shots in (1, 10) for seed in (13, 997)]
    return [*few, *(Lane(FULL, 13, LogisticSpec(C=C)) for C in penalties)]


def tasks(count: int, k: int, *, d: int = 56, n: int = 48, first: int = 0) -> list[TaskArrays]:
    return [TaskArrays(*make_task(first + seed, k, n=n - seed % 4, d=d, m=200)) for seed in range(count)]


def assert_same(together: LaneResult, alone: LaneResult) -> None:
    assert together.lane == alone.lane
    assert together.status == alone.status
    assert (together.n_train, together.num_ties, together.solver) == (alone.n_train, alone.num_ties, alone.solver)
    np.testing.assert_array_equal(together.labels, alone.labels)
    if alone.coef is not None:
        scale = np.abs(alone.coef).max()
        np.testing.assert_allclose(together.coef, alone.coef, rtol=0, atol=1e-6 * scale)
        np.testing.assert_array_equal(together.predictions, alone.predictions)
        np.testing.assert_array_equal(together.confusion, alone.confusion)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tasks_together_are_tasks_alone(dtype: str) -> None:
    """Two numbers of classes, one task without a class in train, one with a NaN, other widths, tasks with lanes of
    their own."""
    many = [*tasks(3, 2), *tasks(2, 3, first=10), *tasks(1, 2, d=24, first=20)]
    broken = many[0].X_train.copy()
    broken[3, 3] = np.nan
    many.insert(1, many[0]._replace(X_train=broken))
    many.insert(3, many[2]._replace(y_train=np.zeros_like(many[2].y_train)))
    lanes = [study() for _ in many]
    lanes[-1] = study()[2:7]
    results = fit_tasks(many, lanes, dtype=dtype)  # type: ignore[arg-type]
    assert {r.status for r in results[1]} == {Status.BAD_EMBEDDING}
    assert {r.status for r in results[3]} == {Status.ONE_CLASS_TRAIN}
    for task, asked, found in zip(many, lanes, results, strict=True):
        for together, alone in zip(found, fit_task(*task, asked, dtype=dtype), strict=True):  # type: ignore[arg-type]
            assert_same(together, alone)


def test_ties_are_the_same_together() -> None:
    """Counts of few letters tie exactly in 1-shot draws."""
    rng = np.random.default_rng(3)
    many = []
    for _ in range(4):
        X = rng.integers(0, 3, size=(240, 56)).astype(np.float32)
        y = rng.integers(0, 2, size=240)
        many.append(TaskArrays(X[:40], y[:40], X[40:], y[40:]))
    results = fit_tasks(many, [study()] * 4)
    assert sum(r.num_ties for found in results for r in found) > 0
    for task, found in zip(many, results, strict=True):
        for together, alone in zip(found, fit_task(*task, study()), strict=True):
            assert_same(together, alone)


@pytest.mark.slow
def test_like_tasks_compile_no_more_than_one() -> None:
    # weak penalties may leave a few slow lanes, which are gathered and compiled once for their smaller number
    lanes = study((0.01, 0.001))
    jax.clear_caches()
    with compilations() as alone:
        fit_tasks(tasks(1, 2, d=72), [lanes])
    jax.clear_caches()
    with compilations() as together:
        fit_tasks(tasks(8, 2, d=72), [lanes] * 8)
    assert 0 < len(together) <= len(alone)
    with compilations() as again:
        fit_tasks(tasks(8, 2, d=72, first=30), [lanes] * 8)
        fit_tasks(tasks(7, 2, d=72, first=50), [lanes] * 7)
    assert again == []


@pytest.mark.slow
def test_batches_within_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that do not fit one batch, and penalties that are solved one after the other, come out the same."""
    many = tasks(3, 2)
    whole = fit_tasks(many, [study()] * 3)
    monkeypatch.setattr(batches, "BATCH_BYTES", 1)
    monkeypatch.setattr(problems, "GRID_BYTES", 1)
    for cut, found in zip(fit_tasks(many, [study()] * 3), whole, strict=True):
        for one, other in zip(cut, found, strict=True):
            assert_same(one, other)


@pytest.mark.slow
def test_draws_with_different_numbers_of_penalties() -> None:
    """As where some C are chosen draw by draw, and meet one of the grid."""
    task = tasks(1, 2)[0]
    lanes = [Lane(Regime(10), seed, LogisticSpec(C=C)) for seed, C in ((13, 1.0), (13, 0.3), (13, 0.1), (997, 0.2))]
    for lane, together in zip(lanes, fit_task(*task, lanes), strict=True):
        assert_same(together, fit_task(*task, [lane])[0])


@pytest.mark.slow
def test_one_call_for_each_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    solve = batches.solve_draws

    def spy(parts: list[problems.Draws], *rest: object) -> object:
        calls.append((len(parts), parts[0].penalties.shape))
        return solve(parts, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(batches, "solve_draws", spy)
    fit_tasks(tasks(5, 2), [study()] * 5)
    # full data of fewer rows than columns; all few-shot draws
    assert sorted(calls) == [(5, (1, 2)), (5, (4, 2))]


def test_lanes_for_each_task() -> None:
    with pytest.raises(ProbeError, match="2 tasks, and lanes of 1"):
        fit_tasks(tasks(2, 2), [study()])
