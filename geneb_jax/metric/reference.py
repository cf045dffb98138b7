"""Scores from label arrays, with scikit-learn's confusion table: the engines that run scikit-learn score by it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from geneb_jax.axes import NumpyInt
from geneb_jax.metric.confusion import scores


@dataclass(frozen=True)
class ReferenceScores:
    """Confusion table `(K, K)` by (true, predicted) in the order of `labels`, and GENEB's three metrics."""

    confusion: NumpyInt
    mcc: float
    accuracy: float
    macro_f1: float


def reference_scores(y_true: NumpyInt, y_pred: NumpyInt, labels: NumpyInt) -> ReferenceScores:
    """Score `(m,)` predicted labels against `(m,)` true labels.

    `labels` `(K,)` only names the table's axes; as in the GENEB harness, macro-F1 averages over the labels
    that occur among the true or the predicted ones. MCC is 0 where either side holds one class.
    """
    from sklearn.metrics import confusion_matrix

    with warnings.catch_warnings():
        # a single class on both sides is a status of the record, not a warning on the terminal
        warnings.simplefilter("ignore")
        table = np.asarray(confusion_matrix(y_true, y_pred, labels=labels), dtype=np.int64)
    return ReferenceScores(table, *map(float, scores(table)))
