"""Rivals in the race to one suboptimality: each fits all rows and stops after a given number of iterations."""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.record import Rival
from benchmarks.stock import settings, time_settings
from benchmarks.workloads import Problem
from geneb_jax.axes import NumpyFloat

Fit = Callable[[int], tuple[NumpyFloat, NumpyFloat]]
"""Iteration limit to raw coefficients (d, o) and intercept (o,); C is 1."""

DENSE_LIMIT = 4000
"""Coefficients above which a dense Newton's Hessian is left out: it would need more than 0.1 GB and minutes."""
MOST_ITERATIONS = 1 << 15


@dataclass(frozen=True)
class Racer:
    """A rival; `threads` lists the settings it is timed at, `skip` says why it does not run here."""

    name: str
    dtype: str
    fit: Fit
    blas: bool = True
    skip: str | None = None


def _sklearn(problem: Problem, solver: str, dtype: str) -> Fit:
    X = problem.X_train.astype(dtype, copy=False)

    def fit(limit: int) -> tuple[NumpyFloat, NumpyFloat]:
        from sklearn.linear_model import LogisticRegression

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # a tolerance that is never met: the iteration limit decides
            model = LogisticRegression(solver=solver, tol=1e-30, max_iter=limit).fit(X, problem.y_train)
        return model.coef_.T, model.intercept_

    return fit


