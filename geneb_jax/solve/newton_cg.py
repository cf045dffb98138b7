"""Preconditioned Newton-CG for one probe; batch it over lanes with vmap.

Each outer step solves the Newton system H δ = -∇F by conjugate gradients, touching X only through products with a
few columns, and follows δ with a slope test along cached logits. The preconditioner is the Cholesky factor of
C·Xᵀ diag(s) X + diag(π) for some row weights s: the exact Hessian at W = 0 when s is the curvature of the uniform
prediction, so one Gram matrix of X serves every lane that shares it (Böhning 1992 gives the bound for k classes).

The objective and the coordinates are those of `geneb_jax.linear.objective`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Bool, Float, Int
from geneb_jax.linear.objective import curvature_product, probabilities, residuals, row_losses
from geneb_jax.status import Status
from geneb_kernels.precision import HIGHEST
from geneb_kernels.products import times, times_transposed

GAIN_FACTOR = 10.0
"""The distance from the optimum may be this many times the tolerance beside the decrease gained since W = 0."""

FORCING = 0.05
"""Fall of the preconditioned residual at which a Newton direction is good enough."""

MAX_TRIALS = 20
"""Trials of a step length; three are typical."""

MAX_STEP = 1e4
"""Longest step, in units of the Newton step."""

ROUNDING_UNITS = 8.0
"""Roundings of a row's residual, in units of the arithmetic's resolution, that are nothing left to gain.

An optimum at W = 0 leaves no gain to compare with, and a gradient that is rounding alone. Residuals off by e make a
decrement of (Xᵀe)ᵀ H⁻¹ (Xᵀe) ≤ Σ eᵢ²/(wᵢ sᵢ), whatever X: with |eᵢ| ≤ units·eps·wᵢ/2 and the curvature sᵢ = ¼ of the
uniform prediction that is (units·eps)²·Σ wᵢ, a little more than (units·eps)²·F."""


class Problem(NamedTuple):
    """One lane's data. ``weights`` are C·w; a row of weight zero does not exist. ``penalty`` is π."""

    X: Float[Array, "n d"]
    Y: Float[Array, "n o"]
    weights: Float[Array, " n"]
    penalty: Float[Array, " d"]


class State(NamedTuple):
    """What the outer loop carries. ``gap`` estimates (F - F*)/F before the last step was taken.

    ``gain`` adds up the predicted decreases since W = 0: near the uniform prediction F itself hardly changes, and
    the distance from the optimum must be small beside what was gained, not beside F.
    """

    W: Float[Array, "d o"]
    Z: Float[Array, "n o"]
    value: Float[Array, ""]
    gap: Float[Array, ""]
    best_gap: Float[Array, ""]
    gain: Float[Array, ""]
    grad_norm: Float[Array, ""]
    num_steps: Int[Array, ""]
    num_products: Int[Array, ""]
    num_bad: Int[Array, ""]
    running: Int[Array, ""]
    status: Int[Array, ""]


class Inner(NamedTuple):
    """What conjugate gradients carry: δ, its logits U, the residual, and the products with H so far.

    ``rho`` is the squared preconditioned residual, ``rho0`` what it was at δ = 0.
    """

    delta: Float[Array, "d o"]
    U: Float[Array, "n o"]
    r: Float[Array, "d o"]
    p: Float[Array, "d o"]
    rho: Float[Array, ""]
    rho0: Float[Array, ""]
    products: Int[Array, ""]
    go: Array


def objective(problem: Problem, W: Float[Array, "d o"], Z: Float[Array, "n o"]) -> Float[Array, ""]:
    """F at W, given its logits Z."""
    fit = jnp.sum(problem.weights * row_losses(Z, problem.Y))
    return fit + 0.5 * jnp.sum(problem.penalty[:, None] * W * W)


def gradient(problem: Problem, state: State) -> tuple[Float[Array, "d o"], Float[Array, "n o"]]:
    """∇F at the state, and the class probabilities."""
    P = probabilities(state.Z)
    data = times_transposed(problem.X, problem.weights[:, None] * residuals(state.Z, problem.Y))
    return data + problem.penalty[:, None] * state.W, P


def precondition(factor: Float[Array, "*k d"], R: Float[Array, "d o"]) -> Float[Array, "d o"]:
    """M⁻¹ R for M = L Lᵀ given `factor` = L⁻¹ (d, d): one for all columns, or one for each (k, d, d); (d,) is diagonal.

    Inverting the triangle and not M keeps M⁻¹ positive definite in any precision. For k > 2 the result is projected
    on columns that sum to zero: the optimum lies there (a constant added to every class changes no loss and only
    raises the penalty), and without the projection rounding drifts along the intercept's free direction.
    """
    if factor.ndim == 1:
        V = (factor**2)[:, None] * R
    elif factor.ndim == 3:
        T = jnp.einsum("kij,jk->ki", factor, R, precision=HIGHEST)
        V = jnp.einsum("kij,ki->jk", factor, T, precision=HIGHEST)
    else:
        V = jnp.matmul(factor.T, jnp.matmul(factor, R, precision=HIGHEST), precision=HIGHEST)
    return V if V.shape[1] == 1 else V - jnp.mean(V, axis=1, keepdims=True)


