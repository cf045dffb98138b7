"""Planning: how large a difference a study would find, and how large a study finds a given difference.

A difference d with the standard error s is found with the chance Φ(d/s − q), where q is what the test's statistic must
exceed (1.96 for two encoders at 5 %, more for a pair among many). So the standard error that finds d with 80 % is d /
(q + 0.84). The variance s² is a sum: rows v_r/m (m test rows), draws v_d/D, tasks v_t/t; each falls as its number
grows.

Two encoders that agree on most rows have a small standard error *now*, but if one of them were worse by x (a share of
rows) they would disagree on more: on ψ + x of the rows at the most, where they disagree on ψ now. `detectable` counts
with that.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

POWER: Final = 0.8
"""Chance with which a difference of the stated size is found, by default."""


def reach(level: float, power: float, *, critical: float | None = None, df: float = np.inf) -> float:
    """How many standard errors a difference must have: q, by default a two-sided test of one pair, and the power's."""
    q = float(student.isf((1 - level) / 2, df)) if critical is None else critical
    return q + float(norm.ppf(power))


def detectable(se: float, num_rows: int, discordant: float, *, factor: float) -> float:
    """The difference that is found, from the standard error `se` of a difference now, the share of rows on which
    exactly one of the two is right now, and `factor` standard errors (`reach`)."""
    share = factor**2 / num_rows
    found = (share + np.sqrt(share**2 + 4 * (1 + share) * discordant * share)) / (2 * (1 + share))
    now = factor * np.sqrt(discordant / num_rows)
    # where the two never disagree, nothing says how the score depends on single rows: as accuracy does
    return float(found if now == 0 else factor * se * found / now)


def needed_rows(
    difference: float, discordant: float, *, scale: float = 1.0, level: float = 0.95, power: float = POWER
) -> int:
    """Test rows of one task for a difference between two encoders that disagree on a share `discordant` of them.

    The sample size of McNemar's test (Connor 1987), where the two disagree on `difference` / `scale` more rows if one
    of them is worse. scale: of the score per row: 1 for accuracy, about 2 for MCC of two balanced classes.
    """
    x = difference / scale
    psi = min(1.0, discordant + x)
    a, b = float(norm.ppf(0.5 + level / 2)), float(norm.ppf(power))
    return int(np.ceil((a * np.sqrt(psi) + b * np.sqrt(max(psi - x**2, 0))) ** 2 / x**2 - 1e-9))


def needed(
    difference: float,
    variance: float,
    *,
    fixed: float = 0.0,
    level: float = 0.95,
    power: float = POWER,
    critical: float | None = None,
    t_test: bool = False,
) -> int | None:
    """How many rows, draws or tasks, where each adds `variance` and the rest of the study adds `fixed`; None: no number
    is enough, since the rest alone hides the difference.

    t_test: the variance will be known from these alone (draws, tasks), so the test is Student's.
    """
    count = 2
    while True:
        factor = reach(level, power, critical=critical, df=count - 1 if t_test else np.inf)
        room = (difference / factor) ** 2 - fixed
        if room <= 0 and (not t_test or count > 1000):
            return None
        more = count + 1 if room <= 0 else int(np.ceil(variance / room - 1e-9))
        if more <= count:
            return count
        count = more if not t_test else min(more, count + 1 + count // 20)
