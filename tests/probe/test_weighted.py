"""Lanes with row weights, targets and penalties of their own on one X, against scikit-learn and the plain Newton."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from geneb_jax.errors import ProbeError
from geneb_jax.linear import reference
from geneb_jax.probes import weighted
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.probes.weighted import WeightedLane, bootstrap_weights, fit_lanes, fit_weighted
from geneb_jax.status import Status
from tests.problems import make_task, tight_fits, tight_regression
from tests.tolerances import LIMITS, limit

P = 4
TALL, WIDE = (100, 24), (40, 60)
"""Shapes on either side of the rule that problems with fewer rows than columns are solved in the rows' span."""


def rows(seed: int, k: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """X (n, d) float32 far from zero, and class indices with every class among the first k rows."""
    n, d = shape
    X, y, _, _ = make_task(seed, k, n=n, d=d, m=1)
    return X + np.float32(3), y


def scikit(
    X: np.ndarray, y: np.ndarray, weights: np.ndarray | None, spec: LogisticSpec
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (d, o) and intercept (o,) of scikit-learn on features as given, at its tightest."""
    model = tight_regression(spec)
    with tight_fits():
        model.fit(X, y, sample_weight=weights)
    return model.coef_.T, np.zeros(model.coef_.shape[0]) + model.intercept_


def balanced(y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Row weights times S / (k · S_c), written out."""
    held = np.bincount(y, weights=weights)
    return weights * (weights.sum() / (np.count_nonzero(held) * np.where(held > 0, held, 1)))[y]


def value(fit_coef: np.ndarray, b: np.ndarray, X: np.ndarray, y: np.ndarray, w: np.ndarray, C: float) -> float:
    k = 2 if fit_coef.shape[1] == 1 else fit_coef.shape[1]
    return reference.objective(fit_coef, b, X, reference.one_hot(y, np.arange(k)), C, w)[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [TALL, WIDE], ids=["tall", "wide"])
@pytest.mark.parametrize("k", [2, 3])
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    whole=st.booleans(),
    own_targets=st.booleans(),
    intercept=st.booleans(),
    even=st.booleans(),
)
def test_each_lane_is_scikit_learns_optimum(
    k: int, shape: tuple[int, int], dtype: str, seed: int, whole: bool, own_targets: bool, intercept: bool, even: bool
) -> None:
    rng = np.random.default_rng(seed)
    X, y = rows(seed, k, shape)
    n = len(y)
    index = np.stack([y, *(np.r_[y[:k], rng.permutation(y[k:])] for _ in range(P - 1))]) if own_targets else y
    weights = bootstrap_weights(seed, P, n) if whole else rng.exponential(size=(P, n)) * (rng.random((P, n)) > 0.3)
    weights = weights.astype(float)
    weights[:, :k] = np.maximum(weights[:, :k], 0.5)  # absent classes have a test of their own
    weights *= np.array([1.0, 0.01, 100.0, 3.0])[:, None]
    specs = [LogisticSpec(C=C, fit_intercept=intercept, balanced=even) for C in (1.0, 0.1, 0.01, 2.0)]
    fits = fit_weighted(X, index, weights, specs, dtype=dtype)  # type: ignore[arg-type]
    assert fits.coef.shape == (P, X.shape[1], 1 if k == 2 else k)
    assert (fits.status == Status.CONVERGED).all()
    exact = X.astype(np.float64)
    for i in range(P):
        target, spec = (index[i] if own_targets else y), specs[i]
        w = balanced(target, weights[i]) if even else weights[i]
        best = value(*scikit(exact, target, weights[i], spec), exact, target, w, spec.C)
        found = value(fits.coef[i], fits.intercept[i], exact, target, w, spec.C)
        assert -limit("float64", "objective_gap") <= (found - best) / best <= LIMITS[dtype]["objective_gap"].value
        assert fits.objective[i] == pytest.approx(found, rel=limit(dtype, "objective_report"))


@pytest.mark.parametrize("shape", [TALL, WIDE], ids=["tall", "wide"])
def test_whole_weights_are_repeated_rows(shape: tuple[int, int]) -> None:
    X, y = rows(5, 3, shape)
    weights = bootstrap_weights(0, P, len(y))
    weights[:, :3] += 1
    fits = fit_weighted(X, y, weights, LogisticSpec(), dtype="float64")
    for i in range(P):
        again = np.repeat(np.arange(len(y)), weights[i])
        W, b = scikit(X[again].astype(np.float64), y[again], None, LogisticSpec())
        np.testing.assert_allclose(fits.coef[i], W, atol=limit("float64", "coef") * np.abs(W).max())
        np.testing.assert_allclose(fits.intercept[i] - fits.intercept[i].mean(), b - b.mean(), atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [TALL, WIDE], ids=["tall", "wide"])
def test_rows_that_no_lane_weighs_do_not_disturb_the_others(shape: tuple[int, int], dtype: str) -> None:
    X, y = rows(6, 2, (shape[0] + 5, shape[1]))
    gone = np.arange(10, 15)
    weights = np.random.default_rng(0).exponential(size=(P, len(y)))
    weights[:, gone] = 0
    wild = X.copy()
    wild[gone] *= np.float32(1e12)
    kept = np.setdiff1d(np.arange(len(y)), gone)
    one = fit_weighted(wild, y, weights, LogisticSpec(), dtype=dtype)  # type: ignore[arg-type]
    two = fit_weighted(X[kept], y[kept], weights[:, kept], LogisticSpec(), dtype=dtype)  # type: ignore[arg-type]
    assert np.array_equal(one.coef, two.coef)
    assert np.array_equal(one.intercept, two.intercept)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("shape", [TALL, WIDE], ids=["tall", "wide"])
def test_standardising_is_a_standard_scaler_in_front_whatever_the_weights(
    shape: tuple[int, int], intercept: bool
) -> None:
    X, y = rows(7, 2, shape)
    X[:, 3] = 7  # a feature that does not vary
    weights = np.random.default_rng(1).exponential(size=(P, len(y)))
    weights[:, -3:] = 0
    spec = LogisticSpec(standardize=True, fit_intercept=intercept)
    fits = fit_weighted(X, y, weights, spec, dtype="float64")
    scaler = StandardScaler().fit(X.astype(np.float64))
    Z = scaler.transform(X.astype(np.float64))
    for i in range(P):
        W, b = scikit(Z, y, weights[i], spec)
        raw = W / scaler.scale_[:, None]
        np.testing.assert_allclose(fits.coef[i], raw, atol=limit("float64", "coef") * np.abs(raw).max())
        np.testing.assert_allclose(fits.intercept[i], b - scaler.mean_ @ raw, atol=1e-4)


@pytest.mark.parametrize(("k", "absent"), [(3, 0), (3, 2), (4, 1)])
@pytest.mark.parametrize("shape", [TALL, WIDE], ids=["tall", "wide"])
def test_a_class_without_weight_goes_to_its_limit(shape: tuple[int, int], k: int, absent: int) -> None:
    X, y = rows(8, k, shape)
    exact = X.astype(np.float64)
    weights = np.ones((P, len(y)))
    weights[1:, y == absent] = 0
    fits = fit_weighted(X, y, weights, LogisticSpec(), dtype="float64")
    assert (fits.status == Status.CONVERGED).all()
    assert np.isfinite(fits.intercept[0]).all()
    for i in range(1, P):
        assert fits.intercept[i, absent] == -np.inf
        assert (fits.coef[i][:, absent] == 0).all()
        # scikit-learn walks towards the infimum and stops on the way: above it, and not by much
        walked = value(*scikit(exact, y, weights[i], LogisticSpec()), exact, y, weights[i], 1.0)
        nearly = np.maximum(fits.intercept[i], -1e3)
        found = value(fits.coef[i], nearly, exact, y, weights[i], 1.0)
        assert fits.objective[i] == pytest.approx(found, rel=1e-9)
        assert found <= walked * (1 + 1e-9)
        assert walked - found <= 1e-3 * found


def test_without_an_intercept_a_class_without_weight_has_a_finite_optimum() -> None:
    X, y = rows(9, 3, TALL)
    weights = (y != 1).astype(float)[None]
    spec = LogisticSpec(fit_intercept=False)
    fits = fit_weighted(X, y, weights, spec, dtype="float64")
    W, b = scikit(X.astype(np.float64), y, weights[0], spec)
    best = value(W, b, X.astype(np.float64), y, weights[0], 1.0)
    assert value(fits.coef[0], fits.intercept[0], X.astype(np.float64), y, weights[0], 1.0) <= best * (1 + 1e-9)


def test_what_cannot_be_fitted_has_a_status_and_leaves_the_other_lanes_alone() -> None:
    X, y = rows(10, 2, TALL)
    weights = np.ones((P, len(y)))
    weights[1] = y == 0
    weights[2] = 0
    fits = fit_weighted(X, y, weights, LogisticSpec())
    assert list(fits.status) == [Status.CONVERGED, Status.ONE_CLASS_TRAIN, Status.ONE_CLASS_TRAIN, Status.CONVERGED]
    assert np.isnan(fits.coef[1]).all()
    np.testing.assert_allclose(fits.coef[0], fits.coef[3], atol=limit("float32", "same_problem"))
    X[3, 3] = np.nan
    assert (fit_weighted(X, y, weights, LogisticSpec()).status == Status.BAD_EMBEDDING)[[0, 3]].all()


@pytest.mark.parametrize("shape", [TALL, WIDE], ids=["tall", "wide"])
def test_squares_that_overflow_are_no_fit(shape: tuple[int, int]) -> None:
    X, y = rows(11, 2, shape)
    huge = X.astype(np.float64) * (1e160 if shape == WIDE else 1e25)
    assert fit_weighted(huge, y, np.ones((P, len(y))), LogisticSpec()).status.tolist() == [Status.NON_FINITE] * P


def test_lanes_of_mixed_classes_come_back_in_order() -> None:
    X, y2 = rows(12, 2, TALL)
    y3 = np.r_[np.arange(3), np.random.default_rng(2).integers(3, size=len(y2) - 3)]
    spec = LogisticSpec()
    lanes = [WeightedLane(y3, 3, spec), WeightedLane(y2, 2, spec), WeightedLane(y3, 3, LogisticSpec(C=0.1))]
    fits = fit_lanes(X, lanes, dtype="float64")
    assert [fit.coef.shape[1] for fit in fits] == [3, 1, 3]
    for lane, fit in zip(lanes, fits, strict=True):
        exact, ones = X.astype(np.float64), np.ones(len(y2))
        best = value(*scikit(exact, lane.index, None, lane.spec), exact, lane.index, ones, lane.spec.C)
        assert value(fit.coef, fit.intercept, exact, lane.index, ones, lane.spec.C) <= best * (1 + 1e-9)


def test_more_lanes_than_a_batch_holds_are_solved_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = rows(13, 2, TALL)
    weights = bootstrap_weights(1, 10, len(y))
    whole = fit_weighted(X, y, weights, LogisticSpec(), dtype="float64")
    monkeypatch.setattr(weighted, "BATCH_BYTES", 4 * 8 * (2 * 25 * 25 + 112 * 10))
    parts = fit_weighted(X, y, weights, LogisticSpec(), dtype="float64")
    np.testing.assert_allclose(parts.objective, whole.objective, rtol=1e-10)
    np.testing.assert_allclose(parts.coef, whole.coef, atol=1e-6)


def test_bootstrap_weights_are_counts_that_more_resamples_begin_with() -> None:
    ten = bootstrap_weights(3, 10, 500)
    assert ten.shape == (10, 500)
    assert (ten.sum(axis=1) == 500).all()
    assert np.array_equal(bootstrap_weights(3, 4, 500), ten[:4])
    assert not np.array_equal(bootstrap_weights(4, 10, 500), ten)
    # a row is left out of a resample with probability (1 - 1/n)^n; 5,000 draws keep within 0.04 of it
    assert abs((ten == 0).mean() - (1 - 1 / 500) ** 500) < 0.04


@pytest.mark.parametrize(
    ("targets", "weights", "specs", "says"),
    [
        (np.zeros((2, 5), int), np.ones((3, 5)), LogisticSpec(), "disagree"),
        (np.zeros(5, int), None, [], "disagree"),
        (np.zeros(4, int), None, LogisticSpec(), "one per row"),
        (np.zeros(5), None, LogisticSpec(), "integers"),
        (np.zeros(5, int), np.ones((1, 4)), LogisticSpec(), "5 rows"),
        (np.zeros(5, int), np.full((1, 5), -1.0), LogisticSpec(), "not negative"),
        (np.zeros(5, int), np.full((1, 5), np.nan), LogisticSpec(), "finite"),
        (np.full(5, -1), None, LogisticSpec(), "indices"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(targets, weights, specs, says) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ProbeError, match=says):
        fit_weighted(np.ones((5, 3), np.float32), targets, weights, specs)
