"""Solving lanes of few rows: vmapped Newton steps with `geneb_jax.solve.active`, compacted when slow ones are left."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, NumpyInt
from geneb_jax.probes.devices import (
    EVERYWHERE,
    SPREAD,
    Split,
    filled,
    lane_unit,
    over_lanes,
    problem_specs,
    put_lanes,
    split_for,
    spread,
    take,
)
from geneb_jax.probes.lanes import Fitted, Lanes, continued, lane_axes, part_of, picked, placed, updated, zero_state
from geneb_jax.probes.programs import program
from geneb_jax.solve.active import ALL_ROWS, Kernel, kernel, solve
from geneb_jax.solve.newton_cg import Problem, State
from geneb_jax.status import Status

FIRST_STEPS = 16
"""Newton steps before the first look at which lanes are still running; most take seven to twelve."""

MAX_INNER = 200
"""Conjugate-gradient steps after which a Newton direction is taken as it is; still a descent direction."""

SINGLE_LIMIT = 1e5
"""Largest curvature, in units of the penalty, up to which directions are found in float32: Woodbury's difference
of B⁻¹ and a matrix of the same size loses as many digits as this number has."""


def active_rows(n: int, o: int) -> int:
    """How many rows the preconditioner uses: a half for few classes, whose directions are then nearly exact; of many
    classes each has few rows that matter."""
    if n <= ALL_ROWS:
        return n
    share = 2 if o <= 4 else 4
    return min(n, -(-n // (8 * share)) * 8)


@partial(program, static_argnames="split")
def _kernels(problem: Problem, split: Split | None = None) -> tuple[Kernel, Array]:
    """Every lane's kernel, and its largest curvature in units of the penalty."""

    def lane(X: Array, weights: Array, penalty: Array) -> tuple[Kernel, Array]:
        made = kernel(X, penalty, jnp.sum(weights))
        return made, 0.25 * jnp.max(weights * jnp.diag(made.K))

    def lanes(problem: Problem) -> tuple[Kernel, Array]:
        if problem.X.ndim == 2:
            return jax.lax.map(lambda item: lane(problem.X, *item), (problem.weights, problem.penalty))
        return jax.vmap(lane)(problem.X, problem.weights, problem.penalty)

    return over_lanes(lanes, split, split and (problem_specs(problem, split),))(problem)


@partial(program, static_argnames=("rows", "mixed", "split"))
def _round(
    problem: Problem,
    kernels: Kernel,
    state: State,
    tolerance: Array,
    max_steps: Array,
    *,
    rows: int,
    mixed: bool,
    split: Split | None = None,
) -> State:
    def lanes(problem: Problem, kernels: Kernel, state: State, tolerance: Array, max_steps: Array) -> State:
        def one(problem: Problem, kernel: Kernel, state: State) -> State:
            return solve(
                problem, kernel, state, tolerance=tolerance, max_steps=max_steps, max_inner=MAX_INNER, rows=rows,
                mixed=mixed,
            )  # fmt: skip

        return jax.vmap(one, in_axes=(lane_axes(problem), 0, 0))(problem, kernels, state)

    specs = split and (problem_specs(problem, split), SPREAD, SPREAD, EVERYWHERE, EVERYWHERE)
    return over_lanes(lanes, split, specs)(problem, kernels, state, tolerance, max_steps)


def solve_dual(lanes: Lanes, *, tolerance: float, max_steps: int, mixed: bool = False) -> Fitted:
    """Fit every lane from W = 0. Never raises on values: each lane carries its status.

    mixed: let float64 lanes of more than `ALL_ROWS` rows find their directions in float32. The optimum is met to the
    same tolerance, but a direction that symmetry determines, as in 1-shot, is then only exact to float32.
    """
    problem = lanes.problem()
    state = zero_state(lanes)
    count = problem.weights.shape[0]
    split = split_for(problem)
    problem, state = spread(problem, state, split)
    kernels, curvature = _kernels(problem, split)
    allowed = mixed and np.dtype(lanes.X.dtype) == np.float64 and lanes.X.shape[-2] > ALL_ROWS
    # decided lane by lane, so that no lane's numbers depend on its neighbours; broken lanes fail in either precision
    large = np.asarray(curvature)[:count]
    single = np.full(len(large), allowed) & ~(np.isfinite(large) & (large > SINGLE_LIMIT))
    fitted: Fitted | None = None
    for group in (True, False):
        some = np.flatnonzero(single == group)
        if group is False and fitted is not None:
            # what float32 could not finish, once more
            some = np.union1d(some, np.flatnonzero(single & (fitted.status == int(Status.STALLED))))
        if not len(some):
            continue
        part = (problem, kernels, state)
        if len(some) < count:
            part = _some(*part, filled(some, split), split, running=len(some))
        fitted = placed(fitted, part_of(_rounds(part, tolerance, max_steps, group, split), len(some)), some, count)
    assert fitted is not None  # there is at least one lane
    return fitted


def _some(
    problem: Problem,
    kernels: Kernel,
    state: State,
    lanes: NumpyInt,
    split: Split | None,
    *,
    running: int | None = None,
) -> tuple[Problem, Kernel, State]:
    problem, state = take(problem, state, lanes, split, running=running)
    return problem, put_lanes(picked(kernels, jax.device_put(lanes)), split), state


def _rounds(
    part: tuple[Problem, Kernel, State], tolerance: float, max_steps: int, mixed: bool, split: Split | None
) -> Fitted:
    problem, kernels, state = part
    count = problem.weights.shape[0]
    rows = active_rows(problem.X.shape[-2], problem.Y.shape[-1])
    tol = np.asarray(tolerance, problem.X.dtype)

    fitted: Fitted | None = None
    alive = np.arange(count)
    limit = FIRST_STEPS
    while True:
        state = _round(
            problem, kernels, state, tol, np.int32(min(limit, max_steps)), rows=rows, mixed=mixed, split=split
        )
        fitted, on = updated(fitted, state, alive, max_steps)
        if not len(on):
            return fitted
        fewer = continued(on, len(alive), lane_unit(split))
        if fewer is not None:
            problem, kernels, state = _some(problem, kernels, state, fewer, split)
            alive = alive[fewer]
        limit *= 2
