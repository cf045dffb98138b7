"""Scores of a confusion table. Each depends on the table alone, so resampling rows is resampling its cells.

Tables are (k, k) counts by (true, predicted). Definitions are scikit-learn's: `matthews_corrcoef` (Gorodkin 2004
for k > 2; 0 where a marginal holds a single class), `accuracy_score`, and `f1_score(average="macro")` over the
classes that occur in either marginal, with 0 for a class never predicted.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

import geneb_kernels.confusion
from geneb_jax.axes import Array, Float


class Scores(NamedTuple):
    """The three scores of GENEB, for one table or, with leading axes, for many."""

    mcc: Float[Array, "*b"]
    accuracy: Float[Array, "*b"]
    macro_f1: Float[Array, "*b"]


def mcc(table: Float[Array, "*b k k"]) -> Float[Array, "*b"]:
    """Matthews correlation coefficient, in the table's floating dtype."""
    return geneb_kernels.confusion.mcc(table)


def accuracy(table: Float[Array, "*b k k"]) -> Float[Array, "*b"]:
    """Fraction of rows on the diagonal."""
    return jnp.trace(table, axis1=-2, axis2=-1) / jnp.maximum(jnp.sum(table, axis=(-2, -1)), 1)


def macro_f1(table: Float[Array, "*b k k"]) -> Float[Array, "*b"]:
    """Mean of the classes' F1 over the classes that occur among true or predicted labels."""
    hits = jnp.diagonal(table, axis1=-2, axis2=-1)
    total = jnp.sum(table, axis=-1) + jnp.sum(table, axis=-2)
    present = total > 0
    f1 = jnp.where(present, 2 * hits / jnp.where(present, total, 1), 0)
    return jnp.sum(f1, axis=-1) / jnp.maximum(jnp.sum(present, axis=-1), 1)


def scores(table: Float[Array, "*b k k"]) -> Scores:
    """All three scores."""
    return Scores(mcc(table), accuracy(table), macro_f1(table))
