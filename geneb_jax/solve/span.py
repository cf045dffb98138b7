"""Few rows, many columns: solve in the span of the rows.

With n < d the optimum is W = Xᵀ A: a component orthogonal to every row changes no logit and only raises the penalty.
The Cholesky factor of the rows' Gram matrix, X Xᵀ = L Lᵀ, turns the problem into one of n columns with features L: the
same logits X W = L V and the same penalty ‖W‖² = ‖V‖² for W = Xᵀ L⁻ᵀ V.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Float
from geneb_kernels.precision import HIGHEST


class Span(NamedTuple):
    """Features L (n, n) in the span, and the basis (d, n) = Xᵀ L⁻ᵀ that takes coefficients V to W."""

    features: Float[Array, "n n"]
    basis: Float[Array, "d n"]


def span(rows: Float[Array, "n d"]) -> Span:
    """Coordinates of `rows` (n, d) in their own span.

    Repeated or centred rows make the Gram matrix singular; a jitter of some units of its resolution keeps the factor
    finite and moves each logit by no more than that. Call it in float64: the map back divides by the small pivots.
    """
    n = rows.shape[0]
    K = jnp.matmul(rows, rows.T, precision=HIGHEST)
    # rounding of K is relative to its largest entry, whatever the share of empty rows; rows that are all zero, as
    # equal ones are once centred, still need a pivot that can be divided by
    jitter = jnp.maximum(4 * n * np.finfo(K.dtype).eps * jnp.max(jnp.diag(K)), np.finfo(K.dtype).tiny)
    L = jnp.linalg.cholesky(K + jitter * jnp.eye(n, dtype=K.dtype))
    return Span(L, jax.scipy.linalg.solve_triangular(L, rows, lower=True).T)
