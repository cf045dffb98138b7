"""Size tiers: the mean score of models of like size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, Estimate

TIERS: Final = (10e6, 100e6, 1e9)
"""Borders of size tiers, in parameters. Decades, which are not the four tiers of the paper."""


@dataclass(frozen=True)
class Tier:
    """Models of `low` <= size < `high` parameters, and the mean of their scores; `high` None: no border above."""

    low: float
    high: float | None
    models: tuple[str, ...]
    mean: Estimate


def tier_means(
    board: ScoreBoard,
    *,
    borders: Sequence[float] = TIERS,
    regime: str = "full",
    scope: str = "macro",
    level: float = LEVEL,
) -> list[Tier]:
    """Mean score of the models of each size tier, smallest first; tiers without a model are left out."""
    sized, sizes = board.sized()
    tasks = sized.common(regime)
    found = []
    for low, high in pairwise([0.0, *borders, None]):
        own = (sizes >= (low or 0)) & (True if high is None else sizes < high)
        if own.any():
            names = tuple(name for name, is_own in zip(sized.models, own, strict=True) if is_own)
            mean = sized.select(names).score(regime, scope, tasks).map(lambda x: x.mean(axis=-1))
            found.append(Tier(low or 0.0, high, names, mean.estimate(level)))
    return found
