"""What the scores of a board tell of tasks that are not on it: models, kinds of task and tasks taken apart.

The score of a model on a task is a mean of the task, the model's strength in that kind of task, and a rest:
y = μ_t + θ_mc + ε_mt. Strengths vary between models by s_c in kind c, and go together between kinds with one
correlation ρ; the rest varies by σ_c (sampling of test rows and of few-shot draws is in it). All of these come from
mean squares and products of the board itself; a kind of one task takes the mean σ² of the others. What is wanted is
Σ w_c θ_mc, the strength on *other* tasks of these kinds, with the weights w of one category, of macro or of micro.
Its expectation given the scores, and its variance, are those of a normal model with these moments (best linear
prediction; Robinson 1991): where tasks are few, a score is drawn towards what the model does on all kinds, and a lead
that few tasks would undo counts for little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.errors import UsageError

PRIOR_TASKS: Final = 1
"""How many tasks the mean σ² of all kinds counts for beside a kind's own: tasks of one kind scatter unequally, so few
of them, however many models there are, tell little of how others would. With 1, intervals of 90 % from half of the
board's tasks held the difference on the other half in 92 % (tests/analysis/test_choice.py has the check)."""
LEAST: Final = 0.1
"""The least share of the variance of a kind's means that is taken to be between models."""


@dataclass(frozen=True)
class TaskModel:
    """Standard deviations of scores between models (`between`, s) and between tasks (`within`, σ) of each kind.

    `kinds` are the categories, `tasks_each` how many tasks each has, `likeness` is ρ.
    """

    kinds: tuple[str, ...]
    tasks_each: tuple[int, ...]
    between: tuple[float, ...]
    within: tuple[float, ...]
    likeness: float

    @classmethod
    def of(cls, scores: NumpyFloat, categories: Sequence[str]) -> Self:
        """The model of scores (n, t) without gaps. Raises UsageError where no category has two tasks of two models."""
        n, of_task = len(scores), np.asarray(categories)
        kinds = tuple(dict.fromkeys(map(str, of_task)))
        members = [scores[:, of_task == kind] for kind in kinds]
        own = [_interaction(x) if x.shape[1] > 1 and n > 1 else None for x in members]
        known = [one for one in own if one is not None]
        if not known:
            raise UsageError(
                "these scores do not tell how models vary from task to task: no category has two tasks of two models",
                cure="take a board or runs with more tasks or models",
            )
        number = np.array([x.shape[1] for x in members])
        typical = float(np.mean(known))
        within = np.array([
            typical if one is None else ((t - 1) * one + PRIOR_TASKS * typical) / (t - 1 + PRIOR_TASKS)
            for one, t in zip(own, number, strict=True)
        ])  # fmt: skip
        among = np.atleast_2d(np.cov(np.stack([x.mean(axis=1) for x in members])))
        between = np.maximum(np.diag(among) - within / number, LEAST * np.diag(among))
        scale = np.sqrt(np.outer(between, between))
        pairs = np.triu_indices(len(kinds), 1)
        total = scale[pairs].sum()
        likeness = float(np.clip(among[pairs].sum() / total, 0.0, 1.0)) if total > 0 else 0.0
        s, sigma = (tuple(map(float, np.sqrt(one))) for one in (between, within))
        return cls(kinds, tuple(map(int, number)), s, sigma, likeness)

    def weights(self, scope: str) -> NumpyFloat:
        """How much each kind counts in a scope (k,): macro, micro, or one of the kinds."""
        number = np.array(self.tasks_each, np.float64)
        named = {"macro": np.full(len(number), 1 / len(number)), "micro": number / number.sum()}
        return named[scope] if scope in named else np.array([float(kind == scope) for kind in self.kinds])

    def degrees(self, scope: str) -> float:
        """Degrees of freedom of the spread of a scope's score over tasks (Satterthwaite's, of the kinds' own)."""
        each = np.array(self.tasks_each, np.float64)
        share = self.weights(scope) ** 2 * np.array(self.within) ** 2 / each
        return float(share.sum() ** 2 / (share**2 / (each - 1 + PRIOR_TASKS)).sum())

    def expected(self, scores: NumpyFloat, categories: Sequence[str], scope: str) -> tuple[NumpyFloat, float]:
        """Expected strength of every model (n,), as differences from their mean, and its standard deviation."""
        kind = np.array([self.kinds.index(str(one)) for one in categories])
        weight, s = self.weights(scope), np.array(self.between)
        strengths = np.outer(s, s) * (self.likeness + (1 - self.likeness) * np.eye(len(s)))
        # of one model: its scores (t,) with one another, and with its strength
        among = strengths[np.ix_(kind, kind)] + np.diag(np.array(self.within)[kind] ** 2)
        with_wanted = (strengths @ weight)[kind]
        taken = np.linalg.solve(among, with_wanted)
        variance = float(weight @ strengths @ weight) - float(with_wanted @ taken)
        return (scores - scores.mean(axis=0)) @ taken, float(np.sqrt(max(variance, 0.0)))


def relatives(means: NumpyFloat, kinds: Sequence[str], scope: str, count: int = 3) -> list[tuple[str, float]]:
    """The kinds of task on which models rank most as on `scope`, of category means (n, k), with Spearman's rho."""
    from scipy.stats import spearmanr

    place = list(kinds).index(scope)
    found = [
        (kind, float(spearmanr(means[:, place], means[:, i]).statistic)) for i, kind in enumerate(kinds) if i != place
    ]
    return sorted((one for one in found if np.isfinite(one[1])), key=lambda one: (-round(one[1], 9), one[0]))[:count]


def _interaction(scores: NumpyFloat) -> float:
    """Mean square of what is left of scores (n, t) without the models' and the tasks' means."""
    n, t = scores.shape
    rest = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
    return float((rest**2).sum() / max((n - 1) * (t - 1), 1))
