"""The scores as scikit-learn defines them, from label arrays: what the device metrics are tested against."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from geneb_jax.axes import NumpyInt


@dataclass(frozen=True)
class ReferenceScores:
    """Confusion table `(K, K)` by (true, predicted) in the order of `labels`, and GENEB's three metrics."""

    confusion: NumpyInt
    mcc: float
    accuracy: float
    macro_f1: float


def reference_scores(y_true: NumpyInt, y_pred: NumpyInt, labels: NumpyInt) -> ReferenceScores:
    """Score `(m,)` predicted labels against `(m,)` true labels with scikit-learn.

    `labels` `(K,)` only names the table's axes; as in the GENEB harness, macro-F1 averages over the labels
    that occur among the true or the predicted ones. MCC is 0 where either side holds one class.
    """
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, matthews_corrcoef

    with warnings.catch_warnings():
        # a single class on one side is a status of the record, not a warning on the terminal
        warnings.simplefilter("ignore")
        return ReferenceScores(
            confusion=np.asarray(confusion_matrix(y_true, y_pred, labels=labels), dtype=np.int64),
            mcc=float(matthews_corrcoef(y_true, y_pred)),
            accuracy=float(accuracy_score(y_true, y_pred)),
            macro_f1=float(f1_score(y_true, y_pred, average="macro")),
        )
