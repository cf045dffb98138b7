"""`fit_task` against the float64 reference and scikit-learn at tol 1e-12, for every kind of lane."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneb_jax.metric.reference import reference_scores
from geneb_jax.probes.fit import fit_task
from geneb_jax.probes.lane import Lane
from geneb_jax.probes.regime import GENEB_SEEDS, Regime, draw_rows
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.status import Status
from tests.problems import FULL, SPECS, Task, assert_reaches, lanes, make_task, optimum
from tests.tolerances import limit

DTYPES = ["float32", "float64"]
WITHOUT_INTERCEPT = tuple(
    LogisticSpec(C=C, fit_intercept=False, balanced=w) for C in (1.0, 0.05) for w in (True, False)
)
GRID = tuple(LogisticSpec(C=C) for C in (0.01, 0.3, 10.0, 100.0))


def overlapping(k: int) -> Task:
    return make_task(k, k, spread=5.0 if k > 2 else 2.5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [2, 3, 8])
@pytest.mark.parametrize("specs", [SPECS, WITHOUT_INTERCEPT, GRID], ids=["options", "no-intercept", "C-grid"])
def test_full_data_reaches_the_optimum(k: int, specs: tuple[LogisticSpec, ...], dtype: str) -> None:
    X, y, X_test, y_test = overlapping(k)
    for result, spec in zip(fit_task(X, y, X_test, y_test, lanes(specs), dtype=dtype), specs, strict=True):  # type: ignore[arg-type]
        best = optimum(X, y, spec)
        assert result.status is Status.CONVERGED
        assert result.lane.spec == spec
        assert_reaches(result, best, X_test, dtype)
        assert result.coef is not None
        assert result.coef.shape == best.W.shape
        W = result.coef * best.scale[:, None]
        assert np.abs(W - best.W).max() <= limit(dtype, "coef") * np.abs(best.W).max()
        value = best.value_at(result.coef, result.intercept)  # type: ignore[arg-type]
        assert result.objective == pytest.approx(value, rel=limit(dtype, "objective_report"))
        assert result.relative_gap <= spec.resolved_tolerance(dtype)  # type: ignore[arg-type]
        assert result.n_train == len(y)
        assert result.num_steps >= 1
        if not spec.fit_intercept:
            assert np.abs(result.intercept).max() < 1e-12  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_belong_to_the_predictions(dtype: str) -> None:
    X, y, X_test, y_test = overlapping(3)
    for result in fit_task(X, y, X_test, y_test, lanes(), dtype=dtype):  # type: ignore[arg-type]
        assert result.predictions is not None
        assert result.confusion is not None
        assert np.array_equal(result.confusion, confusion_matrix(y_test, result.predictions))
        scored = reference_scores(y_test, result.predictions, result.labels)
        assert result.mcc == pytest.approx(scored.mcc, abs=1e-14)
        assert result.accuracy == pytest.approx(scored.accuracy, abs=1e-14)
        assert result.macro_f1 == pytest.approx(scored.macro_f1, abs=1e-14)


def test_a_standardised_probe_is_the_pipeline_with_a_scaler() -> None:
    X, y, X_test, y_test = overlapping(2)
    X, X_test = X * np.logspace(-2, 2, X.shape[1]), X_test * np.logspace(-2, 2, X.shape[1])
    specs = (*SPECS[:3], LogisticSpec(standardize=True))
    result = fit_task(X, y, X_test, y_test, lanes(specs), dtype="float64")[3]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-12, solver="newton-cholesky"))
    assert np.array_equal(result.predictions, pipeline.fit(X, y).predict(X_test))  # type: ignore[arg-type]
    assert_reaches(result, optimum(X, y, specs[3]), X_test, "float64")


def test_standardised_without_intercept_is_centred_all_the_same() -> None:
    """`StandardScaler` centres whether or not an intercept follows; scikit-learn's own pipeline is the meaning."""
    X, y, X_test, y_test = overlapping(2)
    specs = tuple(LogisticSpec(C=C, fit_intercept=False, standardize=True) for C in (1.0, 0.1, 0.01, 10.0))
    for result in fit_task(X, y, X_test, y_test, lanes(specs), dtype="float64"):
        assert_reaches(result, optimum(X, y, result.lane.spec), X_test, "float64")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [2, 3])
