"""Every tolerance of the numerics tests, by precision and quantity, each with its reason."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Limit(NamedTuple):
    """A bound and why it is neither larger nor smaller."""

    value: float
    reason: str


EPS = {"float32": float(np.finfo(np.float32).eps), "float64": float(np.finfo(np.float64).eps)}

LIMITS: dict[str, dict[str, Limit]] = {
    "float64": {
        "objective_gap": Limit(1e-9, "promised: (F - F*)/F* against scikit-learn at tol 1e-12"),
        "predictions_equal": Limit(1.0, "promised: every row whose reference margin is not below `margin`"),
        "margin": Limit(1e-6, "promised: a decision value this small may fall on either side"),
        "mcc": Limit(0.0, "a table of equal predictions has one score"),
        "mean_mcc": Limit(0.0, "the same, on average"),
        "objective_report": Limit(1e-11, "rounding of a sum of n losses, beside the same sum in NumPy"),
        "coef": Limit(1e-5, "F is flat to second order: a gap of 1e-10 is 1e-5 in the coefficients"),
        "same_problem": Limit(1e-9, "two ways to the same optimum, each within `objective_gap` of it"),
        "product": Limit(64 * EPS["float64"], "rounding of a sum of n products beside the sum of their sizes"),
        "score": Limit(8 * EPS["float64"], "a score is a dozen operations; divided by sqrt of MCC's denominator"),
        "span": Limit(1e-6, "square root of 4·n·eps: the jitter moves a factor's smallest pivot by that"),
    },
    "float32": {
        "objective_gap": Limit(1e-5, "promised: (F - F*)/F* against scikit-learn at tol 1e-12"),
        "predictions_equal": Limit(0.999, "promised: share of rows that get the same class"),
        "margin": Limit(0.0, "the promise for float32 is a share of all rows"),
        "mcc": Limit(0.002, "promised, per probe"),
        "mean_mcc": Limit(0.0005, "promised, over the probes of one regime"),
        "objective_report": Limit(1e-5, "rounding of a float32 sum of n losses"),
        "coef": Limit(1e-2, "F is flat to second order: a gap of 1e-5 is 3e-3 in the coefficients"),
        "same_problem": Limit(2e-5, "two ways to the same optimum, each within `objective_gap` of it"),
        "product": Limit(64 * EPS["float32"], "rounding of a sum of n products beside the sum of their sizes"),
        "score": Limit(8 * EPS["float32"], "a score is a dozen operations; divided by sqrt of MCC's denominator"),
    },
}

REFERENCE_GAP = 1e-12
"""How far apart the references may be, and how far above our objective, and still count as the optimum. The NumPy
reference stops at a Newton decrement of 1e-13·F; scikit-learn at tol 1e-12 was seen no further than 1.5e-13·F from it
on the hard features. It needs an objective that does not cancel where a class is nearly certain."""

TIE = 1e-12
"""Share of the largest decision value that float64 cannot tell from zero: such a row ties, and a tie goes to the
first class here while in scikit-learn rounding decides it."""

GRADIENT = 1e-6
"""Central differences with a step of 1e-6 in float64: truncation 1e-12 and rounding 1e-16·F/1e-6, F about 100."""


def limit(dtype: str, quantity: str) -> float:
    return LIMITS[dtype][quantity].value
