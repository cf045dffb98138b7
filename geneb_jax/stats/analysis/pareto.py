"""The Pareto frontier of score against size: models that no other one beats with as few parameters."""

from __future__ import annotations

from dataclasses import dataclass

from geneb_jax.axes import NumpyBool, NumpyFloat
from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, Estimate
from geneb_jax.stats.ties import best_first, comparable


@dataclass(frozen=True)
class ParetoPoint:
    """A model by size and score, and the share of resamples in which it is on the frontier, if there are any."""

    model: str
    size: int
    score: Estimate
    on_frontier: bool
    share: float | None


def on_frontier(sizes: NumpyFloat, scores: NumpyFloat) -> NumpyBool:
    """Which of the models (..., n) no other one dominates: none is as small and better, or smaller and as good."""
    scores = comparable(scores)
    better = scores[..., None, :] > scores[..., :, None]
    equal = scores[..., None, :] == scores[..., :, None]
    smaller, as_small = sizes[None, :] < sizes[:, None], sizes[None, :] <= sizes[:, None]
    dominated: NumpyBool = ((better & as_small) | (equal & smaller)).any(axis=-1)
    return ~dominated


def pareto(board: ScoreBoard, *, regime: str = "full", scope: str = "macro", level: float = LEVEL) -> list[ParetoPoint]:
    """Every model of known size, smallest first."""
    sized, sizes = board.sized()
    scores = sized.score(regime, scope)
    frontier = scores.map(lambda x: on_frontier(sizes, x))
    shares = None if frontier.resamples is None else frontier.resamples.mean(axis=0)
    points = [
        ParetoPoint(model, int(sizes[i]), one, bool(frontier.value[i]), None if shares is None else float(shares[i]))
        for i, (model, one) in enumerate(zip(sized.models, scores.estimates(level), strict=True))
    ]
    return sorted(best_first(points, lambda one: one.score.value, lambda one: one.model), key=lambda one: one.size)
