"""Solving lanes of many rows: rounds of vmapped Newton-CG, between which the unfinished are gathered and refactored.

A vmapped loop runs until its slowest lane is done, and a preconditioner loosens as probabilities saturate. So each
round has a budget of passes over X; then the host looks once, keeps the unfinished lanes, rebuilds their
preconditioners at the current probabilities and goes on. The budget is about the cost of that rebuilding, so neither
can waste more than the other (the ski-rental argument).
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Float
from geneb_jax.linear.objective import probabilities
from geneb_jax.probes.cost import PER_CLASS_BYTES
from geneb_jax.probes.devices import (
    EVERYWHERE,
    SPREAD,
    Split,
    gram_over_rows,
    kept,
    lane_unit,
    over_lanes,
    problem_specs,
    refreshed_over_rows,
    split_for,
    spread,
    take,
)
from geneb_jax.probes.dual_rounds import solve_dual
from geneb_jax.probes.lanes import Fitted, Lanes, continued, lane_axes, part_of, updated, zero_state
from geneb_jax.probes.programs import program
from geneb_jax.probes.threads import is_wide
from geneb_jax.solve.newton_cg import Problem, State, solve
from geneb_jax.solve.precondition import (
    active_rows,
    class_curvatures,
    diagonal_factor,
    mean_curvature,
    mean_gram,
    refreshed_factor,
    uniform_curvature,
    uniform_factor,
)
from geneb_kernels.gram import weighted_gram_host

__all__ = ["MAX_INNER", "Fitted", "Lanes", "solve_lanes"]

MAX_INNER = 400
"""Conjugate-gradient steps after which a Newton direction is taken as it is; still a descent direction."""

LEAST_BUDGET = 12
"""Fewest passes between two preconditioners: the cost of one Newton step."""


@program
def _mean_gram(X: Float[Array, "n q"], weights: Float[Array, "p n"]) -> Float[Array, "q q"]:
    """Xᵀ diag(w) X / Σw, one for all lanes.

    Lanes with row weights of their own get the first sound lane's; it only serves preconditioners.
    """
    first = jnp.argmax(jnp.all(jnp.isfinite(weights), axis=1))  # a broken lane must not break the others
    return mean_gram(X, weights[first])


@partial(program, static_argnames="split")
def _spread_mean_gram(problem: Problem, split: Split) -> Float[Array, "q q"]:
    """The same for lanes of one X on several devices, each of which adds up a part of the rows."""
    first = jnp.argmax(jnp.all(jnp.isfinite(problem.weights), axis=1))
    weights = problem.weights[first]
    total = jnp.maximum(jnp.sum(weights), np.finfo(weights.dtype).tiny)
    return gram_over_rows(problem.X, weights, split) / total


def _host_mean_gram(lanes: Lanes) -> Float[Array, "q q"]:
    """`_mean_gram` of one X on the host's BLAS, whose symmetric product XLA on CPU does not have."""
    X, weights = np.asarray(lanes.X), np.asarray(lanes.weights)
    first = weights[int(np.argmax(np.isfinite(weights).all(axis=1)))]
    # a wide design's Gram matrix is one BLAS call with all its threads
    G = weighted_gram_host(X, first, threads=1 if is_wide(X.shape[1] - 1) else None)
    with np.errstate(all="ignore"):
        return jax.device_put((G / max(first.sum(), np.finfo(X.dtype).tiny)).astype(X.dtype))


@partial(program, static_argnames=("o", "split"))
def _first_factors(
    problem: Problem, G: Float[Array, "*p q q"], o: int, split: Split | None = None
) -> Float[Array, "p q q"]:
    """Factors at W = 0, where only the lanes' total weights and penalties differ."""

    def lane(G: Array, weights: Array, penalty: Array) -> Array:
        return uniform_factor(G, jnp.sum(weights), penalty, 2 if o == 1 else o)

    if G.ndim == 2:

        def shared(G: Array, weights: Array, penalty: Array) -> Array:
            return jax.lax.map(lambda item: lane(G, *item), (weights, penalty))

        return over_lanes(shared, split, (EVERYWHERE, SPREAD, SPREAD))(G, problem.weights, problem.penalty)
    return jax.vmap(lane)(G, problem.weights, problem.penalty)


@partial(program, static_argnames="o")
def _diagonal_factors(problem: Problem, o: int) -> Float[Array, "p q"]:
    """Diagonal stand-ins at W = 0."""
    k = 2 if o == 1 else o
    return jax.vmap(lambda weights, penalty: diagonal_factor(jnp.sum(weights), penalty, k))(
        problem.weights, problem.penalty
    )


def small_features(lanes: Lanes) -> bool:
    """Whether the penalty outweighs the data in every lane, so that the Hessian is nearly diagonal.

    In solver coordinates a column has mean square 1 and the penalty π = 1/scale²: with frequencies for features, whose
    spread is a thousandth, π is beyond the whole weight of the rows.
    """
    o = lanes.Y.shape[-1]
    weights, penalty = np.asarray(lanes.weights, np.float64), np.asarray(lanes.penalty, np.float64)
    curvature = uniform_curvature(2 if o == 1 else o) * np.asarray(lanes.C, np.float64) * weights.sum(axis=1)
    penalised = penalty > 0
    with np.errstate(all="ignore"):
        ratio = np.where(penalised, curvature[:, None] / np.where(penalised, penalty, 1), 0).mean(axis=1)
    return bool((ratio <= 1).all())


