"""The names of the engines, apart from the engines themselves, so that `geneb probe --help` loads none."""

from __future__ import annotations

from typing import Final, Literal, get_args

Engine = Literal["jax", "sklearn", "sklearn-optimum"]
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)
