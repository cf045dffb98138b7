"""Predictions and confusion tables of many lanes, on device, from one product over the test split."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Bool, Float, Int
from geneb_jax.probes.programs import program
from geneb_kernels.confusion import confusion_counts
from geneb_kernels.precision import HIGHEST

TIE_UNITS = 16
"""Two classes tie where their logits differ by less than this many units of the arithmetic's resolution."""


class Scored(NamedTuple):
    """Per lane: predicted column index (p, m), confusion counts (p, k, k), which rows tie (p, m).

    `finite` tells whether every row's norm is a number of this precision; without that, no prediction means anything.
    """

    predicted: Int[Array, "p m"]
    confusion: Int[Array, "p k k"]
    tied: Bool[Array, "p m"]
    finite: Bool[Array, ""]


def score_rows(
    X: Float[Array, "m q"],
    W: Float[Array, "p q o"],
    truth: Int[Array, " m"],
    keep: Bool[Array, " m"],
    label_of_column: Int[Array, " k"],
    num_labels: int,
) -> Scored:
    """Score p lanes W on test rows X in solver coordinates; `keep` is false on padding.

    `truth` holds indices into the label list, `label_of_column` maps a head's class to it. A tie goes to the first
    class: symmetric few-shot draws of integer features do tie exactly, and rounding must not decide them.
    """
    p, q, o = W.shape
    Z = jnp.matmul(X, jnp.moveaxis(W, 0, 1).reshape(q, p * o), precision=HIGHEST).reshape(-1, p, o)
    eps = np.finfo(Z.dtype).eps
    row_norm = jnp.sqrt(jnp.sum(X * X, axis=1))[:, None]
    if o == 1:
        margin = jnp.abs(Z[..., 0])
        best = (Z[..., 0] > 0).astype(jnp.int32)
        lane_norm = jnp.sqrt(jnp.sum(W * W, axis=(1, 2)))
        tie = margin <= TIE_UNITS * eps * row_norm * lane_norm
        best = jnp.where(tie, 0, best)
    else:
        lane_norm = jnp.sqrt(jnp.max(jnp.sum(W * W, axis=1), axis=1))
        resolution = TIE_UNITS * eps * row_norm * lane_norm
        top = jnp.max(Z, axis=2)
        gap_to_best = top[..., None] - Z
        close = gap_to_best <= resolution[..., None]
        best = jnp.argmax(close, axis=2).astype(jnp.int32)
        tie = jnp.sum(close, axis=2) > 1
    predicted = best.T
    label = label_of_column[predicted]
    confusion = jax.vmap(lambda row: confusion_counts(truth, row, keep, num_labels))(label)
    finite = jnp.all(jnp.isfinite(row_norm[:, 0]) | ~keep)
    return Scored(predicted, confusion, (tie & keep[:, None]).T, finite)


score_lanes = program(score_rows, static_argnames="num_labels")
"""`score_rows` as a program of its own, for the host."""