@partial(program, static_argnames=("per_class", "split"))
def _refresh(
    problem: Problem, G: Float[Array, "*p q q"], state: State, per_class: bool, split: Split | None = None
) -> Float[Array, "p *k q q"]:
    rows = active_rows(problem.X.shape[-2])
    factors = partial(refreshed_over_rows, split=split) if split is not None and not split.lanes else refreshed_factor

    def one(X: Array, G: Array, weights: Array, penalty: Array, Z: Array) -> Float[Array, "*k q q"]:
        P = probabilities(Z)
        if per_class:
            return factors(X, class_curvatures(P, weights), penalty, G, rows)
        return factors(X, mean_curvature(P, weights)[None], penalty, G, rows)[0]

    if problem.X.ndim == 2:
        # one after the other: a vmapped Gram would hold a weighted copy of X for every lane
        def shared(X: Array, G: Array, weights: Array, penalty: Array, Z: Array) -> Array:
            return jax.lax.map(lambda item: one(X, G, *item), (weights, penalty, Z))

        specs = (EVERYWHERE, EVERYWHERE, SPREAD, SPREAD, SPREAD)
        return over_lanes(shared, split, specs)(problem.X, G, problem.weights, problem.penalty, state.Z)
    return jax.vmap(one)(problem.X, G, problem.weights, problem.penalty, state.Z)


@partial(program, static_argnames=("max_steps", "max_inner", "split"))
def _round(
    problem: Problem,
    factor: Float[Array, "p *k q"],
    state: State,
    tolerance: Array,
    max_products: Array,
    *,
    max_steps: int,
    max_inner: int,
    split: Split | None = None,
) -> State:
    def lanes(problem: Problem, factor: Array, state: State, tolerance: Array, max_products: Array) -> State:
        def one(problem: Problem, factor: Array, state: State) -> State:
            return solve(
                problem, factor, state, tolerance=tolerance, max_steps=max_steps, max_inner=max_inner,
                max_products=max_products,
            )  # fmt: skip

        return jax.vmap(one, in_axes=(lane_axes(problem), 0, 0))(problem, factor, state)

    specs = split and (problem_specs(problem, split), SPREAD, SPREAD, EVERYWHERE, EVERYWHERE)
    return kept(over_lanes(lanes, split, specs)(problem, factor, state, tolerance, max_products), split)


def refresh_passes(n: int, q: int, o: int, blocks: int, rows: int | None = None) -> int:
    """What building one lane's preconditioner of `blocks` blocks costs, in passes over X (n, q) with o columns.

    `rows`: from how many rows of X; None for those of a rebuilt one.

    Counted in operations: a Gram matrix of the active rows on and above the diagonal, and a Cholesky factor with its
    inverse at a third of the Gram's rate; a pass at two thirds of the Gram's rate, or at the memory's (a number read
    costs as much as 32 operations).
    """
    gram = 1.2 * (active_rows(n) if rows is None else rows) * q**2
    factor = 4.0 * q**3
    return max(LEAST_BUDGET, round(blocks * (gram + factor) / (n * q * max(3.0 * o, 32.0))))


def _gram_of_all(lanes: Lanes, problem: Problem, split: Split | None) -> Float[Array, "q q"]:
    if split is not None:
        return _spread_mean_gram(problem, split)
    if jax.default_backend() == "cpu":
        return _host_mean_gram(lanes)
    return _mean_gram(lanes.X, jax.device_put(lanes.weights))


def solve_lanes(lanes: Lanes, *, tolerance: float, max_steps: int, mixed: bool = False) -> Fitted:
    """Fit every lane from W = 0. Never raises on values: each lane carries its status.

    mixed: `solve_dual`'s.
    """
    if not lanes.shared or lanes.X.shape[-2] < lanes.X.shape[-1]:
        return solve_dual(lanes, tolerance=tolerance, max_steps=max_steps, mixed=mixed)
    count = lanes.C.shape[0]
    (n, q), o = lanes.X.shape[-2:], lanes.Y.shape[-1]
    itemsize = np.dtype(lanes.X.dtype).itemsize
    per_class = o > 1 and count * o * q * q * itemsize <= PER_CLASS_BYTES
    budget = refresh_passes(n, q, o, o if per_class else 1)
    problem = lanes.problem()
    state = zero_state(lanes)
    split = split_for(problem)
    problem, state = spread(problem, state, split)
    tol = np.asarray(tolerance, lanes.X.dtype)

    fitted: Fitted | None = None
    alive = np.arange(problem.weights.shape[0])
    G: Array | None = None
    first = refresh_passes(n, q, o, 1, rows=n)
    while True:
        if fitted is None and split is None and first > 2 * LEAST_BUDGET and small_features(lanes):
            # no Gram matrix where it can be done without; this may take as long as it would
            factor, allowed, inner = _diagonal_factors(problem, o), first, first // 2
        elif G is None:
            G = _gram_of_all(lanes, problem, split)
            factor, allowed, inner = _first_factors(problem, G, o, split), budget, MAX_INNER
        else:
            factor, allowed, inner = _refresh(problem, G, state, per_class, split), budget, MAX_INNER
        state = _round(
            problem, factor, state, tol, np.int32(allowed), max_steps=max_steps, max_inner=inner, split=split
        )
        fitted, on = updated(fitted, state, alive, max_steps)
        if not len(on):
            return part_of(fitted, count)
        fewer = continued(on, len(alive), lane_unit(split))
        if fewer is not None:
            problem, state = take(problem, state, fewer, split)
            alive = alive[fewer]