def torch_device() -> str:
    """Where torch's rivals run."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _torch(problem: Problem, dtype: str) -> Fit:
    import torch

    where, kind = torch_device(), getattr(torch, dtype)
    X = torch.from_numpy(problem.X_train).to(where, kind)
    _, index = np.unique(problem.y_train, return_inverse=True)
    target = torch.from_numpy(index).to(where)
    o = problem.outputs

    def fit(limit: int) -> tuple[NumpyFloat, NumpyFloat]:
        W = torch.zeros((problem.d, o), dtype=kind, device=where, requires_grad=True)
        b = torch.zeros(o, dtype=kind, device=where, requires_grad=True)
        solver = torch.optim.LBFGS(
            [W, b],
            max_iter=limit,
            max_eval=25 * limit,
            tolerance_grad=0,
            tolerance_change=0,
            history_size=10,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Any:
            solver.zero_grad()
            Z = X @ W + b
            if o == 1:
                losses = torch.nn.functional.binary_cross_entropy_with_logits(Z[:, 0], target.to(kind))
            else:
                losses = torch.nn.functional.cross_entropy(Z, target)
            loss = losses + (W * W).sum() / (2 * problem.n)
            loss.backward()
            return loss

        solver.step(closure)
        return W.detach().cpu().numpy(), b.detach().cpu().numpy()

    return fit


def _optax(problem: Problem) -> Fit:
    import jax
    import jax.numpy as jnp
    import optax
    import optax.tree

    from geneb_kernels.precision import HIGHEST

    X = jnp.asarray(problem.X_train)
    _, index = np.unique(problem.y_train, return_inverse=True)
    o = problem.outputs
    Y = jnp.asarray(index[:, None] if o == 1 else np.eye(o)[index], jnp.float32)
    solver = optax.lbfgs(memory_size=10)

    def loss(theta: tuple[jax.Array, jax.Array], X: jax.Array, Y: jax.Array) -> jax.Array:
        W, b = theta
        Z = jnp.matmul(X, W, precision=HIGHEST) + b
        rows = optax.sigmoid_binary_cross_entropy(Z, Y)[:, 0] if o == 1 else optax.softmax_cross_entropy(Z, Y)
        return jnp.mean(rows) + jnp.sum(W * W) / (2 * X.shape[0])

    @jax.jit
    def run(X: jax.Array, Y: jax.Array, limit: jax.Array) -> tuple[jax.Array, jax.Array]:
        def value(theta: Any) -> jax.Array:
            return loss(theta, X, Y)

        value_and_grad = optax.value_and_grad_from_state(value)

        def step(carry: Any) -> Any:
            count, theta, state = carry
            at, gradient = value_and_grad(theta, state=state)
            updates, state = solver.update(gradient, state, theta, value=at, grad=gradient, value_fn=value)
            return count + 1, optax.apply_updates(theta, updates), state

        theta = (jnp.zeros((X.shape[1], o)), jnp.zeros(o))
        _, theta, _ = jax.lax.while_loop(lambda c: c[0] < limit, step, (0, theta, solver.init(theta)))
        return theta

    def fit(limit: int) -> tuple[NumpyFloat, NumpyFloat]:
        W, b = run(X, Y, limit)
        return np.asarray(W), np.asarray(b)

    return fit


def _skglm(problem: Problem) -> Fit:
    from skglm import GeneralizedLinearEstimator
    from skglm.datafits import Logistic
    from skglm.penalties import L1_plus_L2
    from skglm.solvers import ProxNewton

    classes = np.unique(problem.y_train)
    y = np.where(problem.y_train == classes[1], 1.0, -1.0)
    X = np.asfortranarray(problem.X_train, dtype=np.float64)

    def fit(limit: int) -> tuple[NumpyFloat, NumpyFloat]:
        # nothing is sparse here, so the working set starts with every column
        solver = ProxNewton(max_iter=limit, p0=problem.d, tol=1e-14, fit_intercept=True)
        # skglm divides the loss by n. Its plain L2 has no solver with an intercept; the elastic net without L1 has
        model = GeneralizedLinearEstimator(Logistic(), L1_plus_L2(1 / problem.n, 0.0), solver)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, y)
        return np.asarray(model.coef_).reshape(-1, 1), np.atleast_1d(model.intercept_)

    return fit


def racers(problem: Problem) -> Iterator[Racer]:
    """Every rival that is installed, and those that are left out with the reason."""

    def nothing(limit: int) -> tuple[NumpyFloat, NumpyFloat]:
        raise NotImplementedError

    for dtype in ("float32", "float64"):
        yield Racer("scikit-learn lbfgs", dtype, _sklearn(problem, "lbfgs", dtype))
    dense = (problem.d + 1) * problem.outputs
    too_large = f"{dense:,} coefficients: the dense Hessian is too large" if dense > DENSE_LIMIT else None
    for dtype in ("float32", "float64"):
        fit = _sklearn(problem, "newton-cholesky", dtype)
        yield Racer("scikit-learn newton-cholesky", dtype, fit, skip=too_large)
    if importlib.util.find_spec("torch"):
        for dtype in ("float32", "float64"):
            yield Racer("torch L-BFGS", dtype, _torch(problem, dtype), blas=False)
    else:
        yield Racer("torch L-BFGS", "float32", nothing, skip="torch is not installed")
    yield Racer("Optax L-BFGS, jitted", "float32", _optax(problem), blas=False)
    if not importlib.util.find_spec("skglm"):
        yield Racer("skglm ProxNewton", "float64", nothing, skip="skglm is not installed")
    elif problem.outputs > 1:
        yield Racer("skglm ProxNewton", "float64", nothing, skip="skglm has no multinomial loss")
    else:
        yield Racer("skglm ProxNewton", "float64", _skglm(problem))


def first_reaching(
    fit: Fit, gap_of: Callable[[NumpyFloat, NumpyFloat], float], target: float, cap: float
) -> tuple[int | None, float]:
    """Fewest iterations (to within a tenth) whose gap is at most `target`, and the smallest gap seen.

    None where one run takes longer than `cap` seconds, more iterations change nothing, or there are too many.
    Knowing the number beforehand is a gift to the rival: a user would have to guess a tolerance.
    """
    fit(1)  # compilation is not an iteration
    low, high, best, last = 0, 1, np.inf, np.inf
    while True:
        began = time.perf_counter()
        gap = gap_of(*fit(high))
        best = min(best, gap)
        if gap <= target:
            break
        stuck = gap == last and high > 8
        if stuck or time.perf_counter() - began > cap or 2 * high > MOST_ITERATIONS:
            return None, best
        low, high, last = high, 2 * high, gap
    while high - low > max(1, high // 10):
        middle = (low + high) // 2
        gap = gap_of(*fit(middle))
        best = min(best, gap)
        low, high = (low, middle) if gap <= target else (middle, high)
    return high, best


def race(racer: Racer, gap_of: Callable[[NumpyFloat, NumpyFloat], float], target: float, cap: float) -> Rival:
    """Time one rival to the target at its settings; a rival that cannot get there says how near it came."""
    nobody = Rival(name=racer.name, dtype=racer.dtype, seconds={}, as_shipped=None, best=None)
    if racer.skip:
        return nobody.model_copy(update={"note": racer.skip})
    limit, best = first_reaching(racer.fit, gap_of, target, cap)
    if limit is None:
        return nobody.model_copy(update={"note": f"did not reach {target:g}: nearest {best:.1e}"})

    def call() -> str:
        racer.fit(limit)
        return racer.dtype

    note = f"{limit} iterations"
    if racer.blas:
        return time_settings(racer.name, call, note=note)
    if racer.name.startswith("torch"):
        return _torch_settings(racer, call, note)
    return _one_setting(racer, call, note)


def _one_setting(racer: Racer, call: Callable[[], str], note: str) -> Rival:
    _, limits = next(settings())
    times = []
    with limits:
        while len(times) < 3:
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
    seconds = float(np.median(times))
    return Rival(
        name=racer.name, dtype=racer.dtype, seconds={"as shipped": seconds}, as_shipped=seconds, best=seconds, note=note
    )


def _torch_settings(racer: Racer, call: Callable[[], str], note: str) -> Rival:
    import torch

    shipped = torch.get_num_threads()
    seconds = {}
    try:
        for threads in dict.fromkeys((shipped, 1)):
            torch.set_num_threads(threads)
            times = _one_setting(racer, call, note).seconds
            label = "as shipped, " * (threads == shipped) + f"{threads} thread{'s' * (threads > 1)}"
            seconds[label] = times["as shipped"]
    finally:
        torch.set_num_threads(shipped)
    return Rival(
        name=racer.name,
        dtype=racer.dtype,
        seconds=seconds,
        as_shipped=next(iter(seconds.values())),
        best=min(seconds.values()),
        note=note,
    )
