"""Solving lanes with the exact Newton method: one call, lanes side by side as far as their systems fit a budget."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np

from geneb_jax.axes import Array
from geneb_jax.probes.cost import estimate
from geneb_jax.probes.lanes import Fitted, Lanes, zero_state
from geneb_jax.probes.programs import program
from geneb_jax.solve.newton import solve_exact
from geneb_jax.solve.newton_cg import Problem, State

SYSTEM_BYTES = 512 * 2**20
"""Most memory for the systems of lanes that are factored side by side; beyond it lanes wait for one another."""


@partial(program, static_argnames=("max_steps", "together"))
def _solve(problem: Problem, state: State, tolerance: Array, *, max_steps: int, together: int) -> State:
    X, Y = (A if A.ndim == 2 else None for A in (problem.X, problem.Y))

    def one(item: tuple[Problem, State]) -> State:
        own, start = item
        full = own._replace(X=own.X if X is None else X, Y=own.Y if Y is None else Y)
        return solve_exact(full, start, tolerance=tolerance, max_steps=max_steps)

    # shared arrays are closed over, the rest has a leading lane axis
    own = problem._replace(X=problem.X if X is None else None, Y=problem.Y if Y is None else None)  # type: ignore[arg-type]
    if together >= problem.weights.shape[0]:
        return jax.vmap(lambda *item: one(item))(own, state)
    return jax.lax.map(one, (own, state), batch_size=together)


def solve_newton(lanes: Lanes, *, tolerance: float, max_steps: int) -> Fitted:
    """Fit every lane from W = 0. Never raises on values: each lane carries its status."""
    problem = lanes.problem()
    (n, q), o, dtype = lanes.X.shape[-2:], lanes.Y.shape[-1], np.dtype(lanes.X.dtype)
    sizes = {"shared_X": False, "device": "cpu", "itemsize": dtype.itemsize}
    # besides its system a lane holds one weighted copy of X, which the estimate of a lane with its own X covers
    each = estimate("newton", n, q - 1, max(o, 2), 1, **sizes).bytes  # type: ignore[arg-type]
    state = _solve(
        problem,
        zero_state(lanes),
        np.asarray(tolerance, dtype),
        max_steps=max_steps,
        together=min(lanes.C.shape[0], max(1, SYSTEM_BYTES // each)),
    )
    return Fitted(*(np.array(getattr(state, name)) for name in Fitted._fields))
