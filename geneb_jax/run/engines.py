"""The names of what fits the probes, apart from the engines themselves, so that `geneb probe --help` loads none."""

from __future__ import annotations

from typing import Final, Literal, get_args

Engine = Literal["jax", "sklearn", "sklearn-optimum"]
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)

Solver = Literal["auto", "newton", "newton-cg"]
SOLVERS: Final[tuple[Solver, ...]] = get_args(Solver)
