"""Would other tasks of these categories say the same? Means over tasks when the tasks themselves are a sample.

Tasks of a category are taken to be drawn from many of its kind; categories are held fixed. The variance of a category's
mean is s²/n over its n tasks, each of which brings test rows of its own. What tasks of a category with a single one
differ by cannot be told; they are taken to differ as tasks of the other categories do on average, by the pooled s², and
whatever rests on that is marked. Intervals are Student's t with Satterthwaite's degrees of freedom; those of the pooled
s² come from how much the categories' s² differ, which is more than they would by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from geneb_jax.axes import NumpyFloat
from geneb_jax.errors import UsageError
from geneb_jax.stats.means import Scope


class TaskMean(NamedTuple):
    """A mean over tasks, its standard error and degrees of freedom; `borrowed` where a category has a single task."""

    scope: Scope
    name: str
    estimate: float
    se: float
    df: float
    borrowed: bool
    num_tasks: int

    def ends(self, level: float) -> tuple[float, float]:
        """The interval at `level`."""
        margin = float(student.ppf(0.5 + level / 2, self.df)) * self.se
        return self.estimate - margin, self.estimate + margin


def task_means(scores: NumpyFloat, categories: Sequence[str]) -> list[TaskMean]:
    """Category means, macro and micro of scores (t,) by task.

    Micro draws from all tasks, whatever their category. Where every category has a single task, tasks are taken to
    differ within a category as much as they do between categories.

    Raises:
        UsageError: there is a single task.
    """
    if len(scores) < 2:
        raise UsageError(
            "one task cannot show how tasks differ", cure="take runs of several tasks, or another --source"
        )
    names = np.asarray(categories)
    kinds = list(dict.fromkeys(categories))
    members = [scores[names == kind] for kind in kinds]
    sizes = np.array([len(own) for own in members])
    several = sizes > 1
    squares = np.array([own.var(ddof=1) if len(own) > 1 else 0 for own in members])
    pooled, pooled_df = _pooled(squares[several], sizes[several] - 1, scores)
    variances = np.where(several, squares, pooled) / sizes
    # Var(s²)/2 of each category's own; the pooled one is the same number in all categories that borrow it
    own = np.where(several, variances**2 / np.maximum(sizes - 1, 1), 0)
    found = [
        TaskMean(
            "category", kind, float(of.mean()), float(np.sqrt(v)), float(n - 1 if n > 1 else pooled_df), n == 1, int(n)
        )
        for kind, of, v, n in zip(kinds, members, variances, sizes, strict=True)
    ]
    total = variances.sum()
    spread = own.sum() + variances[~several].sum() ** 2 / pooled_df
    macro_df = total**2 / spread if spread > 0 else float(len(scores) - 1)
    estimate = float(np.mean([of.mean() for of in members]))
    borrowed = not bool(several.all())
    found.append(
        TaskMean("macro", "macro", estimate, float(np.sqrt(total)) / len(kinds), float(macro_df), borrowed, len(scores))
    )
    se = float(scores.std(ddof=1) / np.sqrt(len(scores)))
    found.append(TaskMean("micro", "micro", float(scores.mean()), se, float(len(scores) - 1), False, len(scores)))
    return found


def _pooled(squares: NumpyFloat, df: NumpyFloat, scores: NumpyFloat) -> tuple[float, float]:
    """The pooled s² of categories with several tasks, and its degrees of freedom, 2 s⁴ over its variance."""
    if not len(squares):
        return float(scores.var(ddof=1)), float(len(scores) - 1)
    weights = df / df.sum()
    pooled = float(weights @ squares)
    if len(squares) == 1:
        return pooled, float(df[0])
    variance = float(weights**2 @ (squares - pooled) ** 2) / (1 - float(weights @ weights))
    by_chance = 2 * pooled**2 / float(df.sum())
    variance = max(variance, by_chance)
    return pooled, 2 * pooled**2 / variance if variance > 0 else float(df.sum())
