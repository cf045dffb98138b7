"""No solver talks to the host while it runs: its program is one loop on the device, without a callback."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from geneb_jax.probes.lanes import Lanes, zero_state
from geneb_jax.solve import active, newton, newton_cg
from geneb_jax.solve.newton_cg import Problem, State

N, Q = 40, 9


def given(o: int) -> tuple[Problem, State]:
    problem = Problem(jnp.ones((N, Q)), jnp.ones((N, o)), jnp.ones(N), jnp.ones(Q))
    lanes = Lanes(problem.X, problem.Y, jnp.ones(1), problem.weights[None], problem.penalty[None])
    return problem, jax.tree.map(lambda a: a[0], zero_state(lanes))


def exact(problem: Problem, state: State, form: newton.Form) -> State:
    return newton.solve_exact(problem, state, tolerance=jnp.float32(1e-6), max_steps=50, form=form)


def truncated(problem: Problem, state: State) -> State:
    factor = jnp.ones(Q) if problem.Y.shape[1] == 1 else jnp.ones((problem.Y.shape[1], Q))
    return newton_cg.solve(
        problem, factor, state, tolerance=jnp.float32(1e-6), max_steps=50, max_inner=30, max_products=jnp.int32(99)
    )


def dual(problem: Problem, state: State) -> State:
    kernel = active.kernel(problem.X, problem.penalty, jnp.sum(problem.weights))
    return active.solve(
        problem, kernel, state, tolerance=jnp.float32(1e-6), max_steps=jnp.int32(50), max_inner=30, rows=N, mixed=False
    )


SOLVERS = {"primal": partial(exact, form="primal"), "dual": partial(exact, form="dual"), "newton-cg": truncated,
           "few rows": dual}  # fmt: skip


def program(solve: Callable[..., Any], o: int) -> str:
    return str(jax.make_jaxpr(solve)(*given(o)))


@pytest.mark.parametrize("o", [1, 3])
@pytest.mark.parametrize("name", SOLVERS)
def test_a_solve_calls_no_host(name: str, o: int) -> None:
    found = program(SOLVERS[name], o)
    assert "while[" in found
    assert not any(call in found for call in ("callback", "debug_print", "infeed", "outfeed"))


def test_a_call_of_the_host_would_be_seen() -> None:
    def watched(problem: Problem, state: State) -> State:
        jax.debug.callback(print, state.value)
        return truncated(problem, state)

    assert "callback" in program(watched, 1)
