"""What a fitted linear head says about rows, in float64 on the host."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax

from geneb_jax.axes import NumpyFloat, NumpyInt

BLOCK = 8192
"""Rows that are held in float64 at a time."""


def logits(X: NumpyFloat, coef: NumpyFloat, intercept: NumpyFloat) -> NumpyFloat:
    """Decision values (m, o) of rows X (m, d) for coef (o, d) and intercept (o,)."""
    out = np.empty((len(X), len(coef)))
    for start in range(0, len(X), BLOCK):
        np.matmul(X[start : start + BLOCK].astype(np.float64, copy=False), coef.T, out=out[start : start + BLOCK])
    out += intercept
    return out


def class_numbers(Z: NumpyFloat) -> NumpyInt:
    """The best class of each row of decision values (m, o); of equal ones the first, as in scikit-learn."""
    return (Z[:, 0] > 0).astype(np.int64) if Z.shape[1] == 1 else np.asarray(Z.argmax(axis=1))


def probabilities(Z: NumpyFloat) -> NumpyFloat:
    """Class probabilities (m, k) from decision values (m, o)."""
    z = Z[:, 0]
    return np.stack([expit(-z), expit(z)], axis=1) if Z.shape[1] == 1 else np.asarray(softmax(Z, axis=1))


def log_probabilities(Z: NumpyFloat) -> NumpyFloat:
    """Their logarithms (m, k), which stay finite where a probability rounds to 0."""
    z = Z[:, 0]
    return np.stack([log_expit(-z), log_expit(z)], axis=1) if Z.shape[1] == 1 else np.asarray(log_softmax(Z, axis=1))
