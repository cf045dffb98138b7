"""Rows that single precision leaves between two classes, decided in double where the fit is known that well.

Few-shot problems are solved in float64 whatever was asked (`geneb_jax.probes.problems`), while the product that scores
all lanes on the test split runs in the asked precision. What lies within that product's rounding of a boundary is a
handful of rows in a million; they are looked at once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from geneb_jax.axes import NumpyBool, NumpyFloat, NumpyInt
from geneb_jax.probes.design import Design
from geneb_jax.probes.results import Scoring
from geneb_jax.probes.score import TIE_UNITS

PAIRS = 2048
"""Pairs of a lane and a row looked at together; the scratch is two rows of float64 each."""


def settled(
    scoring: Scoring,
    weights: Sequence[NumpyFloat],
    design: Design,
    test_rows: Callable[[NumpyInt], NumpyFloat],
    truth: NumpyInt,
) -> Scoring:
    """`scoring` with its tied rows decided in float64, for lanes whose W (q, o) in `weights` is float64.

    `test_rows` gives raw rows by number, `truth` (m,) the rows' places in the labels. What still ties at float64's
    resolution stays with the first class, and is what `ties` then counts.
    """
    if np.dtype(design.X.dtype) == np.float64:
        return scoring
    exact = np.array([W.dtype == np.float64 for W in weights])
    lanes, rows = np.nonzero(scoring.tied & exact[:, None])
    if not len(lanes):
        return scoring
    shift, scale = (np.asarray(a, np.float64) for a in (design.shift, design.scale))
    constant = np.asarray(design.constant)
    predicted, tied = scoring.predicted.copy(), scoring.tied.copy()
    for start in range(0, len(lanes), PAIRS):
        lane, row = lanes[start : start + PAIRS], rows[start : start + PAIRS]
        distinct, place = np.unique(row, return_inverse=True)
        with np.errstate(all="ignore"):  # what overflows is marked by the norms of the whole test split
            body = np.where(constant, 0, (np.asarray(test_rows(distinct), np.float64) - shift) / scale)
            X = np.concatenate([body, np.ones((len(body), 1))], axis=1)
            for one in np.unique(lane):
                mine = lane == one
                column, tie = decided(X[place[mine]], weights[one])
                predicted[one, row[mine]] = column
                tied[one, row[mine]] = tie
    confusion = scoring.confusion.copy()
    label = np.searchsorted(scoring.labels, scoring.classes)
    true = truth[rows]
    np.add.at(confusion, (lanes, true, label[scoring.predicted[lanes, rows]]), -1)
    np.add.at(confusion, (lanes, true, label[predicted[lanes, rows]]), 1)
    return scoring._replace(predicted=predicted, tied=tied, confusion=confusion)


def decided(X: NumpyFloat, W: NumpyFloat) -> tuple[NumpyInt, NumpyBool]:
    """The column that each row (m, q) is predicted as by W (q, o), and whether it ties, by `score_lanes`' rule."""
    Z = X @ W
    resolution = TIE_UNITS * np.finfo(np.float64).eps * np.linalg.norm(X, axis=1)
    resolution *= np.sqrt(np.max(np.sum(W * W, axis=0)))
    if W.shape[1] == 1:
        tie = np.abs(Z[:, 0]) <= resolution
        return np.where(tie, 0, Z[:, 0] > 0).astype(np.int64), tie
    close = Z.max(axis=1, keepdims=True) - Z <= resolution[:, None]
    return np.argmax(close, axis=1), close.sum(axis=1) > 1
