"""The float64 NumPy reference: its gradient, its optimum, its normalisation."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from geneb_jax.linear import reference
from geneb_jax.linear.objective import to_mean_loss
from tests.tolerances import GRADIENT, REFERENCE_GAP


def problem(seed: int, k: int, n: int = 60, d: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.uniform(0.1, 5, size=d) + rng.normal(size=d)
    y = np.concatenate([np.arange(k), rng.integers(k, size=n - k)]) * 3 - 4
    return X, y, reference.one_hot(y, np.unique(y)), rng.uniform(0, 3, size=n)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 3, 5]), st.sampled_from([0.01, 1.0, 30.0]), st.booleans())
def test_gradient_equals_finite_differences(seed: int, k: int, C: float, weighted: bool) -> None:
    X, _, Y, w = problem(seed, k, n=20, d=3)
    rng = np.random.default_rng(seed)
    W, b, pi = rng.normal(size=(3, Y.shape[1])), rng.normal(size=Y.shape[1]), rng.uniform(0, 2, size=3)
    weights = w if weighted else None

    def value(W: np.ndarray, b: np.ndarray) -> float:
        return reference.objective(W, b, X, Y, C, weights, pi)[0]

    F, dW, db = reference.objective(W, b, X, Y, C, weights, pi)
    step = 1e-6
    for gradient, at in ((dW, 0), (db, 1)):
        for place in np.ndindex(gradient.shape):
            up, down = [W.copy(), b.copy()], [W.copy(), b.copy()]
            up[at][place] += step
            down[at][place] -= step
            slope = (value(*up) - value(*down)) / (2 * step)
            assert abs(slope - gradient[place]) <= GRADIENT * max(1.0, F)


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "no-intercept"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_fit_reaches_the_optimum_of_scikit_learn(k: int, intercept: bool, weighted: bool) -> None:
    X, y, Y, w = problem(k, k)
    weights = w if weighted else None
    model = LogisticRegression(C=2.0, fit_intercept=intercept, tol=1e-12, solver="newton-cholesky", max_iter=1000)
    model.fit(X, y, sample_weight=weights)
    b_sklearn = np.zeros(Y.shape[1]) + model.intercept_
    W, b, value = reference.fit(X, Y, 2.0, weights, fit_intercept=intercept)
    theirs = reference.objective(model.coef_.T, b_sklearn, X, Y, 2.0, weights)[0]
    assert abs(value - theirs) <= REFERENCE_GAP * theirs
    np.testing.assert_allclose(W, model.coef_.T, atol=2e-6)
    # a constant added to every class's intercept changes nothing
    centred = b_sklearn - b_sklearn.mean() if k > 2 else b_sklearn
    np.testing.assert_allclose(b - b.mean() if k > 2 else b, centred, atol=2e-6)
    if not intercept:
        assert not b.any()


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("size", [1e-3, 3.0, 15.0, 40.0, 300.0])
def test_losses_and_residuals_keep_their_precision_where_a_class_is_certain(k: int, size: float) -> None:
    """Against 60-digit arithmetic; log Σ exp(z) - z_y would be off by the resolution of z itself, 1e-8 of the loss."""
    rng = np.random.default_rng(k)
    Y = reference.one_hot(rng.integers(k, size=12), np.arange(k))
    Z = rng.normal(size=Y.shape) + size * (2 * Y - 1)
    losses, residuals = reference.losses_and_residuals(Z, Y)
    with localcontext() as context:
        context.prec = 60
        for z, y, loss, residual in zip(Z, Y, losses, residuals, strict=True):
            exact = [Decimal(float(v)) for v in z]
            if k == 2:
                exact, y, residual = [Decimal(0), *exact], np.r_[1 - y, y], np.r_[-residual, residual]
            weight = [v.exp() for v in exact]
            true = int(np.argmax(y))
            others = sum(w for i, w in enumerate(weight) if i != true)
            assert loss == pytest.approx(float((1 + others / weight[true]).ln()), rel=1e-13)
            for i, w in enumerate(weight):
                expected = -others / sum(weight) if i == true else w / sum(weight)
                assert residual[i] == pytest.approx(float(expected), rel=1e-13)


@pytest.mark.parametrize("k", [2, 4])
def test_objective_is_the_one_scikit_learn_states(k: int) -> None:
    """F / (C·Σw) is the weighted mean log loss plus ‖W‖² / (2·C·Σw), at any coefficients."""
    X, y, Y, w = problem(10 + k, k)
    C = 0.3
    model = LogisticRegression(C=C, max_iter=3, solver="newton-cg", tol=1e6).fit(X, y, sample_weight=w)
    F = reference.objective(model.coef_.T, model.intercept_, X, Y, C, w)[0]
    loss = log_loss(y, model.predict_proba(X), sample_weight=w)
    stated = loss + np.sum(model.coef_**2) / (2 * C * w.sum())
    assert to_mean_loss(F, C=C, weight_sum=w.sum()) == pytest.approx(stated, rel=1e-12)


def test_a_fit_that_runs_out_of_steps_says_so() -> None:
    X, _, Y, _ = problem(0, 3)
    with pytest.raises(RuntimeError, match="1 steps"):
        reference.fit(X, Y, 100.0, max_steps=1)