def test_few_shot_draws_reach_the_optimum_of_their_rows(k: int, dtype: str) -> None:
    """Two classes are solved in the span of their 20 rows, three have more rows than columns."""
    X, y, X_test, y_test = overlapping(k)
    asked = [Lane(Regime(shots), seed, LogisticSpec()) for shots in (1, 10) for seed in (13, 997)]
    for lane, result in zip(asked, fit_task(X, y, X_test, y_test, asked, dtype=dtype), strict=True):  # type: ignore[arg-type]
        rows = draw_rows(y, lane.regime.shots or 0, lane.seed)
        assert result.n_train == len(rows)
        assert result.status is Status.CONVERGED
        assert_reaches(result, optimum(X[rows], y[rows], lane.spec), X_test, dtype)


@pytest.mark.parametrize(
    "spec",
    [
        LogisticSpec(balanced=True),
        LogisticSpec(standardize=True),
        LogisticSpec(fit_intercept=False),
        LogisticSpec(C=0.01),
    ],
    ids=lambda s: f"{s.name}-{s.C}",
)
def test_few_shot_options(spec: LogisticSpec) -> None:
    X, y, X_test, y_test = overlapping(2)
    # a class with fewer rows than shots, so that "balanced" has something to balance
    rare = np.flatnonzero(y == 0)[9:]
    y = y.copy()
    y[rare] = 1
    asked = [Lane(Regime(shots), seed, spec) for shots in (1, 10) for seed in (13, 997)]
    for lane, result in zip(asked, fit_task(X, y, X_test, y_test, asked, dtype="float64"), strict=True):
        rows = draw_rows(y, lane.regime.shots or 0, lane.seed)
        assert result.n_train == len(rows) == (2 if lane.regime.shots == 1 else 19)
        assert_reaches(result, optimum(X[rows], y[rows], spec), X_test, "float64")


@pytest.mark.parametrize("dtype", DTYPES)
def test_fewer_rows_than_columns(dtype: str) -> None:
    X, y, X_test, y_test = make_task(23, 3, n=20)
    (result,) = fit_task(X, y, X_test, y_test, lanes(SPECS[:1]), dtype=dtype)  # type: ignore[arg-type]
    assert result.status is Status.CONVERGED
    assert_reaches(result, optimum(X, y, SPECS[0]), X_test, dtype)


def test_a_draw_of_every_row_is_the_full_data() -> None:
    X, y, X_test, y_test = make_task(24, 3, n=20)
    (drawn,) = fit_task(X, y, X_test, y_test, lanes(SPECS[:1], Regime(1000)), dtype="float64")
    (full,) = fit_task(X, y, X_test, y_test, lanes(SPECS[:1]), dtype="float64")
    assert drawn.n_train == full.n_train == len(y)
    assert drawn.objective == pytest.approx(full.objective, rel=limit("float64", "same_problem"))
    assert np.array_equal(drawn.predictions, full.predictions)  # type: ignore[arg-type]


def test_seeds_of_the_full_data_are_one_fit() -> None:
    X, y, X_test, y_test = overlapping(2)
    asked = [Lane(FULL, seed, spec) for seed in GENEB_SEEDS for spec in SPECS]
    results = fit_task(X, y, X_test, y_test, asked)
    assert [r.lane for r in results] == asked
    for i, result in enumerate(results):
        first = results[i % len(SPECS)]
        assert np.array_equal(result.coef, first.coef)  # type: ignore[arg-type]
        assert result.mcc == first.mcc


def test_no_lanes_no_results() -> None:
    assert fit_task(*overlapping(2), []) == []
