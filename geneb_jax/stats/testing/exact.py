"""Exact tests and bounds where so few rows speak that resamples of them cannot be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.stats import beta, binom

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.stats.aggregate import Metric
from geneb_jax.stats.counts import columns, scores

FEW_DISCORDANT: Final = 25
"""Rows on which two encoders differ, one right and the other wrong, below which the exact test has to agree.

From here on the test of two equal encoders errs in 5 % of studies (3.5 to 7.6 % for a given number of such rows, since
they are whole); with four or five it errs in 6 to 12 %.
"""


def exact_p(wins: NumpyInt, losses: NumpyInt) -> NumpyFloat:
    """Exact McNemar p-values (h,), two-sided: of `wins` + `losses` rows on which one of the two alone is right, how
    likely is a split at least so uneven if each were as likely to be the one? NaN from `FEW_DISCORDANT` such rows on.

    Rows that are drawn in groups count by group. It is a binomial test with a chance of one half
    (`scipy.stats.binomtest` gives the same).
    """
    wins, losses = np.asarray(wins, np.int64), np.asarray(losses, np.int64)
    total = wins + losses
    p = np.minimum(1, 2 * binom.cdf(np.minimum(wins, losses), total, 0.5))
    return np.where(total < FEW_DISCORDANT, p, np.nan)


def wins(right: NumpyFloat) -> NumpyInt:
    """How many rows (U, U) each unit has more right than each other one, from `right` (U, m), its share of draws."""
    right = np.asarray(right)
    return np.stack([(one > right).sum(axis=1) for one in right]).astype(np.int64)


def most_wrong(n: int, wrong: int = 0, *, level: float = 0.95) -> float:
    """The largest share of wrong rows that `wrong` of n is compatible with: Clopper & Pearson's upper end (1934).

    With none wrong about 3.7 / n at 95 %, the two-sided rule of three.
    """
    return 1.0 if wrong >= n else float(beta.ppf(1 - (1 - level) / 2, wrong + 1, n - wrong))


def perfect_bound(class_rows: Sequence[int], metric: Metric, *, level: float = 0.95) -> float:
    """The lower end of the interval of a perfect score on test rows of these classes.

    No wrong row among the n of a class is compatible with as many as `most_wrong` says. Of all classes, and of all rows
    alike, that one is taken to have so many wrong rows whose errors cost the score most.
    """
    counts = np.sort(np.asarray([n for n in class_rows if n], np.float64))
    k = max(len(counts), 2)
    counts = np.concatenate([np.zeros(k - len(counts)), counts])
    one_class = np.array([most_wrong(int(n), level=level) if n else 0.0 for n in counts])
    shares = [*np.diag(one_class), np.full(k, most_wrong(int(counts.sum()), level=level))]
    truth, predicted = (np.ravel(side) for side in np.indices((k, k)))
    by_cell, layout = columns(truth, predicted[None], k, metric)
    # wrong rows get the name of the commonest other class
    to = np.eye(k)[[k - 1] * (k - 1) + [k - 2]]
    tables = np.stack([np.diag(counts * (1 - wrong)) + (counts * wrong)[:, None] * to for wrong in shares])
    return float(scores(tables.reshape(len(tables), -1) @ by_cell, layout, metric)[0].min())
