"""Which solver a batch of lanes gets: the one asked for, or the cost model's."""

from __future__ import annotations

import jax

from geneb_jax.probes.cost import Choice, choose_solver
from geneb_jax.probes.exact_rounds import solve_newton
from geneb_jax.probes.lanes import Fitted, Lanes
from geneb_jax.probes.memory import default_budget
from geneb_jax.probes.rounds import solve_lanes
from geneb_jax.probes.solvers import Solver, SolverChoice


def select_solver(asked: SolverChoice, n: int, d: int, k: int, lanes: int, *, shared_X: bool, itemsize: int) -> Choice:
    """The solver for `lanes` problems of n rows, d features and k classes on this process's device, with the reason."""
    device = "cpu" if jax.default_backend() == "cpu" else "gpu"
    return choose_solver(
        n,
        d,
        k,
        lanes,
        shared_X=shared_X,
        device=device,
        memory_bytes=_device_memory() if device == "gpu" else default_budget(),
        itemsize=itemsize,
        override=None if asked == "auto" else asked,
    )


def _device_memory() -> int:
    stats = jax.devices()[0].memory_stats() or {}
    limit = stats.get("bytes_limit")
    return default_budget() if limit is None else int(limit) - int(stats.get("bytes_in_use", 0))


def solve_with(solver: Solver, lanes: Lanes, *, tolerance: float, max_steps: int, mixed: bool = False) -> Fitted:
    """Fit every lane from W = 0 with a solver. `mixed` is `geneb_jax.probes.dual_rounds.solve_dual`'s."""
    if solver == "newton":
        return solve_newton(lanes, tolerance=tolerance, max_steps=max_steps)
    return solve_lanes(lanes, tolerance=tolerance, max_steps=max_steps, mixed=mixed)
