"""What must not change a fit: one list of transformations, run through every kind of lane and both precisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from geneb_jax.probes.fit import fit_task
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.regime import Regime
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.status import Status
from tests.problems import SPECS, D, M, N, Task, lanes, make_task
from tests.tolerances import limit

DTYPES = ["float32", "float64"]
SHOTS = [Lane(Regime(shots), seed, LogisticSpec()) for shots in (1, 10) for seed in (13, 997)]
BY_SCALE = (*SPECS[:3], LogisticSpec(C=10.0))
"""Standardised features forget a scale, so that a rescaled penalty would change them."""

rng = np.random.default_rng(0)
ROWS, TEST_ROWS, COLUMNS = rng.permutation(N), rng.permutation(M), rng.permutation(D)
SCALE, SHIFT = 3.0, 40.0


@dataclass(frozen=True)
class Change:
    """A change of a task and its specifications, and what it must do to coefficients, predictions and objective."""

    task: Callable[[Task], Task]
    coef: Callable[[np.ndarray], np.ndarray] = lambda W: W
    predictions: Callable[[np.ndarray], np.ndarray] = lambda p: p
    spec: Callable[[LogisticSpec], LogisticSpec] = lambda s: s
    objective: float = 1.0
    specs: tuple[LogisticSpec, ...] = SPECS


def swap(y: np.ndarray) -> np.ndarray:
    """Class 0 becomes the last; in two classes that turns the sign of the coefficients."""
    return np.where(y == 0, y.max() + 1, y)


def swapped_coef(W: np.ndarray) -> np.ndarray:
    return -W if W.shape[1] == 1 else np.roll(W, -1, axis=1)


CHANGES = {
    "train rows in another order": Change(lambda t: (t[0][ROWS], t[1][ROWS], t[2], t[3])),
    "test rows in another order": Change(
        lambda t: (t[0], t[1], t[2][TEST_ROWS], t[3][TEST_ROWS]), predictions=lambda p: p[TEST_ROWS]
    ),
    "columns in another order": Change(
        lambda t: (t[0][:, COLUMNS], t[1], t[2][:, COLUMNS], t[3]), coef=lambda W: W[COLUMNS]
    ),
    "classes in another order": Change(
        lambda t: (t[0], swap(t[1]), t[2], np.where(t[3] == 0, t[1].max() + 1, t[3])),
        coef=swapped_coef,
        predictions=lambda p: p,  # compared as names, see below
    ),
    "features times s, C over s²": Change(
        lambda t: (t[0] * np.float32(SCALE), t[1], t[2] * np.float32(SCALE), t[3]),
        coef=lambda W: W / SCALE,
        spec=lambda s: replace(s, C=s.C / SCALE**2),
        objective=1 / SCALE**2,
        specs=BY_SCALE,
    ),
    "features shifted": Change(lambda t: (t[0] + np.float32(SHIFT), t[1], t[2] + np.float32(SHIFT), t[3])),
}


def same(result: LaneResult, coef: np.ndarray, predictions: np.ndarray, objective: float, dtype: str) -> None:
    assert result.status is Status.CONVERGED
    assert result.coef is not None
    assert result.predictions is not None
    assert result.objective == pytest.approx(objective, rel=limit(dtype, "same_problem"))
    assert np.abs(result.coef - coef).max() <= limit(dtype, "coef") * np.abs(coef).max()
    assert (result.predictions == predictions).mean() >= limit(dtype, "predictions_equal")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("name", CHANGES)
def test_changes_that_must_not_matter(name: str, k: int, dtype: str) -> None:
    change, task = CHANGES[name], make_task(60, k)
    # whole numbers over 64 keep a shift exact, so that it is the same problem and not a rounded one
    task = (np.round(task[0] * 64) / 64, task[1], np.round(task[2] * 64) / 64, task[3])
    before = fit_task(*task, lanes(change.specs), dtype=dtype)  # type: ignore[arg-type]
    specs = tuple(change.spec(s) for s in change.specs)
    after = fit_task(*change.task(task), lanes(specs), dtype=dtype)  # type: ignore[arg-type]
    for old, new in zip(before, after, strict=True):
        assert old.coef is not None
        assert old.predictions is not None
        predictions = change.predictions(old.predictions)
        if name == "classes in another order":
            predictions = np.where(predictions == 0, k, predictions)
        same(new, change.coef(old.coef), predictions, old.objective * change.objective, dtype)


@pytest.mark.parametrize(("k", "dtype"), [(2, "float32"), (2, "float64"), (3, "float64")])
def test_batched_equals_one_by_one(k: int, dtype: str) -> None:
    task = make_task(61, k)
    for result in fit_task(*task, [*lanes(), *SHOTS], dtype=dtype):  # type: ignore[arg-type]
        if result.lane.regime.shots is not None and (k, dtype) != (2, "float64"):
            continue  # draws are always solved in float64, by the same code for every k: spare the compilations
        (alone,) = fit_task(*task, [result.lane], dtype=dtype)  # type: ignore[arg-type]
        same(alone, result.coef, result.predictions, result.objective, dtype)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", DTYPES)
def test_order_of_the_lanes_does_not_matter(dtype: str) -> None:
    task = make_task(62, 2)
    asked = [*lanes(), *SHOTS]
    order = np.random.default_rng(1).permutation(len(asked))
    before = fit_task(*task, asked, dtype=dtype)  # type: ignore[arg-type]
    after = fit_task(*task, [asked[i] for i in order], dtype=dtype)  # type: ignore[arg-type]
    for i, new in zip(order, after, strict=True):
        assert new.lane == asked[i]
        same(new, before[i].coef, before[i].predictions, before[i].objective, dtype)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", DTYPES)
def test_fitting_twice_gives_the_same_bits_whatever_was_fitted_between(dtype: str) -> None:
    task = make_task(63, 2)
    asked = [*lanes(), *SHOTS]
    first = fit_task(*task, asked, dtype=dtype)  # type: ignore[arg-type]
    broken = task[0].copy()
    broken[5, 5] = np.nan
    assert {r.status for r in fit_task(broken, *task[1:], asked, dtype=dtype)} == {Status.BAD_EMBEDDING}  # type: ignore[arg-type]
    for old, new in zip(first, fit_task(*task, asked, dtype=dtype), strict=True):  # type: ignore[arg-type]
        for name in ("coef", "intercept", "predictions", "confusion"):
            assert np.array_equal(getattr(old, name), getattr(new, name))
        for name in ("mcc", "accuracy", "macro_f1", "objective", "relative_gap", "grad_norm", "num_steps", "num_ties"):
            assert getattr(old, name) == getattr(new, name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_hard_lane_does_not_change_its_neighbours(dtype: str) -> None:
    """The hard lane goes on alone for more rounds; the others were done before."""
    task = make_task(64, 2)
    easy = fit_task(*task, lanes((*SPECS[:3], LogisticSpec(C=0.5))), dtype=dtype)  # type: ignore[arg-type]
    hard = fit_task(*task, lanes((*SPECS[:3], LogisticSpec(C=1e5))), dtype=dtype)  # type: ignore[arg-type]
    assert hard[3].num_steps > max(r.num_steps for r in easy)
    for old, new in zip(easy[:3], hard[:3], strict=True):
        same(new, old.coef, old.predictions, old.objective, dtype)  # type: ignore[arg-type]
