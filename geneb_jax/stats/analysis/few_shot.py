"""From full data to a few examples: how much score is lost, and whether other models win."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, ClaimTest, Estimate, claim_tests, stacked
from geneb_jax.stats.rankings import spearman
from geneb_jax.stats.ties import leaders


@dataclass(frozen=True)
class Drop:
    """Mean over models of one regime's macro, how far that is below full data, and how alike the rankings are.

    `rho` is Spearman's correlation with the ranking at full data; NaN for fewer than two models.
    """

    regime: str
    mean: Estimate
    lost: Estimate
    rho: Estimate


@dataclass(frozen=True)
class Rerank:
    """Of one category: who wins with full data, and who with few examples.

    A rerank survives when the winner of either regime beats that of the other one there: `test` has the larger p-value
    of the two, adjusted over the categories with different winners. Where several win with one score, a model that wins
    in both regimes is named, and otherwise the first by name.
    """

    scope: str
    full: str
    few: str
    lead_full: Estimate
    lead_few: Estimate
    test: ClaimTest | None

    @property
    def changed(self) -> bool:
        """Whether the winners differ."""
        return self.full != self.few


def few_shot_drop(board: ScoreBoard, *, level: float = LEVEL) -> list[Drop]:
    """Every regime beside full data, over the tasks that have all regimes."""
    tasks = board.common("full", *board.regimes)
    macro = {regime: board.score(regime, "macro", tasks) for regime in board.regimes}
    found = []
    for regime, scores in macro.items():
        both = stacked(macro["full"], scores)
        found.append(
            Drop(
                regime,
                both.map(lambda x: x[..., 1].mean(axis=-1)).estimate(level),
                both.map(lambda x: (x[..., 0] - x[..., 1]).mean(axis=-1)).estimate(level),
                both.map(lambda x: spearman(x[..., 0], x[..., 1])).estimate(level),
            )
        )
    return found


def reranks(board: ScoreBoard, *, few: str = "10shot", level: float = LEVEL) -> list[Rerank]:
    """The winners of every category with full data and in the regime `few`, over the tasks that have both."""
    tasks = board.common("full", few)
    names, full = board.by_category("full", tasks)
    _, other = board.by_category(few, tasks)
    rows = []
    for k, name in enumerate(names):
        by_full, by_few = (one.each(lambda x, k=k: x[..., k]) for one in (full, other))  # type: ignore[misc]
        first, second = _winners(by_full.value, by_few.value, board.models)
        rows.append((name, first, second, by_full.difference(first, second), by_few.difference(second, first)))
    claims = [[] if first == second else [a, b] for _, first, second, a, b in rows]
    return [
        Rerank(name, board.models[first], board.models[second], a.estimate(level), b.estimate(level), test)
        for (name, first, second, a, b), test in zip(rows, claim_tests(claims, level), strict=True)
    ]


def _winners(full: NumpyFloat, few: NumpyFloat, names: Sequence[str]) -> tuple[int, int]:
    """The rows of the winners in two regimes, from scores (n,)."""
    first, second = leaders(full), leaders(few)
    both = first & second
    rows = [np.flatnonzero(both if both.any() else one).tolist() for one in (first, second)]
    of_full, of_few = (min(own, key=lambda i: names[i]) for own in rows)
    return of_full, of_few
