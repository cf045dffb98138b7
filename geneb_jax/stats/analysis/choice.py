"""Which models to try: those that cannot be told from the best one, or that are as good as it within a margin.

With resamples (runs of ours) a model stays in the set unless the best one is better by the paired test, adjusted for
all pairs. Published scores are points; there a margin says what counts as equal. It is chosen from the board itself:
the scores of n models on the t tasks of a category are a sum of a model's mean, a task's mean and a rest, whose
standard deviation s is what a model's strength varies by from task to task (sampling of test rows and of few-shot draws
included). If other tasks of that category had been chosen, the difference of two models' means would vary with a
standard error of s·√(2/t); the margin is 1.96 times that. A category of one task borrows the median s of the others.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.errors import UsageError
from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, ClaimTest, Estimate, against_best
from geneb_jax.stats.ties import above, best_first

Z: Final = 1.96
"""Of a 95 % interval."""


@dataclass(frozen=True)
class Margin:
    """The difference up to which two models count as equal, and where it comes from.

    `spread` is s of the module's text over `num_tasks` tasks; "borrowed": the category has one task alone.
    """

    value: float
    source: Literal["given", "tasks", "borrowed"]
    spread: float | None = None
    num_tasks: int | None = None


@dataclass(frozen=True)
class Candidate:
    """A model: its score, how far it is behind the best, and whether it is in the set; `test` is of the difference."""

    model: str
    size: int | None
    score: Estimate
    behind: Estimate
    within: bool
    test: ClaimTest | None


@dataclass(frozen=True)
class Choice:
    """The set first, smallest first; then the others by score. `margin` None: the set was found by paired tests."""

    regime: str
    scope: str
    num_tasks: int
    best: str
    margin: Margin | None
    candidates: tuple[Candidate, ...]

    @property
    def num_within(self) -> int:
        """Models in the set."""
        return sum(one.within for one in self.candidates)


def task_margin(board: ScoreBoard, regime: str, scope: str) -> Margin:
    """The default margin of a category, or of macro (whose tasks are the categories) or micro."""
    names, means = board.by_category(regime)
    scores = board.by_task(regime).value
    kinds = np.asarray(board.categories)[board.common(regime)]
    by_category = {name: scores[:, kinds == name] for name in names}
    own = {"macro": means.value, "micro": scores}.get(scope, by_category.get(scope))
    if own is None:
        raise UsageError(f"there is no score of {scope!r}", cure=f"take one of {', '.join(names)}")
    t = own.shape[1]
    if t > 1:
        spread, source = _interaction(own), "tasks"
    else:
        several = [_interaction(one) for one in by_category.values() if one.shape[1] > 1]
        if not several:
            raise UsageError(f"{scope} has one task, which tells nothing of what to call equal", cure="give --margin")
        spread, source = float(np.median(several)), "borrowed"
    return Margin(Z * spread * float(np.sqrt(2 / t)), source, spread, t)  # type: ignore[arg-type]


def choose(
    board: ScoreBoard,
    eligible: Collection[str],
    *,
    regime: str,
    scope: str = "macro",
    margin: float | None = None,
    level: float = LEVEL,
) -> Choice:
    """The set among the models of `eligible`; by tests where all of them are resampled and no margin is given.

    Raises:
        UsageError: no model is left.
    """
    names = [model for model in board.models if model in eligible]
    if not names:
        raise UsageError("no model is left to choose from", cure="allow more parameters, memory or licences")
    scores = board.score(regime, scope)
    every = scores.estimates(level)
    places = [board.place(model) for model in names]
    best = best_first(places, lambda i: float(scores.value[i]), lambda i: board.models[i])[0]
    gaps = [scores.difference(best, i) for i in places]
    tests = against_best(scores, places, best, level)
    tested = all(test is not None for i, test in zip(places, tests, strict=True) if i != best)
    limit = Margin(margin, "given") if margin is not None else None
    if limit is None and not (tested and board.resamples):
        limit = task_margin(board, regime, scope)
    found = [
        Candidate(
            model,
            board.sizes.get(model),
            every[i],
            gap.estimate(level),
            within=not above(gap.value, limit.value) if limit else test is None or not test.survives,
            test=test,
        )
        for model, i, gap, test in zip(names, places, gaps, tests, strict=True)
    ]
    found = best_first(found, lambda one: one.score.value, lambda one: one.model)
    found.sort(key=lambda one: (not one.within, _size(one) if one.within else 0.0))
    number = int((np.asarray(board.categories)[board.common(regime)] == scope).sum()) or int(board.common(regime).sum())
    return Choice(regime, scope, number, board.models[best], limit, tuple(found))


def _interaction(scores: NumpyFloat) -> float:
    """Standard deviation of what is left of scores (n, t) without the models' and the tasks' means."""
    n, t = scores.shape
    rest = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
    return float(np.sqrt((rest**2).sum() / max((n - 1) * (t - 1), 1)))


def _size(one: Candidate) -> float:
    """For sorting: models of unknown size come last."""
    return float("inf") if one.size is None else float(one.size)
