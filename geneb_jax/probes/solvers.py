"""The names of the solvers, apart from the solvers themselves, so that `geneb probe --help` loads none."""

from __future__ import annotations

from typing import Final, Literal, get_args

from geneb_jax.errors import unknown_name

Solver = Literal["newton", "newton-cg"]
SOLVERS: Final[tuple[Solver, ...]] = get_args(Solver)

SolverChoice = Literal["auto", Solver]
SOLVER_CHOICES: Final[tuple[SolverChoice, ...]] = get_args(SolverChoice)
"""What may be asked for; "auto" leaves it to the cost model of `geneb_jax.probes.cost`."""


def check_solver(name: str) -> None:
    """Raise UnknownNameError for a name that is no solver."""
    if name not in SOLVER_CHOICES:
        raise unknown_name("solver", name, SOLVER_CHOICES)
