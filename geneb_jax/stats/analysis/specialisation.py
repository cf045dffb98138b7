"""Specialisation: in which categories a model ranks above its own average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from geneb_jax.errors import UsageError
from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, Estimate
from geneb_jax.stats.rankings import ranks
from geneb_jax.stats.ties import best_first, reaches

SUBSTANTIAL: Final = 5.0
"""Places from which the paper calls a specialisation substantial ("above about 5")."""


@dataclass(frozen=True)
class Specialisation:
    """Mean rank outside a category minus mean rank inside: so many places better is the model there."""

    model: str
    category: str
    places: Estimate
    substantial: bool


def specialisation(board: ScoreBoard, *, regime: str = "full", level: float = LEVEL) -> list[Specialisation]:
    """Every model in every category, most specialised first.

    Raises:
        UsageError: there is only one category.
    """
    keep = board.common(regime)
    kinds = np.asarray(board.categories)[keep]
    names = board.scopes(regime)
    if len(names) < 2:
        raise UsageError("specialisation needs two categories, and there is one", cure="name a run of more tasks")
    places = board.by_task(regime).map(lambda x: ranks(x, axis=-2))
    found = []
    for name in names:
        inside = kinds == name
        gain = places.each(lambda x, own=inside: x[..., ~own].mean(axis=-1) - x[..., own].mean(axis=-1))  # type: ignore[misc]
        found += [
            Specialisation(model, name, one, bool(reaches(one.value, SUBSTANTIAL)))
            for model, one in zip(board.models, gain.estimates(level), strict=True)
        ]
    return best_first(found, lambda one: one.places.value, lambda one: f"{one.model} {one.category}")
