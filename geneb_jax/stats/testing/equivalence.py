"""Practical equivalence: is a difference smaller than what anyone cares about?

"Not told apart" is no evidence of being equal: two encoders of which little is known are never told apart. Two are
*equivalent within* a margin where the data rule out a difference as large as the margin. The margin is the user's: a
difference of MCC below which either encoder would do (the region of practical equivalence, ROPE).

- `verdict`: from an interval of the difference, what may be said.
- `tost`: two one-sided tests (Schuirmann 1987), for a difference and its standard error.
- `tost_over_tasks`: the same where the tasks are the sample, from paired differences by task.
- `rope`: which share of the resamples lies below, within and above the region.
- `signed_rank`: the probabilities that one encoder is worse, practically equal or better on a task drawn like these, by
  the Bayesian signed-rank test with a Dirichlet process (Benavoli, Mangili, Corani, Zaffalon & Ruggeri 2014).
  `baycomp`, its authors' library, has had no release since 2023, needs matplotlib and takes seconds for a pair; this is
  the same computation as one matrix product, and is tested against what it prints.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from geneb_jax.axes import NumpyFloat

Verdict = Literal["better", "worse", "same", "not worse", "not better", "unclear"]

POSTERIOR_SAMPLES: Final = 20_000


class Rope(NamedTuple):
    """Chances that the first encoder is worse by more than the margin, within it, and better by more than it."""

    worse: float
    same: float
    better: float


class TaskEquivalence(NamedTuple):
    """A mean difference over tasks, its standard error and two-sided t interval, the p-value of "not equivalent", and
    what may be said."""

    difference: float
    se: float
    low: float
    high: float
    p: float
    verdict: Verdict
    num_tasks: int


def verdict(low: float, high: float, within: float) -> Verdict:
    """What an interval of "first minus second" says, with a margin: "better" and "worse" by more than the margin for
    certain, "same": the difference is within the margin for certain, "not worse" or "not better" by more than the
    margin, or "unclear"."""
    if low > within:
        return "better"
    if high < -within:
        return "worse"
    if low >= -within and high <= within:
        return "same"
    if low >= -within:
        return "not worse"
    return "not better" if high <= within else "unclear"


def tost(difference: NumpyFloat, se: NumpyFloat, within: float, df: float = np.inf) -> NumpyFloat:
    """p-values (...) of "the true difference is `within` or more, on one side or the other": small where equivalent.

    The larger of two one-sided p-values. One at or below α is the same as an interval of level 1 - 2α that lies within
    the margin. df: degrees of freedom of the standard error, where it is known from few values.
    """
    difference, se = np.asarray(difference, np.float64), np.asarray(se, np.float64)
    room = within - np.abs(difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(se > 0, room / np.where(se > 0, se, 1), np.where(room > 0, np.inf, -np.inf))
    return np.asarray(norm.sf(t) if np.isinf(df) else student.sf(t, df), np.float64)


def tost_over_tasks(
    differences: NumpyFloat, within: float, *, weights: NumpyFloat | None = None, level: float = 0.95
) -> TaskEquivalence:
    """Equivalence over tasks of paired differences (t,), "first minus second"; `weights` (t,) as of a macro mean.

    The standard error is that of a weighted mean of independent tasks, with the degrees of freedom of a t-test. With
    one task nothing is known of other tasks: the interval is infinite and the verdict "unclear".
    """
    d = np.asarray(differences, np.float64)
    share = np.full(len(d), 1 / len(d)) if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
    mean = float(share @ d)
    if len(d) < 2:
        return TaskEquivalence(mean, np.inf, -np.inf, np.inf, 1.0, "unclear", len(d))
    # unbiased where all tasks vary alike; Kish's effective number of tasks for the degrees of freedom
    effective = 1 / float((share**2).sum())
    se = float(np.sqrt((share**2 * (d - mean) ** 2).sum() * effective / (effective - 1)))
    df = effective - 1
    reach = float(student.isf((1 - level) / 2, df)) * se
    low, high = mean - reach, mean + reach
    p = float(tost(np.asarray(mean), np.asarray(se), within, df))
    return TaskEquivalence(mean, se, low, high, p, verdict(low, high, within), len(d))


def rope(values: NumpyFloat, within: float) -> Rope:
    """Shares of resampled differences (b,) below, within and above the region."""
    values = np.asarray(values, np.float64)
    return Rope(float((values < -within).mean()), float((np.abs(values) <= within).mean()),
                float((values > within).mean()))  # fmt: skip


def signed_rank(
    differences: NumpyFloat,
    within: float,
    *,
    prior: float = 0.5,
    samples: int = POSTERIOR_SAMPLES,
    seed: int = 0,
) -> Rope:
    """Of paired differences by task (t,), "first minus second": how probable it is that on tasks like these the first
    is mostly worse by more than the margin, mostly within it, mostly better.

    prior: weight of one prior task with a difference of 0. In each draw of the posterior the most probable of the three
    wins; the result is how often each does.
    """
    d = np.concatenate([[0.0], np.asarray(differences, np.float64)])
    sums = d[:, None] + d[None, :]
    alpha = np.ones(len(d))
    alpha[0] = prior
    drawn = np.random.default_rng(seed).dirichlet(alpha, samples)

    def mass(inside: NumpyFloat) -> NumpyFloat:
        found: NumpyFloat = ((drawn @ inside) * drawn).sum(axis=1)
        return found

    # half of what lies on the border counts on either side
    above = mass((sums > 2 * within) + 0.5 * (sums == 2 * within))
    below = mass((sums < -2 * within) + 0.5 * (sums == -2 * within))
    winner = np.argmax(np.stack([below, 1 - above - below, above], axis=1), axis=1)
    worse, same, better = np.bincount(winner, minlength=3) / samples
    return Rope(float(worse), float(same), float(better))
