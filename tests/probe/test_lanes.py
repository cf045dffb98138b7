"""`solve_lanes`: row weights, lanes with rows of their own, and lanes whose data are no numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax.linear import reference
from geneb_jax.probes.rounds import Fitted, Lanes, solve_lanes
from geneb_jax.status import Status
from tests.tolerances import LIMITS, limit

P = 4
SHAPES = {2: (20, 20), 3: (32, 24)}
"""(rows, features) by number of classes, chosen to be the shapes that few-shot draws of the other tests compile."""

PENALTIES = np.array([1.0, 0.1, 3.0, 1.0])


def data(k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X (p, n, d), labels (p, n), row weights (p, n)."""
    n, d = SHAPES[k]
    rng = np.random.default_rng(seed)
    y = np.stack([rng.permutation(np.arange(n) % k) for _ in range(P)])
    X = rng.normal(size=(P, n, d)) + 0.3 * y[..., None]
    return X, y, np.ones((P, n))


def targets(y: np.ndarray, k: int) -> np.ndarray:
    return reference.one_hot(y.ravel(), np.arange(k)).reshape(*y.shape, 1 if k == 2 else k)


def solve(X: np.ndarray, y: np.ndarray, weights: np.ndarray, k: int, C: np.ndarray = PENALTIES) -> Fitted:
    """Lanes with an intercept; X and y with a leading lane axis, or shared without one."""
    ones = np.ones((*X.shape[:-1], 1), X.dtype)
    penalty = np.ones((len(C), X.shape[-1] + 1), X.dtype)
    penalty[:, -1] = 0
    with jax.enable_x64(X.dtype == np.float64):
        lanes = Lanes(
            X=jnp.asarray(np.concatenate([X, ones], axis=-1)),
            Y=jnp.asarray(targets(y, k).astype(X.dtype)),
            C=jnp.asarray(C.astype(X.dtype)),
            weights=jnp.asarray(weights.astype(X.dtype)),
            penalty=jnp.asarray(penalty),
        )
        return solve_lanes(lanes, tolerance=1e-12 if X.dtype == np.float64 else 1e-9, max_steps=100)


def assert_optimal(W: np.ndarray, value: float, X: np.ndarray, y: np.ndarray, k: int, C: float, dtype: str) -> None:
    """Against the reference on rows that really exist once each."""
    Y = targets(y, k)
    best = reference.fit(X, Y, C)[2]
    found = reference.objective(W[:-1], W[-1], X, Y, C)[0]
    assert found - best <= LIMITS[dtype]["objective_gap"].value * best
    assert value == pytest.approx(found, rel=limit(dtype, "objective_report"))


@pytest.mark.parametrize("k", [2, 3])
def test_rows_of_weight_zero_do_not_exist(k: int) -> None:
    X, y, weights = data(k)
    rng = np.random.default_rng(1)
    for lane in range(P):
        gone = rng.choice(X.shape[1], size=lane * 2, replace=False)
        weights[lane, gone] = 0
        X[lane, gone] = 1e6 * rng.normal(size=(len(gone), X.shape[2]))
    fitted = solve(X, y, weights, k)
    assert (fitted.status == Status.CONVERGED).all()
    for lane in range(P):
        kept = weights[lane] > 0
        assert_optimal(fitted.W[lane], fitted.value[lane], X[lane, kept], y[lane, kept], k, PENALTIES[lane], "float64")


@pytest.mark.parametrize("k", [2, 3])
def test_whole_weights_are_repeated_rows(k: int) -> None:
    X, y, _ = data(k)
    times = np.random.default_rng(2).integers(0, 5, size=y.shape)
    fitted = solve(X, y, times.astype(float), k)
    assert (fitted.status == Status.CONVERGED).all()
    for lane in range(P):
        rows = np.repeat(np.arange(X.shape[1]), times[lane])
        assert_optimal(fitted.W[lane], fitted.value[lane], X[lane, rows], y[lane, rows], k, PENALTIES[lane], "float64")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_of_lanes_that_share_their_rows(dtype: str) -> None:
    """Bootstrap weights, one set per lane, on one X: the shapes of a full-data task."""
    rng = np.random.default_rng(3)
    y = rng.integers(2, size=112)
    X = (rng.normal(size=(112, 24)) + 0.3 * y[:, None]).astype(dtype)
    times = rng.multinomial(112, np.full(112, 1 / 112), size=P)
    fitted = solve(X, y, times, 2)
    assert (fitted.status == Status.CONVERGED).all()
    for lane in range(P):
        rows = np.repeat(np.arange(112), times[lane])
        exact = X[rows].astype(np.float64)
        assert_optimal(fitted.W[lane], fitted.value[lane], exact, y[rows], 2, PENALTIES[lane], dtype)


def same_bits(one: Fitted, other: Fitted, lanes: list[int]) -> None:
    for name in Fitted._fields:
        a, b = getattr(one, name)[lanes], getattr(other, name)[lanes]
        assert np.array_equal(a, b), name


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200], ids=str)
def test_a_lane_that_is_no_number_leaves_the_others_bit_identical(bad: float, k: int) -> None:
    X, y, weights = data(k)
    clean = solve(X, y, weights, k)
    for lane in range(P):
        broken = X.copy()
        broken[lane, 3] = bad
        fitted = solve(broken, y, weights, k)
        assert fitted.status[lane] == Status.NON_FINITE
        same_bits(clean, fitted, [i for i in range(P) if i != lane])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_lane_with_broken_weights_leaves_those_that_share_its_rows_bit_identical(dtype: str) -> None:
    rng = np.random.default_rng(4)
    y = rng.integers(2, size=112)
    X = (rng.normal(size=(112, 24)) + 0.3 * y[:, None]).astype(dtype)
    weights = np.ones((P, 112))
    clean = solve(X, y, weights, 2)
    for lane in range(P):
        broken = weights.copy()
        broken[lane, 7] = np.nan
        fitted = solve(X, y, broken, 2)
        assert fitted.status[lane] == Status.NON_FINITE
        same_bits(clean, fitted, [i for i in range(P) if i != lane])


def test_finished_lanes_keep_their_values_while_others_go_on() -> None:
    X, y, weights = data(2)
    alike = solve(X, y, weights, 2, np.array([1.0, 1.0, 1.0, 1.0]))
    mixed = solve(X, y, weights, 2, np.array([1.0, 1e8, 1.0, 1.0]))
    assert mixed.num_steps[1] > mixed.num_steps[0]
    same_bits(alike, mixed, [0, 2, 3])
