"""Solving many lanes: rounds of vmapped Newton-CG, between which unfinished lanes are gathered and refactored.

A vmapped loop runs until its slowest lane is done, and a factor taken at W = 0 loosens as probabilities saturate. So
each round has a budget of passes over X; then the host looks once, keeps the unfinished lanes, rebuilds their
preconditioners at the current probabilities and goes on. The budget of the first round is about the cost of that
rebuilding, so neither can waste more than the other (the ski-rental argument), and it grows from round to round.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Float, NumpyFloat, NumpyInt
from geneb_jax.linear.objective import probabilities
from geneb_jax.solve.newton_cg import Problem, State, solve
from geneb_jax.solve.precondition import refreshed_factor, uniform_factor
from geneb_jax.status import Status
from geneb_kernels.gram import weighted_gram

PER_CLASS_BYTES = 256 * 2**20
"""Most memory for one preconditioner block per class and lane; beyond it all classes share one block."""

COMPACT_FROM = 32
"""Fewest lanes a round is compacted to: a new lane count costs a compilation of a second or two."""

MAX_INNER = 400
"""Conjugate-gradient steps after which a Newton direction is taken as it is; still a descent direction."""


class Lanes(NamedTuple):
    """p problems. X and Y are each shared (n, …) or one per lane (p, n, …); the rest has a leading lane axis.

    C (p,); weights (p, n) before C; penalty (p, q).
    """

    X: Float[Array, "*p n q"]
    Y: Float[Array, "*r n o"]
    C: Float[Array, " p"]
    weights: Float[Array, "p n"]
    penalty: Float[Array, "p q"]

    @property
    def shared(self) -> bool:
        """Whether all lanes read the same X."""
        return self.X.ndim == 2


def _axes(problem: Problem) -> Problem:
    """The lane axes of a batch of problems, for vmap."""
    X = None if problem.X.ndim == 2 else 0
    Y = None if problem.Y.ndim == 2 else 0
    return Problem(X=X, Y=Y, weights=0, penalty=0)  # type: ignore[arg-type]


class Fitted(NamedTuple):
    """What is kept of every lane, on the host: W (p, q, o) and one number per lane for the rest, as in `State`."""

    W: NumpyFloat
    status: NumpyInt
    value: NumpyFloat
    gap: NumpyFloat
    grad_norm: NumpyFloat
    num_steps: NumpyInt


@jax.jit
def _shared_factors(lanes: Lanes) -> Float[Array, "p q q"]:
    """Factors at W = 0 for lanes of one X from a single Gram matrix: only C and the penalty differ.

    Lanes with row weights of their own get the first sound lane's Gram too; it is a preconditioner, not the Hessian.
    """
    o = lanes.Y.shape[-1]
    first = jnp.argmax(jnp.all(jnp.isfinite(lanes.weights), axis=1))  # a broken lane must not break the others
    G = weighted_gram(lanes.X, lanes.weights[first])

    def lane(item: tuple[Array, Array]) -> Array:
        C, penalty = item
        return uniform_factor(G, C, penalty, 2 if o == 1 else o)

    return jax.lax.map(lane, (lanes.C, lanes.penalty))


def _zero_state(lanes: Lanes) -> State:
    """Every lane at W = 0, where the logits are zero and F is the weighted log of the number of classes."""
    p, q, n, o = lanes.C.shape[0], lanes.X.shape[-1], lanes.X.shape[-2], lanes.Y.shape[-1]
    dtype = np.dtype(lanes.X.dtype)
    total = np.asarray(lanes.C) * np.asarray(lanes.weights).sum(axis=1)
    infinite = np.full(p, np.inf, dtype)
    zero = np.zeros(p, np.int32)
    return State(
        W=jnp.asarray(np.zeros((p, q, o), dtype)),
        Z=jnp.asarray(np.zeros((p, n, o), dtype)),
        value=jnp.asarray((total * np.log(max(o, 2))).astype(dtype)),
        gap=jnp.asarray(infinite),
        best_gap=jnp.asarray(infinite),
        gain=jnp.asarray(np.zeros(p, dtype)),
        grad_norm=jnp.asarray(infinite),
        num_steps=jnp.asarray(zero),
        num_products=jnp.asarray(zero),
        num_bad=jnp.asarray(zero),
        running=jnp.asarray(zero + 1),
        status=jnp.asarray(np.full(p, int(Status.MAX_STEPS), np.int32)),
    )


@partial(jax.jit, static_argnames=("per_class",))
def _refresh(problem: Problem, state: State, per_class: bool) -> Float[Array, "p *k q q"]:
    def one(X: Array, weights: Array, penalty: Array, Z: Array) -> Float[Array, "*k q q"]:
        return refreshed_factor(X, weights, penalty, probabilities(Z), per_class=per_class)

    if problem.X.ndim == 2:
        # one after the other: a vmapped Gram would hold a weighted copy of X for every lane
        def lane(item: tuple[Array, Array, Array]) -> Array:
            return one(problem.X, *item)

        return jax.lax.map(lane, (problem.weights, problem.penalty, state.Z))
    return jax.vmap(one)(problem.X, problem.weights, problem.penalty, state.Z)


@partial(jax.jit, static_argnames=("max_steps", "max_inner"))
def _round(
    problem: Problem,
    factor: Float[Array, "p *k q q"],
    state: State,
    tolerance: Array,
    max_products: Array,
    *,
    max_steps: int,
    max_inner: int,
) -> State:
    def one(problem: Problem, factor: Array, state: State) -> State:
        return solve(
            problem, factor, state, tolerance=tolerance, max_steps=max_steps, max_inner=max_inner,
            max_products=max_products,
        )  # fmt: skip

    return jax.vmap(one, in_axes=(_axes(problem), 0, 0))(problem, factor, state)


def _take(problem: Problem, state: State, rows: NumpyInt) -> tuple[Problem, State]:
    def pick(A: Array) -> Array:
        return A[rows]

    X, Y = (A if A.ndim == 2 else pick(A) for A in (problem.X, problem.Y))
    return Problem(X, Y, pick(problem.weights), pick(problem.penalty)), jax.tree.map(pick, state)


def _compact_size(running: int, lanes: int) -> int:
    """The lane count to continue with: a power of two, or all while a smaller count is not worth its compilation."""
    size = max(COMPACT_FROM, 1 << (running - 1).bit_length())
    return size if 2 * size <= lanes else lanes


def solve_lanes(lanes: Lanes, *, tolerance: float, max_steps: int) -> Fitted:
    """Fit every lane from W = 0. Never raises on values: each lane carries its status."""
    shared = lanes.shared
    count = lanes.C.shape[0]
    q, o = lanes.X.shape[-1], lanes.Y.shape[-1]
    itemsize = np.dtype(lanes.X.dtype).itemsize
    per_class = o > 1 and count * o * q * q * itemsize <= PER_CLASS_BYTES
    # a Gram matrix and its factor cost about q/8 passes of a few columns (measured: 0.28 s against 2.5 ms at q = 1,025
    # on two cores); never less than a few steps
    budget = max(48, q // 8 * (o if per_class else 1) // max(1, o // 4))
    weights = lanes.C[:, None] * lanes.weights
    problem = Problem(lanes.X, lanes.Y, weights, lanes.penalty)
    state = _zero_state(lanes)
    one_gram = shared and count > 1
    factor = _shared_factors(lanes) if one_gram else _refresh(problem, state, per_class=False)
    tol = np.asarray(tolerance, lanes.X.dtype)

    fitted: Fitted | None = None
    alive = np.arange(count)
    while True:
        state = _round(problem, factor, state, tol, np.int32(budget), max_steps=max_steps, max_inner=MAX_INNER)
        part = Fitted(*(np.array(getattr(state, name)) for name in Fitted._fields))
        fitted = part if fitted is None else _update(fitted, part, alive)
        on = np.flatnonzero((np.asarray(state.running) == 1) & (part.num_steps < max_steps))
        if not len(on):
            return fitted
        size = _compact_size(len(on), len(alive))
        if size < len(alive):
            # fill up with finished lanes: they cost a slot, and repeat their own values
            on = np.concatenate([on, np.setdiff1d(np.arange(len(alive)), on)[: size - len(on)]])
            problem, state = _take(problem, state, on)
            alive = alive[on]
        factor = _refresh(problem, state, per_class)
        budget = budget * 3 // 2


def _update(fitted: Fitted, part: Fitted, lanes: NumpyInt) -> Fitted:
    for whole, new in zip(fitted, part, strict=True):
        whole[lanes] = new
    return fitted
