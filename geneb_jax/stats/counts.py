"""Scores as functions of sums over test rows, so that a resample of rows is a matrix product.

MCC and accuracy of predictions on k classes need, of all rows: how many there are, how often each class is true, how
often each is predicted, and how many predictions are right. Each is a sum of a 0/1 column; macro-F1 needs the right
predictions of each class. What all predictions of a task share stands once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geneb_jax.axes import NumpyBool, NumpyFloat, NumpyInt
from geneb_jax.metric.confusion import accuracy_of_counts, macro_f1_of_counts, mcc_of_counts
from geneb_jax.stats.aggregate import Metric


@dataclass(frozen=True)
class Layout:
    """Where the columns are: 1 + (k - 1) shared ones, then for each of L predictions its own.

    Of the classes 1 … k-1 columns exist; class 0 is what is left. `per_class`: right predictions of every class, in
    place of their number.
    """

    k: int
    predictions: int
    per_class: bool

    @property
    def hits(self) -> int:
        """Columns that count right predictions, of each set of predictions."""
        return self.k if self.per_class else 1

    @property
    def own(self) -> int:
        """Columns of each set of predictions."""
        return self.hits + self.k - 1


def columns(truth: NumpyInt, predicted: NumpyInt, k: int, metric: Metric) -> tuple[NumpyFloat, Layout]:
    """0/1 columns (m, c) of true classes (m,) and predicted ones (L, m), all in 0 … k-1, and their layout."""
    layout = Layout(k, len(predicted), per_class=metric == "macro_f1" and k != 2)
    m = len(truth)
    out = np.empty((m, k + layout.own * len(predicted)), np.float32)
    out[:, 0] = 1
    out[:, 1:k] = truth[:, None] == np.arange(1, k)
    own = out[:, k:].reshape(m, len(predicted), layout.own)
    right = (predicted == truth).T
    if layout.per_class:
        own[:, :, : layout.hits] = right[:, :, None] & (truth[:, None, None] == np.arange(k))
    else:
        own[:, :, 0] = right
    own[:, :, layout.hits :] = predicted.T[:, :, None] == np.arange(1, k)
    return out, layout


def scores(sums: NumpyFloat, layout: Layout, metric: Metric) -> tuple[NumpyFloat, NumpyBool]:
    """Scores (b, L) from sums of the columns (b, c), and which of them are degenerate.

    Definitions are those of `geneb_jax.metric.confusion`. A score is degenerate where the true or the predicted
    classes are one class: its MCC is then 0 by convention, not by measurement.
    """
    k, L = layout.k, layout.predictions
    sums = np.asarray(sums, np.float64)
    total = sums[:, :1]
    rest = sums[:, 1:k]
    true = np.concatenate([total - rest.sum(axis=1, keepdims=True), rest], axis=1)[:, None]
    own = sums[:, k:].reshape(len(sums), L, layout.own)
    hits = own[..., : layout.hits]
    rest = own[..., layout.hits :]
    predicted = np.concatenate([total[:, None] - rest.sum(axis=2, keepdims=True), rest], axis=2)
    right = hits.sum(axis=2)
    mcc, degenerate = mcc_of_counts(true, predicted, right)
    if metric == "mcc":
        return mcc, degenerate
    if metric == "accuracy":
        return accuracy_of_counts(total, right), degenerate
    if not layout.per_class:
        # of two classes, the right predictions of class 1 follow from the rest
        ones = (right - total + true[..., 1] + predicted[..., 1]) / 2
        hits = np.stack([right - ones, ones], axis=2)
    return macro_f1_of_counts(true, predicted, hits), degenerate
