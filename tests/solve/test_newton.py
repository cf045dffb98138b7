"""Exact Newton: the optimum of two independent references, in both forms, on features that defeat naive solvers."""

from __future__ import annotations

import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from geneb_jax.linear import reference
from geneb_jax.linear.objective import probabilities
from geneb_jax.solve import newton
from geneb_jax.solve.newton_cg import Problem, State
from geneb_jax.status import Status
from tests.tolerances import REFERENCE_GAP

SHAPES = {"wide": (14, 30), "tall": (48, 8)}
"""One shape takes the dual form, one the primal; few shapes, because each is a compilation per number of classes."""

CASES = (("wide", 2), ("wide", 3), ("wide", 6), ("tall", 2), ("tall", 3), ("tall", 5))
"""Shapes and numbers of classes."""

KINDS = ("plain", "zero weights", "badly scaled", "separable", "duplicated", "tiny", "offset")

TOLERANCE = 1e-14


def features(kind: str, n: int, d: int, y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """X (n, d) and weights (n,) of one kind."""
    X, weights = rng.normal(size=(n, d)), rng.uniform(0.1, 3, size=n)
    if kind == "zero weights":
        # every class keeps a row, or its intercept has no optimum
        first = [int(np.argmax(y == c)) for c in np.unique(y)]
        weights[np.setdiff1d(rng.permutation(n)[: n // 2], first)] = 0
    elif kind == "badly scaled":
        X *= rng.permutation(np.logspace(-4, 4, d))
    elif kind == "separable":
        X = 20 * (X + 5 * np.eye(max(d, y.max() + 1))[y][:, :d])
    elif kind == "duplicated":
        X[:, d // 2 : 2 * (d // 2)] = X[:, : d // 2]
        X[n // 2 : 2 * (n // 2)] = X[: n // 2]
    elif kind == "tiny":
        X *= 1e-6
    elif kind == "offset":
        X += 100
    return X, weights


def start(problem: Problem) -> State:
    """W = 0."""
    (n, q), o = problem.X.shape, problem.Y.shape[1]
    zero, infinite, none = jnp.zeros(()), jnp.asarray(np.inf), jnp.zeros((), jnp.int32)
    return State(
        W=jnp.zeros((q, o)),
        Z=jnp.zeros((n, o)),
        value=jnp.sum(problem.weights) * np.log(max(2, o)),
        gap=infinite,
        best_gap=infinite,
        gain=zero,
        grad_norm=infinite,
        num_steps=none,
        num_products=none,
        num_bad=none,
        running=none + 1,
        status=none + int(Status.MAX_STEPS),
    )


def make_problem(X: np.ndarray, Y: np.ndarray, weights: np.ndarray, C: float, intercept: bool) -> Problem:
    n, d = X.shape
    last = np.ones((n, 1)) if intercept else np.zeros((n, 1))
    penalty = np.append(np.ones(d), 0.0 if intercept else 1.0)
    return Problem(*(jnp.asarray(a) for a in (np.hstack([X, last]), Y, C * weights, penalty)))


@partial(jax.jit, static_argnames=("form", "max_steps"))
def solve(problem: Problem, form: newton.Form | None = None, max_steps: int = 100) -> State:
    return newton.solve_exact(problem, start(problem), tolerance=jnp.asarray(TOLERANCE), max_steps=max_steps, form=form)


def value_of(state: State, X: np.ndarray, Y: np.ndarray, C: float, weights: np.ndarray, intercept: bool) -> float:
    W = np.asarray(state.W)
    b = W[-1] if intercept else np.zeros(W.shape[1])
    return reference.objective(W[:-1], b, X, Y, C, weights)[0]


def scikit_learn_value(
    X: np.ndarray, y: np.ndarray, Y: np.ndarray, C: float, weights: np.ndarray, intercept: bool
) -> float:
    model = LogisticRegression(C=C, fit_intercept=intercept, solver="newton-cholesky", tol=1e-14, max_iter=1000)
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):
        # at tol 1e-14 its line search can find nothing left to gain, and says so
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="The inner solver of .* stumbled upon a singular")
        model.fit(X, y, sample_weight=weights)
    b = np.zeros(Y.shape[1]) + model.intercept_
    return reference.objective(model.coef_.T, b, X, Y, C, weights)[0]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    case=st.sampled_from(CASES),
    kind=st.sampled_from(KINDS),
    C=st.sampled_from([1e-3, 1.0, 100.0]),
    intercept=st.booleans(),
)
@example(seed=1, case=("wide", 2), kind="badly scaled", C=100.0, intercept=True)
@example(seed=1, case=("tall", 5), kind="separable", C=100.0, intercept=True)
@example(seed=1, case=("wide", 6), kind="duplicated", C=1.0, intercept=False)
def test_reaches_the_optimum_of_two_references(
    seed: int, case: tuple[str, int], kind: str, C: float, intercept: bool
) -> None:
    (n, d), k = SHAPES[case[0]], case[1]
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(k), rng.integers(k, size=n - k)])
    X, weights = features(kind, n, d, y, rng)
    Y = reference.one_hot(y, np.arange(k))
    with jax.enable_x64(True):
        state = solve(make_problem(X, Y, weights, C, intercept))
    value = value_of(state, X, Y, C, weights, intercept)
    assert Status(int(state.status)) is Status.CONVERGED
    dense = reference.fit(X, Y, C, weights, fit_intercept=intercept)[2]
    # a lower value would mean that the references are not there; a higher one, that we are not
    assert value <= dense * (1 + REFERENCE_GAP)
    assert value >= dense * (1 - REFERENCE_GAP)
    assert value <= scikit_learn_value(X, y, Y, C, weights, intercept) * (1 + REFERENCE_GAP)
    assert abs(float(state.value) - value) <= 1e-9 * value


def scene(kind: str, n: int, q: int, k: int) -> tuple[Problem, np.ndarray, np.ndarray]:
    """A problem away from W = 0, its probabilities, and a right-hand side with columns that sum to zero."""
    rng = np.random.default_rng(5)
    y = np.concatenate([np.arange(k), rng.integers(k, size=n - k)])
    X, weights = features(kind, n, q - 1, y, rng)
    problem = make_problem(X, reference.one_hot(y, np.arange(k)), weights, 1.0, intercept=True)
    W = rng.normal(size=(q, 1 if k == 2 else k)) / np.sqrt(q)
    P = np.asarray(probabilities(jnp.asarray(np.asarray(problem.X) @ W)))
    R = rng.normal(size=W.shape)
    return problem, P, R if k == 2 else R - R.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("n", [10, 40])
@pytest.mark.parametrize("kind", ["plain", "zero weights", "duplicated"])
def test_the_two_multinomial_inverses_are_the_inverse_of_the_hessian(n: int, kind: str) -> None:
    k, q = 4, 9
    with jax.enable_x64(True):
        problem, P, R = scene(kind, n, q, k)
        X, w, pi = (np.asarray(a) for a in (problem.X, problem.weights, problem.penalty))
        S = w[:, None, None] * (P[:, :, None] * np.eye(k) - P[:, :, None] * P[:, None, :])
        H = np.einsum("ni,nab,nj->iajb", X, S, X).reshape(q * k, q * k) + np.diag(np.repeat(pi, k))
        exact = np.linalg.lstsq(H, R.ravel(), rcond=1e-12)[0].reshape(q, k)
        exact -= exact.mean(axis=1, keepdims=True)
        for inverse in (newton._dense_inverse, newton._woodbury_inverse):
            found = np.asarray(jax.jit(lambda problem, P, R, f=inverse: f(problem, P)(R))(problem, P, R))
            np.testing.assert_allclose(found, exact, atol=1e-9 * np.abs(exact).max())


def test_the_cheaper_form_is_taken() -> None:
    assert newton.newton_form(14, 31) == "dual"
    assert newton.newton_form(48, 9) == "primal"
    # the rows' own coordinates have one column more than rows, and are not taken to the span once more
    assert newton.newton_form(32, 33) == "primal"
    assert newton.uses_woodbury(32, 33, 10)
    assert not newton.uses_woodbury(2000, 33, 3)
    assert not newton.uses_woodbury(8, 33, 1)


def test_both_forms_find_the_same_coefficients() -> None:
    k, (n, d) = 3, SHAPES["wide"]
    rng = np.random.default_rng(k)
    y = np.concatenate([np.arange(k), rng.integers(k, size=n - k)])
    X, weights = features("plain", n, d, y, rng)
    with jax.enable_x64(True):
        problem = make_problem(X, reference.one_hot(y, np.arange(k)), weights, 1.0, intercept=True)
        primal, dual = solve(problem, form="primal"), solve(problem)
    np.testing.assert_allclose(dual.W, primal.W, atol=1e-9)
    np.testing.assert_allclose(dual.Z, np.asarray(problem.X) @ np.asarray(dual.W), atol=1e-9)


def test_step_by_step_is_the_same_as_all_at_once() -> None:
    """Rounds stop and go on."""
    n, d = SHAPES["tall"]
    rng = np.random.default_rng(0)
    y = np.concatenate([np.arange(2), rng.integers(2, size=n - 2)])
    X, weights = features("plain", n, d, y, rng)
    with jax.enable_x64(True):
        problem = make_problem(X, reference.one_hot(y, np.arange(2)), weights, 1.0, intercept=True)
        whole, state = solve(problem), start(problem)
        step = jax.jit(newton.newton_step)
        while int(state.running):
            assert Status(int(state.status)) is Status.MAX_STEPS
            state = step(problem, state, jnp.asarray(TOLERANCE))
    assert Status(int(state.status)) is Status.CONVERGED
    assert int(state.num_steps) == int(whole.num_steps)
    np.testing.assert_allclose(state.W, whole.W, atol=1e-12)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_lanes_in_a_batch_are_lanes_alone_and_a_broken_one_says_so(shape: str) -> None:
    k, (n, d) = 3, SHAPES[shape]
    rng = np.random.default_rng(9)
    with jax.enable_x64(True):
        problems = []
        for kind in ("plain", "separable", "badly scaled", "plain", "plain"):
            y = np.concatenate([np.arange(k), rng.integers(k, size=n - k)])
            X, weights = features(kind, n, d, y, rng)
            problems.append(make_problem(X, reference.one_hot(y, np.arange(k)), weights, 1.0, intercept=True))
        problems[3] = problems[3]._replace(X=problems[3].X.at[2, 1].set(np.nan))
        problems[4] = problems[4]._replace(weights=problems[4].weights * 0)
        batch = jax.vmap(solve)(jax.tree.map(lambda *a: jnp.stack(a), *problems))
        alone = [solve(problem) for problem in problems[:3]]
    status = [Status(int(s)) for s in batch.status]
    # rows of weight zero leave nothing to fit: W = 0 is the optimum
    assert status == [Status.CONVERGED] * 3 + [Status.NON_FINITE, Status.CONVERGED]
    assert not np.asarray(batch.W[4]).any()
    for i, one in enumerate(alone):
        np.testing.assert_allclose(batch.value[i], one.value, rtol=REFERENCE_GAP)
        np.testing.assert_allclose(batch.W[i], one.W, atol=1e-6 * np.abs(one.W).max())
