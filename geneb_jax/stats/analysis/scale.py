"""Do larger models score higher? Spearman's correlation of size and score."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import spearmanr

from geneb_jax.errors import UsageError
from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, Estimate
from geneb_jax.stats.rankings import spearman

OUTLIERS: Final = ("evo-1-131k-base",)
"""The model that the paper also leaves out of its correlation: very large, and trained on prokaryotes alone."""


@dataclass(frozen=True)
class ScaleCorrelation:
    """Spearman's rho of size and score over `num_models`, without the models in `without`; NaN if all are alike.

    `p` is two-sided, of "no connection": t on n - 2 degrees of freedom, with models taken as independent of each other.
    """

    regime: str
    scope: str
    without: tuple[str, ...]
    num_models: int
    rho: Estimate
    p: float


def scale_correlation(
    board: ScoreBoard,
    *,
    regime: str = "full",
    scope: str = "macro",
    without: Collection[str] = (),
    level: float = LEVEL,
) -> ScaleCorrelation:
    """Rho over the models whose size is known. (Of log sizes it is the same: ranks do not change.)

    Raises:
        UsageError: fewer than three models are left.
    """
    left = board.select([model for model in board.models if model not in without])
    sized, sizes = left.sized()
    if len(sizes) < 3:
        raise UsageError(
            f"a correlation with size needs three models of known size, and there are {len(sizes)}",
            cure="say the sizes with --size NAME=NUMBER, or look at the runs beside the board with --published",
        )
    scores = sized.score(regime, scope)
    rho = scores.map(lambda x: spearman(np.broadcast_to(sizes, x.shape), x))
    alike = np.isnan(rho.value)
    p = float("nan") if alike else float(spearmanr(sizes, scores.value).pvalue)
    gone = tuple(model for model in board.models if model in without)
    return ScaleCorrelation(regime, scope, gone, len(sizes), rho.estimate(level), p)


def scale_correlations(
    board: ScoreBoard, *, regime: str = "full", outliers: Collection[str] = OUTLIERS, level: float = LEVEL
) -> list[ScaleCorrelation]:
    """Of macro and of every category, with all models and without outliers where the board has one."""
    sets: list[Collection[str]] = [(), outliers] if set(outliers) & set(board.models) else [()]
    return [
        scale_correlation(board, regime=regime, scope=scope, without=one, level=level)
        for scope in ("macro", *board.scopes(regime))
        for one in sets
    ]
