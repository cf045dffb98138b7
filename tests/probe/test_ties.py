"""Exact ties, which symmetric few-shot draws of whole-number features do produce: the first class wins."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from geneb_jax.probes.fit import fit_task
from geneb_jax.probes.harness import fit_task_sklearn
from geneb_jax.probes.lane import Lane
from geneb_jax.probes.regime import Regime, draw_rows
from geneb_jax.probes.spec import LogisticSpec
from tests.problems import D

ENGINES = {
    "float32": partial(fit_task, dtype="float32"),
    "float64": partial(fit_task, dtype="float64"),
    "optimum": partial(fit_task_sklearn, stock=False),
}


def axis(*values: float) -> np.ndarray:
    return np.pad(np.array(values, np.float32), (0, D - len(values)))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("offset", [0.0, 3.0, 1000.0])
def test_two_classes(offset: float, engine: str) -> None:
    """One row each: the boundary is the plane half way between, and whole numbers lie on it exactly."""
    X = np.stack([axis(4, 0, 1), axis(0, 4, 1)]) + np.float32(offset)
    y = np.array([7, -2])  # the first class is -2, the second row
    points = [axis(1, 1), axis(3, 3, 9), axis(0, 0), axis(2, 2, 0, 5), axis(3, 2), axis(2, 3), axis(900, 901)]
    X_test = np.stack(points) + np.float32(offset)
    y_test = np.array([-2, -2, 7, 7, 7, -2, -2])
    (result,) = ENGINES[engine](X, y, X_test, y_test, [Lane(Regime(1), 13, LogisticSpec())])
    assert result.predictions is not None
    assert result.predictions.tolist() == [-2, -2, -2, -2, 7, -2, -2]
    assert result.num_ties == 4


# scikit-learn's intercepts of three classes are known to 1e-8 and no better, so its optimum does not see all ties
@pytest.mark.parametrize("engine", ["float32", "float64"])
def test_three_classes(engine: str) -> None:
    X = np.stack([axis(4, 0, 0), axis(0, 4, 0), axis(0, 0, 4)])
    y = np.array([0, 1, 2])
    points = [axis(1, 1, 0), axis(0, 1, 1), axis(1, 0, 1), axis(1, 1, 1), axis(), axis(2, 1, 1), axis(0, 2, 1)]
    points += [axis(0, 0, 2), axis(5, 5, 5, 1), axis(0, 3, 3)]
    truth = np.array([0, 1, 0, 0, 0, 0, 1, 2, 2, 2])
    (result,) = ENGINES[engine](X, y, np.stack(points), truth, [Lane(Regime(1), 13, LogisticSpec())])
    assert result.predictions is not None
    assert result.predictions.tolist() == [0, 1, 0, 0, 0, 0, 1, 2, 0, 1]
    assert result.num_ties == 7


@pytest.mark.parametrize("engine", ENGINES)
def test_all_engines_decide_random_whole_number_draws_alike(engine: str) -> None:
    """Counts of a short alphabet tie often; float64 on the exact plane says which rows do."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, size=(20, D)).astype(np.float32)
    X_test = rng.integers(0, 3, size=(1000, D)).astype(np.float32)
    y = np.arange(20) % 2
    asked = [Lane(Regime(1), seed, LogisticSpec()) for seed in (13, 17, 42, 123)]
    ties = 0
    for lane in asked:
        (result,) = ENGINES[engine](X, y, X_test, np.arange(1000) % 2, [lane])
        a, b = X[draw_rows(y, 1, result.lane.seed)].astype(int)
        # twice the signed distance from the plane half way between, in whole numbers
        side = 2 * (X_test.astype(int) @ (b - a)) - (b @ b - a @ a)
        assert np.array_equal(result.predictions, (side > 0).astype(int))  # type: ignore[arg-type]
        assert result.num_ties == (side == 0).sum()
        ties += result.num_ties
    assert ties > 50, "without ties this test shows nothing"


@pytest.mark.parametrize("classes", [2, 3])
def test_rows_within_single_precision_of_a_boundary_are_decided_in_double(classes: int) -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, D)).astype(np.float32)
    y = np.arange(60) % classes
    lanes = [Lane(Regime(3), seed, LogisticSpec()) for seed in (13, 17)]
    nowhere = rng.normal(size=(4, D)).astype(np.float32)
    tight = fit_task(X, y, nowhere, np.arange(4) % classes, lanes, dtype="float64")
    coef, intercept = tight[0].coef, tight[0].intercept
    assert coef is not None
    assert intercept is not None
    normal, height = (
        (coef[:, 0], intercept[0]) if classes == 2 else (coef[:, 1] - coef[:, 0], intercept[1] - intercept[0])
    )
    points = 3 * rng.normal(size=(400, D))
    points -= np.outer((points @ normal + height) / (normal @ normal), normal)
    X_test = points.astype(np.float32)  # rounding puts them on one side or the other
    margin = X_test.astype(np.float64) @ normal + height
    y_test = np.arange(400) % classes
    single, double = (fit_task(X, y, X_test, y_test, lanes, dtype=dtype) for dtype in ("float32", "float64"))
    for low, high in zip(single, double, strict=True):
        assert np.array_equal(low.predictions, high.predictions)  # type: ignore[arg-type]
        assert np.array_equal(low.confusion, high.confusion)  # type: ignore[arg-type]
        assert low.num_ties == high.num_ties
    if classes == 2:
        assert np.array_equal(single[0].predictions, (margin > 0).astype(int))  # type: ignore[arg-type]
        assert 100 < (margin > 0).sum() < 300
    # single precision alone would call nearly all of them ties
    assert (np.abs(margin) < 16 * 6e-8 * np.linalg.norm(X_test, axis=1) * np.linalg.norm(normal)).mean() > 0.5
