"""From full data to a few examples: how much score is lost, and whether other models win."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, ClaimTest, Estimate, Sampled, claim_tests, stacked
from geneb_jax.stats.rankings import ranks, spearman
from geneb_jax.stats.ties import best_first, leaders


@dataclass(frozen=True)
class Drop:
    """Mean over models of one regime's scores, how far that is below full data, and how alike the rankings are.

    `scope` is macro or a category. `rho` is Spearman's correlation of the models' ranking with that at full data; NaN
    for fewer than two models.
    """

    regime: str
    scope: str
    mean: Estimate
    lost: Estimate
    rho: Estimate


@dataclass(frozen=True)
class ModelDrop:
    """Of one model: its macro with full data and with few examples, the difference, and its ranks (1 is best).

    `rho` is Spearman's correlation over tasks of its scores in both regimes: whether the tasks that are easy for it
    with full data are those that are easy for it with few examples.
    """

    model: str
    full: Estimate
    few: Estimate
    lost: Estimate
    full_rank: float
    few_rank: float
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
    """Every regime's macro beside full data, over the tasks that have all regimes."""
    tasks = board.common("full", *board.regimes)
    full = board.score("full", "macro", tasks)
    return [_drop(regime, "macro", full, board.score(regime, "macro", tasks), level) for regime in board.regimes]


def category_drops(board: ScoreBoard, *, few: str = "10shot", level: float = LEVEL) -> list[Drop]:
    """Every category in the regime `few` beside full data, over the tasks that have both; largest loss first."""
    tasks = board.common("full", few)
    names, full = board.by_category("full", tasks)
    _, other = board.by_category(few, tasks)
    found = []
    for k, name in enumerate(names):
        by_full, by_few = (one.each(lambda x, k=k: x[..., k]) for one in (full, other))  # type: ignore[misc]
        found.append(_drop(few, name, by_full, by_few, level))
    return best_first(found, lambda one: one.lost.value, lambda one: one.scope)


def model_drops(board: ScoreBoard, *, few: str = "10shot", level: float = LEVEL) -> list[ModelDrop]:
    """Every model in the regime `few` beside full data, over the tasks that have both; largest loss first."""
    tasks = board.common("full", few)
    full, other = (board.score(regime, "macro", tasks) for regime in ("full", few))
    both = stacked(full, other)
    lost = both.each(lambda x: x[..., 0] - x[..., 1])
    on_tasks = stacked(board.by_task("full", tasks), board.by_task(few, tasks))
    rho = on_tasks.each(lambda x: spearman(x[..., 0], x[..., 1]))
    columns = [one.estimates(level) for one in (full, other, lost, rho)]
    found = [
        ModelDrop(model, a, b, c, float(full_rank), float(few_rank), d)
        for model, a, b, c, d, (full_rank, few_rank) in zip(
            board.models, *columns, ranks(both.value, axis=0), strict=True
        )
    ]
    return best_first(found, lambda one: one.lost.value, lambda one: one.model)


def _drop(regime: str, scope: str, full: Sampled, scores: Sampled, level: float) -> Drop:
    both = stacked(full, scores)
    return Drop(
        regime,
        scope,
        both.map(lambda x: x[..., 1].mean(axis=-1)).estimate(level),
        both.map(lambda x: (x[..., 0] - x[..., 1]).mean(axis=-1)).estimate(level),
        both.map(lambda x: spearman(x[..., 0], x[..., 1])).estimate(level),
    )


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
