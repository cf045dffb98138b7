"""Features that defeat naive solvers: the optimum, or a status that says why not."""

from __future__ import annotations

import numpy as np
import pytest

from geneb_jax.probes.fit import fit_task
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.regime import Regime, draw_rows
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.status import Status
from tests.problems import SPECS, D, Task, assert_reaches, lanes, make_task, optimum

SCALES = np.logspace(-4, 4, D)


def badly_scaled(k: int, rng: np.random.Generator) -> Task:
    """Columns from 1e-4 to 1e4, each with its share of the signal."""
    X, y, X_test, y_test = make_task(31, k)
    order = rng.permutation(D)
    return X * SCALES[order], y, X_test * SCALES[order], y_test


def mean_above_spread(k: int, rng: np.random.Generator) -> Task:
    X, y, X_test, y_test = make_task(32, k)
    return X + 1000 * X.std(), y, X_test + 1000 * X.std(), y_test


def duplicated(k: int, rng: np.random.Generator) -> Task:
    X, y, X_test, y_test = make_task(33, k)
    half = D // 2
    X[:, half:], X_test[:, half:] = X[:, :half], X_test[:, :half]
    return X, y, X_test, y_test


def constant(k: int, rng: np.random.Generator) -> Task:
    X, y, X_test, y_test = make_task(34, k)
    for column, value in ((0, 0.0), (5, 1.0), (6, 1 / 3), (7, -1e6), (8, 1e-8)):
        X[:, column] = X_test[:, column] = value
    return X, y, X_test, y_test


def collinear(k: int, rng: np.random.Generator) -> Task:
    """Rank 6 in 24 columns, as k-mer counts and their sums are."""
    X, y, X_test, y_test = make_task(35, k)
    mix = rng.integers(-2, 3, size=(6, D)).astype(np.float32)
    return np.round(X[:, :6]) @ mix, y, np.round(X_test[:, :6]) @ mix, y_test


def label_noise(k: int, rng: np.random.Generator) -> Task:
    """Large features and wrong labels: no class separates, and the coefficients are hardly penalised."""
    X, y, X_test, y_test = make_task(36, k)
    wrong = rng.random(len(y)) < 0.3
    return X * 100, np.where(wrong, rng.integers(k, size=len(y)), y), X_test * 100, y_test


def separated(k: int, rng: np.random.Generator) -> Task:
    """Classes far apart: the objective tends to the penalty alone."""
    X, y, X_test, y_test = make_task(37, k, spread=0.2)
    return X * 30, y, X_test * 30, y_test


KINDS = [badly_scaled, mean_above_spread, duplicated, constant, collinear, label_noise, separated]


def check(results: list[LaneResult], X: np.ndarray, y: np.ndarray, X_test: np.ndarray, dtype: str) -> None:
    for result in results:
        if dtype == "float64":
            assert result.status is Status.CONVERGED, result.lane.spec
        # float32 may run out of resolution, but must then say so
        if result.status is Status.CONVERGED:
            assert_reaches(result, optimum(X, y, result.lane.spec), X_test, dtype)
        else:
            assert result.status in (Status.STALLED, Status.MAX_STEPS)
            assert result.relative_gap > 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("kind", KINDS, ids=lambda f: f.__name__)
def test_optimum_or_a_reason(kind: object, k: int, dtype: str) -> None:
    X, y, X_test, y_test = kind(k, np.random.default_rng(0))  # type: ignore[operator]
    X, X_test = X.astype(np.float32), X_test.astype(np.float32)
    results = fit_task(X, y, X_test, y_test, lanes(), dtype=dtype)  # type: ignore[arg-type]
    check(results, X, y, X_test, dtype)


@pytest.mark.parametrize("kind", KINDS, ids=lambda f: f.__name__)
def test_few_shot_draws_of_hard_features(kind: object) -> None:
    """Few-shot problems are solved in float64 whatever the precision of the rest, so they are held to its limits."""
    X, y, X_test, y_test = kind(2, np.random.default_rng(0))  # type: ignore[operator]
    X, X_test = X.astype(np.float32), X_test.astype(np.float32)
    asked = [Lane(Regime(shots), seed, LogisticSpec()) for shots in (1, 10) for seed in (13, 997)]
    for lane, result in zip(asked, fit_task(X, y, X_test, y_test, asked, dtype="float64"), strict=True):
        rows = draw_rows(y, lane.regime.shots or 0, lane.seed)
        check([result], X[rows], y[rows], X_test, "float64")


def test_fewer_rows_than_columns_with_repeated_rows_and_columns() -> None:
    X, y, X_test, y_test = duplicated(3, np.random.default_rng(0))
    X, y = np.repeat(X[:10], 2, axis=0), np.repeat(y[:10], 2)
    results = fit_task(X, y, X_test, y_test, lanes(SPECS[:1]), dtype="float64")
    check(results, X, y, X_test, "float64")


def test_zero_columns_get_zero_coefficients_and_change_nothing() -> None:
    X, y, X_test, y_test = make_task(38, 2)
    X[:, 20:], X_test[:, 20:] = 0, 0
    for result in fit_task(X, y, X_test, y_test, lanes(), dtype="float64"):
        best = optimum(X[:, :20], y, result.lane.spec)
        assert result.coef is not None
        assert not result.coef[20:].any()
        value = best.value_at(result.coef[:20], result.intercept)  # type: ignore[arg-type]
        assert abs(value - best.value) <= 1e-9 * best.value


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_features_so_small_that_f_hardly_changes(dtype: str) -> None:
    """The distance from the optimum is small beside what was gained, and not only beside F."""
    X, y, X_test, y_test = make_task(40, 2)
    y = (X[:, 0] > np.median(X[:, 0])).astype(y.dtype)
    X, X_test = X * np.float32(1e-4), X_test * np.float32(1e-4)
    for result in fit_task(X, y, X_test, y_test, lanes(), dtype=dtype):  # type: ignore[arg-type]
        assert result.status is Status.CONVERGED
        best = optimum(X, y, result.lane.spec)
        assert result.coef is not None
        start = best.value_at(np.zeros_like(result.coef), result.coef[0] * 0)
        gap = best.value_at(result.coef, result.intercept) - best.value  # type: ignore[arg-type]
        assert gap <= (1e-8 if dtype == "float64" else 1e-5) * (start - best.value), result.lane.spec


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_features_without_any_variation(dtype: str) -> None:
    """Only the intercept is left: the class shares, and one class predicted."""
    X, y, X_test, y_test = make_task(39, 2)
    for value in (0.0, 3.3):
        asked = [*lanes(), *(Lane(Regime(shots), seed, LogisticSpec()) for shots in (1, 10) for seed in (13, 997))]
        results = fit_task(np.full_like(X, value), y, np.full_like(X_test, value), y_test, asked, dtype=dtype)  # type: ignore[arg-type]
        for result in results:
            # balanced classes put the optimum at W = 0 itself, where rounding is all there is: that is arriving too
            assert result.status is Status.ONE_CLASS_PREDICTED, result.lane.spec
            assert result.mcc == 0
        share = y.mean()
        assert results[0].intercept is not None
        assert results[0].coef is not None
        b = results[0].intercept + value * results[0].coef.sum()
        assert b[0] == pytest.approx(np.log(share / (1 - share)), rel=1e-3)
