"""Scores of a confusion table, stated once for every engine. Each depends on whole counts alone.

Tables are (k, k) counts by (true, predicted). Definitions are scikit-learn's: `matthews_corrcoef` (Gorodkin 2004
for k > 2; 0 where a marginal holds a single class), `accuracy_score`, and `f1_score(average="macro")` over the
classes that occur in either marginal, with 0 for a class never predicted.

The arithmetic is NumPy's in float64 on the host, whatever the fit ran on: counts are whole numbers, exact up to 94
million rows (whose square is 2⁵³), and what follows is one product, one root and one quotient, which IEEE 754 rounds
alike on every processor, and classes are added up in their order. So equal counts have equal scores to the last bit,
and where scores decide something, `exact_mcc` compares the counts themselves.
"""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from typing import NamedTuple

import numpy as np

from geneb_jax.axes import Float, Int, NumpyBool, NumpyFloat, NumpyInt


class Scores(NamedTuple):
    """The three scores of GENEB, for one table or, with leading axes, for many."""

    mcc: Float[np.ndarray, "*b"]
    accuracy: Float[np.ndarray, "*b"]
    macro_f1: Float[np.ndarray, "*b"]


def mcc_of_counts(true: NumpyFloat, predicted: NumpyFloat, right: NumpyFloat) -> tuple[NumpyFloat, NumpyBool]:
    """MCC (...) of counts of true and of predicted classes (..., k) and of right predictions (...); where degenerate.

    It is degenerate where the true or the predicted classes are one class (or there are no rows): 0 by convention.
    """
    total = _sum(true)
    covariance = right * total - _sum(true * predicted)
    true_variance, predicted_variance = total**2 - _sum(true**2), total**2 - _sum(predicted**2)
    degenerate = np.asarray((true_variance == 0) | (predicted_variance == 0))
    square = np.where(degenerate, 1, true_variance * predicted_variance)
    return np.where(degenerate, 0, covariance / np.sqrt(square)), degenerate


def accuracy_of_counts(total: NumpyFloat, right: NumpyFloat) -> NumpyFloat:
    """Share of right predictions (...)."""
    return np.asarray(right / np.maximum(total, 1))


def macro_f1_of_counts(true: NumpyFloat, predicted: NumpyFloat, hits: NumpyFloat) -> NumpyFloat:
    """Mean F1 (...) over the classes that occur, from counts and right predictions of each class (..., k)."""
    both = true + predicted
    f1 = np.where(both > 0, 2 * hits / np.where(both > 0, both, 1), 0)
    return np.asarray(_sum(f1) / np.maximum((both > 0).sum(axis=-1), 1))


def mcc(table: Int[np.ndarray, "*b k k"]) -> Float[np.ndarray, "*b"]:
    """Matthews correlation coefficient."""
    true, predicted, hits = _margins(table)
    return mcc_of_counts(true, predicted, _sum(hits))[0]


def scores(table: Int[np.ndarray, "*b k k"]) -> Scores:
    """All three scores."""
    true, predicted, hits = _margins(table)
    right = _sum(hits)
    return Scores(
        mcc_of_counts(true, predicted, right)[0],
        accuracy_of_counts(_sum(true), right),
        macro_f1_of_counts(true, predicted, hits),
    )


def exact_mcc(table: Int[np.ndarray, "k k"]) -> Fraction:
    """MCC times its absolute value, as a fraction: tables are ordered by it as by their MCC, without any rounding."""
    cells: list[list[int]] = np.asarray(table).tolist()
    true, predicted = [sum(row) for row in cells], [sum(column) for column in zip(*cells, strict=True)]
    total = sum(true)
    covariance = total * sum(cells[i][i] for i in range(len(cells))) - sum(
        t * p for t, p in zip(true, predicted, strict=True)
    )
    variances = (total**2 - sum(t**2 for t in true)) * (total**2 - sum(p**2 for p in predicted))
    return Fraction(covariance * abs(covariance), variances) if variances else Fraction(0)


def _margins(table: NumpyInt | NumpyFloat) -> tuple[NumpyFloat, NumpyFloat, NumpyFloat]:
    """Counts (..., k) of the true classes, of the predicted ones, and of right predictions of each."""
    counts = np.asarray(table, np.float64)
    return counts.sum(axis=-1), counts.sum(axis=-2), np.diagonal(counts, axis1=-2, axis2=-1)


def _sum(by_class: NumpyFloat) -> NumpyFloat:
    """Sums (...) over the classes (..., k), in their order whatever the layout of the array."""
    return np.asarray(reduce(np.add, np.moveaxis(by_class, -1, 0)))
