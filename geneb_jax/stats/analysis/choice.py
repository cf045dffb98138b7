"""Which models to try: those that are as good as the best one, within a difference that the user does not mind.

"As good" is a claim, and needs evidence: that a model is at most `within` behind the best. It is made where that has a
probability of `SURE`, denied where it has less than one minus that, and left open otherwise; so few tasks leave much
open, and never make a model as good as another.

- Published scores are points, on tasks that stand for their kind. How far a model is behind the best on *other* tasks
  of that kind follows from how scores vary from task to task (`geneb_jax.stats.analysis.task_model`). Where a category
  has one task, that cannot be told: everything is left open, and the categories that rank models alike are named.
- Runs of ours have resamples of their rows and draws. The probability is the share of resamples with such a difference:
  it speaks of *these* tasks, and of what was resampled. To be called worse, a model must also fail the paired test.

The best is the one expected to be so, and is itself uncertain; that is in the intervals of the differences.
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
from geneb_jax.stats.analysis.task_model import TaskModel, relatives
from geneb_jax.stats.ties import above, best_first, comparable

WITHIN: Final = 0.02
"""Differences of MCC up to this count as none, unless the user says otherwise."""
SURE: Final = 0.95
"""How probable "as good", or its opposite, must be to be said."""

Verdict = Literal["best", "yes", "open", "no"]
_ORDER: Final[dict[str, int]] = {"best": 0, "yes": 0, "open": 1, "no": 2}


@dataclass(frozen=True)
class Candidate:
    """A model: its score, and how far it is behind the best with an interval; `chance` is that of at most `within`.

    `behind` is what to expect on other tasks where the board is published, and on these tasks for runs, where `test` is
    the paired test of the difference.
    """

    model: str
    size: int | None
    score: Estimate
    behind: Estimate
    chance: float
    verdict: Verdict
    test: ClaimTest | None


@dataclass(frozen=True)
class Choice:
    """The best and what is as good, smallest first; then what is left open, likeliest first; then the others by score.

    `tasks` is the model of the board's scores, None where resamples decide. `relatives` are the kinds of task that rank
    models most alike, with Spearman's rho, where `scope` has one task alone.
    """

    regime: str
    scope: str
    num_tasks: int
    within: float
    best: str
    tasks: TaskModel | None
    relatives: tuple[tuple[str, float], ...]
    candidates: tuple[Candidate, ...]

    def count(self, *verdicts: Verdict) -> int:
        """Models with one of these verdicts."""
        return sum(one.verdict in verdicts for one in self.candidates)


def choose(
    board: ScoreBoard,
    eligible: Collection[str],
    *,
    regime: str,
    scope: str = "macro",
    within: float = WITHIN,
    level: float = LEVEL,
    behind_others: Collection[str] = (),
) -> Choice:
    """Judge the models of `eligible`; by resamples where all of them have some.

    Models of `behind_others`, such as those whose scores nobody checked, are never the best while there are others, and
    stand last among models of one verdict.

    Raises:
        UsageError: no model is left, or the scores do not tell how models vary from task to task.
    """
    names = [model for model in board.models if model in eligible]
    if not names:
        raise UsageError("no model is left to choose from", cure="allow more parameters, memory or licences")
    places = np.array([board.place(model) for model in names])
    keep = board.common(regime)
    kinds = np.asarray(board.categories)[keep]
    scores = board.score(regime, scope)
    trusted = [i for i, model in enumerate(names) if model not in behind_others] or list(range(len(names)))
    tests: list[ClaimTest | None] = [None] * len(names)
    tasks: TaskModel | None = None
    near: tuple[tuple[str, float], ...] = ()
    resampled = bool(board.resamples) and all(scores.column(int(i)) is not None for i in places)
    if resampled:
        best = best_first(trusted, lambda i: float(scores.value[places[i]]), lambda i: names[i])[0]
        gaps = [scores.difference(int(places[best]), int(i)) for i in places]
        behind = [gap.estimate(level) for gap in gaps]
        chances = [_share(gap.resamples, within) for gap in gaps]
        tests = against_best(scores, [int(i) for i in places], int(places[best]), level)
    else:
        every = board.by_task(regime).value
        tasks = TaskModel.of(every, kinds)
        theta, sd = tasks.expected(every, kinds, scope)
        best = best_first(trusted, lambda i: float(theta[places[i]]), lambda i: names[i])[0]
        behind, chances = _expected_gaps(theta[places], best, sd * np.sqrt(2), tasks.degrees(scope), within, level)
        if scope in tasks.kinds and tasks.tasks_each[tasks.kinds.index(scope)] == 1 and len(tasks.kinds) > 1:
            near = tuple(relatives(board.by_category(regime)[1].value, tasks.kinds, scope))
    judged = not (tasks is not None and (kinds == scope).sum() == 1)
    estimates = scores.estimates(level)
    found = [
        Candidate(
            model,
            board.sizes.get(model),
            estimates[places[i]],
            behind[i],
            chances[i],
            "best" if i == best else _verdict(chances[i], tests[i]) if judged else "open",
            tests[i],
        )
        for i, model in enumerate(names)
    ]
    found.sort(key=lambda one: _place(one, one.model in behind_others))
    number = int((kinds == scope).sum()) or int(keep.sum())
    return Choice(regime, scope, number, within, names[best], tasks, near, tuple(found))


def _expected_gaps(
    theta: NumpyFloat, best: int, spread: float, degrees: float, within: float, level: float
) -> tuple[list[Estimate], list[float]]:
    """How far each model is expected behind the best, with intervals, and the probabilities of at most `within`."""
    from scipy.stats import t

    reach = float(t.ppf((1 + level) / 2, degrees)) * spread
    gaps = [float(theta[best] - one) for one in theta]
    behind = [Estimate(gap, gap - reach, gap + reach) for gap in gaps]
    if spread == 0:
        return behind, [float(not above(gap, within)) for gap in gaps]
    return behind, [float(t.cdf((within - gap) / spread, degrees)) for gap in gaps]


def _share(resamples: NumpyFloat | None, within: float) -> float:
    """The share of resamples of a difference that are at most `within`; never 0 or 1, which no count can show."""
    if resamples is None:
        return 1.0
    return float((np.sum(~above(resamples, within)) + 0.5) / (len(resamples) + 1))


def _verdict(chance: float, test: ClaimTest | None) -> Verdict:
    if chance >= SURE:
        return "yes"
    return "no" if chance <= 1 - SURE and (test is None or test.survives) else "open"


def _place(one: Candidate, last: bool) -> tuple[int, bool, float, float, str]:
    """For sorting."""
    size = float("inf") if one.size is None else float(one.size)
    own = {0: size, 1: -one.chance, 2: -one.score.value}[_ORDER[one.verdict]]
    return (_ORDER[one.verdict], last and one.verdict != "best", float(comparable(own)), size, one.model)
