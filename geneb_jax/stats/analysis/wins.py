"""Wins: on how many tasks a model is the best."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, Estimate, against_best
from geneb_jax.stats.ties import best_first, leaders, order_of


@dataclass(frozen=True)
class Wins:
    """Tasks on which a model is the best (with others, where scores are equal).

    `tested` of them could be tested against every other model, and `certain` survive: the paired difference from each
    is significant, adjusted for all pairs of models on that task.
    """

    model: str
    count: Estimate
    tested: int
    certain: int


def wins(board: ScoreBoard, *, regime: str = "full", level: float = LEVEL) -> list[Wins]:
    """Every model with a win, most wins first."""
    scores = board.by_task(regime)
    counts = scores.map(lambda x: leaders(x, axis=-2).sum(axis=-1)).estimates(level)
    tested: Counter[int] = Counter()
    certain: Counter[int] = Counter()
    for t in range(scores.value.shape[1]):
        task = scores.each(lambda x, t=t: x[..., t])  # type: ignore[misc]
        best = int(order_of(task.value, board.models)[0])
        every = against_best(task, range(len(board.models)), best, level)
        others = [test for i, test in enumerate(every) if i != best]
        if others and all(others):
            tested[best] += 1
            certain[best] += all(one.survives for one in others if one)
    found = [
        Wins(model, count, tested[i], certain[i])
        for i, (model, count) in enumerate(zip(board.models, counts, strict=True))
        if count.value > 0
    ]
    return best_first(found, lambda one: one.count.value, lambda one: one.model)
