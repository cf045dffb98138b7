"""Preconditioners from the rows that matter, the search along a step, and the dual solver, against dense algebra."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax.linear import reference
from geneb_jax.probes.dual_rounds import active_rows as dual_rows
from geneb_jax.probes.dual_rounds import solve_dual
from geneb_jax.probes.lanes import Lanes
from geneb_jax.solve import active, newton_cg, precondition
from geneb_jax.status import Status
from tests.tolerances import limit

N, D = 96, 12


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def data(k: int, n: int = N, d: int = D, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X (n, d + 1) with a column of ones, targets, positive row weights."""
    rng = np.random.default_rng(seed)
    X = np.hstack([rng.normal(size=(n, d)), np.ones((n, 1))])
    y = (np.arange(n) + rng.integers(0, 2, n)) % k
    return X, reference.one_hot(y, np.arange(k)), rng.uniform(0.5, 2, n)


def curvatures(k: int, n: int = N) -> np.ndarray:
    """Row curvatures that fall over four decades, as those of a fit that separates its classes."""
    rng = np.random.default_rng(1)
    return np.stack([rng.permutation(np.logspace(-4, -0.6, n)) for _ in range(1 if k == 2 else k)])


@pytest.mark.parametrize("rows", [N, 24])
@pytest.mark.parametrize("k", [2, 5])
def test_dual_preconditioner_is_the_inverse_it_says(k: int, rows: int) -> None:
    X, _, weights = data(k)
    penalty = np.append(np.linspace(0.5, 2, D), 0.0)
    made = active.kernel(jnp.asarray(X), jnp.asarray(penalty), jnp.asarray(weights.sum()))
    s = curvatures(k)
    apply = active.active_preconditioner(jnp.asarray(X), made, jnp.asarray(s), rows)
    R = np.random.default_rng(2).normal(size=(D + 1, len(s)))
    expected = np.empty_like(R)
    for c, curvature in enumerate(s):
        A = np.argsort(curvature)[-rows:]
        M = np.diag(np.asarray(made.beta)) + X[A].T @ (curvature[A, None] * X[A])
        expected[:, c] = np.linalg.solve(M, R[:, c])
    if len(s) > 1:
        expected -= expected.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(apply(jnp.asarray(R))), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("rows", [N, 24])
def test_refreshed_factor_is_that_of_the_active_rows_and_the_mean_gram(rows: int) -> None:
    X, _, weights = data(3)
    penalty = np.append(np.ones(D), 0.0)
    s = curvatures(3)
    G = precondition.mean_gram(jnp.asarray(X), jnp.asarray(weights))
    np.testing.assert_allclose(G, X.T @ (weights[:, None] * X) / weights.sum(), rtol=1e-10, atol=1e-12)
    factors = precondition.refreshed_factor(jnp.asarray(X), jnp.asarray(s), jnp.asarray(penalty), G, rows)
    for L, curvature in zip(np.asarray(factors), s, strict=True):
        A = np.argsort(curvature)[-rows:]
        M = X[A].T @ (curvature[A, None] * X[A]) + (curvature.sum() - curvature[A].sum()) * np.asarray(G)
        # single precision picks the rows, so two of nearly equal curvature may change places
        np.testing.assert_allclose(L.T @ L @ (M + np.diag(penalty)), np.eye(D + 1), atol=1e-5)


@pytest.mark.parametrize("stretch", [0.2, 1.0, 30.0])
@pytest.mark.parametrize("k", [2, 4])
def test_the_slope_falls_to_a_tenth_along_any_multiple_of_a_descent_direction(k: int, stretch: float) -> None:
    """Whether a step is far too long or far too short; its end is nearly the lowest point of a fine grid."""
    X, Y, weights = data(k)
    problem = newton_cg.Problem(*(jnp.asarray(a) for a in (X, Y, weights, np.append(np.ones(D), 0.0))))
    o = Y.shape[1]
    state = _start(X, Y, weights, o)
    grad, _ = newton_cg.gradient(problem, state)
    H = 0.25 * X.T @ (weights[:, None] * X) + np.diag(problem.penalty)
    delta = jnp.asarray(-stretch * np.linalg.solve(H, np.asarray(grad)))
    U = jnp.asarray(X) @ delta
    decrement = -jnp.sum(grad * delta)
    t, slope = newton_cg._step_length(problem, state, delta, U, decrement)
    assert abs(float(slope)) <= 0.1 * float(decrement)
    values = [float(newton_cg.objective(problem, a * delta, a * U)) for a in np.linspace(0, 2 * float(t), 201)]
    reached = float(newton_cg.objective(problem, t * delta, t * U))
    assert values[0] - reached >= 0.98 * (values[0] - min(values))


def _start(X: np.ndarray, Y: np.ndarray, weights: np.ndarray, o: int) -> newton_cg.State:
    from geneb_jax.probes.lanes import zero_state

    lanes = _lanes(X[None], Y[None], weights[None])
    return jax.tree.map(lambda A: A[0], zero_state(lanes))


def _lanes(X: np.ndarray, Y: np.ndarray, weights: np.ndarray) -> Lanes:
    p, q = len(weights), X.shape[-1]
    penalty = np.tile(np.append(np.ones(q - 1), 0.0), (p, 1))
    return Lanes(*(jnp.asarray(a) for a in (X, Y, np.ones(p), weights, penalty)))


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("k", [2, 3, 6])
def test_dual_lanes_reach_the_optimum(k: int, mixed: bool) -> None:
    """More rows than `ALL_ROWS`, so that rows are selected; in either precision of the directions."""
    sets = [data(k, seed=seed) for seed in range(2)]
    X, Y, weights = (np.stack(part) for part in zip(*sets, strict=True))
    assert dual_rows(N, Y.shape[-1]) < N
    fitted = solve_dual(_lanes(X, Y, weights), tolerance=1e-12, max_steps=100, mixed=mixed)
    assert (fitted.status == Status.CONVERGED).all()
    for lane in range(2):
        _, _, best = reference.fit(X[lane, :, :-1], Y[lane], 1.0, weights[lane])
        W = fitted.W[lane]
        value, dW, db = reference.objective(W[:-1], W[-1], X[lane, :, :-1], Y[lane], 1.0, weights[lane])
        assert value / best - 1 < 1e-11
        assert np.sqrt((dW**2).sum() + (db**2).sum()) < 1e-4


def test_a_lane_too_stiff_for_float32_directions_is_left_to_float64() -> None:
    X, Y, weights = (a[None] for a in data(3))
    X = X.copy()
    X[..., :-1] *= 1e5
    lanes = _lanes(X, Y, weights)
    one = solve_dual(lanes, tolerance=1e-12, max_steps=200, mixed=True)
    other = solve_dual(lanes, tolerance=1e-12, max_steps=200, mixed=False)
    # two programs: bits may differ, the answer must not
    np.testing.assert_allclose(one.W, other.W, rtol=limit("float64", "same_problem"), atol=0)