def newton_direction(
    problem: Problem,
    preconditioner: Callable[[Array], Array],
    grad: Float[Array, "d o"],
    P: Float[Array, "n o"],
    forcing: Float[Array, ""],
    max_inner: int,
) -> Inner:
    """Conjugate gradients on H δ = -∇F from δ = 0, until the preconditioned residual falls by `forcing`.

    `preconditioner` applies M⁻¹ to (d, o); given an exact one, up to rounding, this is iterative refinement.
    """
    tiny = np.finfo(grad.dtype).tiny
    # the columns of softmax's gradient sum to zero; near the optimum their rounded sum would be most of what is left
    r0 = -grad if grad.shape[1] == 1 else jnp.mean(grad, axis=1, keepdims=True) - grad
    z0 = preconditioner(r0)
    rho0 = jnp.sum(r0 * z0)

    def hessian(V: Float[Array, "d o"]) -> tuple[Float[Array, "d o"], Float[Array, "n o"]]:
        U = times(problem.X, V)
        T = problem.weights[:, None] * curvature_product(P, U)
        return times_transposed(problem.X, T) + problem.penalty[:, None] * V, U

    def step(s: Inner) -> Inner:
        Hp, Up = hessian(s.p)
        curvature = jnp.sum(s.p * Hp)
        # a direction without curvature has converged (or is the softmax's free constant): stop instead of 0/0
        sound = (curvature > tiny) & jnp.isfinite(curvature)
        alpha = jnp.where(sound, s.rho / jnp.where(sound, curvature, 1), 0)
        r = s.r - alpha * Hp
        z = preconditioner(r)
        rho = jnp.sum(r * z)
        beta = jnp.where(s.rho > tiny, rho / jnp.where(s.rho > tiny, s.rho, 1), 0)
        products = s.products + 1
        go = sound & (rho > forcing**2 * rho0) & (products < max_inner) & (rho > tiny)
        return Inner(
            s.delta + alpha * s.p,
            s.U + alpha * Up,
            r,
            z + beta * s.p,
            rho,
            rho0,
            products,
            go,
        )

    first = Inner(jnp.zeros_like(grad), jnp.zeros_like(P), r0, z0, rho0, rho0, jnp.zeros((), jnp.int32), rho0 > tiny)
    return jax.lax.while_loop(lambda s: s.go, step, first)


class _Search(NamedTuple):
    """A step length t between `low` and `high`, with the slope of F along δ there."""

    t: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]
    slope: Float[Array, ""]
    curve: Float[Array, ""]
    trials: Int[Array, ""]


def _step_length(
    problem: Problem, state: State, delta: Float[Array, "d o"], U: Float[Array, "n o"], decrement: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """A step t at which the slope along δ has fallen to a tenth, found by Newton's method in t; and that slope.

    Logits along δ are known, so a trial costs no product with X. Steps longer than 1 are taken where they pay: while
    probabilities saturate, the quadratic model under-estimates how far F falls, and a step to the minimum along δ
    saves a third of the Newton steps. Slopes resolve what differences of F cannot near the optimum; F is convex, so a
    slope of at most a tenth of the initial one means that F fell.
    """
    W_slope = jnp.sum(problem.penalty[:, None] * state.W * delta)
    W_curve = jnp.sum(problem.penalty[:, None] * delta * delta)
    dtype = decrement.dtype

    def along(t: Float[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        Z = state.Z + t * U
        P = probabilities(Z)
        slope = jnp.sum(problem.weights[:, None] * residuals(Z, problem.Y) * U) + W_slope + t * W_curve
        return slope, jnp.sum(problem.weights[:, None] * curvature_product(P, U) * U) + W_curve

    resolution = 100 * np.finfo(dtype).eps * state.value

    def bad(s: _Search) -> Array:
        unsettled = (jnp.abs(s.slope) > 0.1 * decrement) & (s.trials < MAX_TRIALS) & (s.t < MAX_STEP)
        return unsettled & (decrement > resolution) & (s.t > 1e-6)

    def trial(s: _Search) -> _Search:
        low = jnp.where(s.slope > 0, s.low, s.t)
        high = jnp.where(s.slope > 0, s.t, s.high)
        t = s.t - s.slope / jnp.maximum(s.curve, np.finfo(dtype).tiny)
        # inside what is known to hold the minimum, and never by more than a factor of four
        t = jnp.clip(t, jnp.maximum(low, s.t / 4), jnp.minimum(high, s.t * 4))
        t = jnp.where((t <= low) | (t >= high), 0.5 * (low + jnp.minimum(high, 4 * s.t)), t)
        return _Search(t, low, high, *along(t), s.trials + 1)

    one = jnp.ones((), dtype)
    first = _Search(one, jnp.zeros((), dtype), jnp.asarray(jnp.inf, dtype), *along(one), jnp.zeros((), jnp.int32))
    last = jax.lax.while_loop(bad, trial, first)
    # out of trials above the minimum: the largest step known to stay below it
    t = jnp.where((last.slope > 0.1 * decrement) & (decrement > resolution) & (last.low > 0), last.low, last.t)
    return t, last.slope


def outer_step(
    problem: Problem, factor: Float[Array, "*k d"], state: State, tolerance: Float[Array, ""], max_inner: int
) -> State:
    """One Newton step; sets ``running`` to 0 and the status when there is nothing left to do."""
    apply = partial(precondition, factor)
    return preconditioned_step(problem, state, tolerance, lambda P: apply, FORCING, max_inner)


def preconditioned_step(
    problem: Problem,
    state: State,
    tolerance: Float[Array, ""],
    preconditioner: Callable[[Array], Callable[[Array], Array]],
    forcing: float,
    max_inner: int,
) -> State:
    """A step along `newton_direction`; `preconditioner` makes M⁻¹ from the probabilities P (n, o) at the state."""
    grad, P = gradient(problem, state)
    inner = newton_direction(problem, preconditioner(P), grad, P, jnp.asarray(forcing, grad.dtype), max_inner)
    return follow(
        problem,
        state,
        grad,
        inner.delta,
        inner.U,
        tolerance,
        # without a finite residual no direction was found, which must not pass for having arrived
        sound=jnp.isfinite(inner.rho),
        passes=2 * inner.products + 1,
    )


def follow(
    problem: Problem,
    state: State,
    grad: Float[Array, "d o"],
    delta: Float[Array, "d o"],
    U: Float[Array, "n o"],
    tolerance: Float[Array, ""],
    *,
    sound: Bool[Array, ""],
    passes: Int[Array, ""],
    settled: Bool[Array, ""] | bool = True,
) -> State:
    """Take a damped step along a Newton direction δ with logits U = X δ, and decide whether the lane is done.

    Whichever solver found δ: `grad` is ∇F at the state, `passes` the products with X that it cost, and `sound` is
    false where no direction was found; a lane is not done while δ is not `settled`, too short to judge by.
    """
    decrement = -jnp.sum(grad * delta)
    # rows of weight zero alone make F = 0: nothing is left to gain
    gap = 0.5 * decrement / jnp.maximum(state.value, np.finfo(decrement.dtype).tiny)
    t, slope = _step_length(problem, state, delta, U, decrement)
    # the mean of the slopes at both ends; a difference of two values of F would drown in rounding near the optimum
    gain = state.gain + 0.5 * t * jnp.clip(decrement - slope, 0, 2 * jnp.abs(decrement))
    W = state.W + t * delta
    Z = state.Z + t * U
    value = objective(problem, W, Z)
    grad_norm = jnp.sqrt(jnp.sum(grad * grad))

    finite = jnp.isfinite(value) & jnp.isfinite(decrement) & jnp.all(jnp.isfinite(W))
    finite &= jnp.isfinite(grad_norm) & sound
    rounding = (ROUNDING_UNITS * np.finfo(decrement.dtype).eps) ** 2
    small = (0.5 * decrement <= tolerance * GAIN_FACTOR * gain) | (gap <= rounding)
    converged = finite & (gap <= tolerance) & small & settled
    # progress is a smaller estimate or, far from the optimum where estimates wander, a measurably smaller F
    fell = state.value - value > 8 * np.finfo(value.dtype).eps * state.value
    better = (gap < 0.5 * state.best_gap) | fell
    num_bad = jnp.where(better, 0, state.num_bad + 1)
    stalled = finite & ~converged & (num_bad >= 5)
    done = converged | stalled | ~finite
    status = jnp.where(
        converged,
        int(Status.CONVERGED),
        jnp.where(~finite, int(Status.NON_FINITE), jnp.where(stalled, int(Status.STALLED), int(Status.MAX_STEPS))),
    )

    def keep(new: Array, old: Array) -> Array:
        return jnp.where(finite, new, old)

    return State(
        W=keep(W, state.W),
        Z=keep(Z, state.Z),
        value=keep(value, state.value),
        gap=gap,
        best_gap=jnp.minimum(gap, state.best_gap),
        gain=gain,
        grad_norm=grad_norm,
        num_steps=state.num_steps + 1,
        num_products=state.num_products + passes,
        num_bad=num_bad,
        running=jnp.where(done, 0, 1).astype(jnp.int32),
        status=status.astype(jnp.int32),
    )


def solve(
    problem: Problem,
    factor: Float[Array, "*k d"],
    state: State,
    *,
    tolerance: Float[Array, ""],
    max_steps: int,
    max_inner: int,
    max_products: Int[Array, ""],
) -> State:
    """Run outer steps until the lane is done, or `max_steps` or `max_products` passes of this call are used."""
    first_products = state.num_products

    def go(s: State) -> Array:
        return (s.running == 1) & (s.num_steps < max_steps) & (s.num_products - first_products < max_products)

    return jax.lax.while_loop(go, lambda s: outer_step(problem, factor, s, tolerance, max_inner), state)
