"""Few rows, many columns: solve in the span of the rows.

With n < d the optimum is W = Xᵀ A: a component orthogonal to every row changes no logit and only raises the penalty.
The Cholesky factor of the rows' Gram matrix, X Xᵀ = L Lᵀ, turns the problem into one of n columns with features L: the
same logits X W = L V and the same penalty ‖W‖² = ‖V‖² for W = Xᵀ L⁻ᵀ V.

The basis Xᵀ L⁻ᵀ (d, n) is never formed: for 1,000 draws of 20 rows it costs five times what the factor does, and as
much memory as the rows in float64.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Bool, Float
from geneb_kernels.precision import HIGHEST


def span(rows: Float[Array, "n d"]) -> Float[Array, "n n"]:
    """Coordinates L (n, n) of `rows` (n, d) in their own span.

    Repeated or centred rows make the Gram matrix singular; a jitter of some units of its resolution keeps the factor
    finite and moves each logit by no more than that. Call it in float64: the map back divides by the small pivots.
    """
    n = rows.shape[0]
    K = jnp.matmul(rows, rows.T, precision=HIGHEST)
    # rounding of K is relative to its largest entry, whatever the share of empty rows; rows that are all zero, as
    # equal ones are once centred, still need a pivot that can be divided by
    jitter = jnp.maximum(4 * n * np.finfo(K.dtype).eps * jnp.max(jnp.diag(K)), np.finfo(K.dtype).tiny)
    return jnp.linalg.cholesky(K + jitter * jnp.eye(n, dtype=K.dtype))


def from_span(L: Float[Array, "n n"], rows: Float[Array, "n d"], V: Float[Array, "n o"]) -> Float[Array, "d o"]:
    """Coefficients W of `rows` from coefficients V of their coordinates L = `span(rows)`."""
    A = jax.scipy.linalg.solve_triangular(L, V, lower=True, trans="T")
    return jnp.matmul(rows.T, A, precision=HIGHEST)


class OwnRows(NamedTuple):
    """Rows (m, d) in coordinates of their own, the intercept column (m, 1), and each feature's shift and scale."""

    rows: Float[Array, "m d"]
    last: Float[Array, "m 1"]
    shift: Float[Array, " d"]
    scale: Float[Array, " d"]


def own_rows(raw: Float[Array, "m d"], real: Bool[Array, " m"], intercept: bool, standardize: bool) -> OwnRows:
    """Raw rows in float64 as their probe sees them, before `span`: centred where there is an intercept or a scale.

    Rows that are not real count for nothing and become zero; the intercept's column is zero where there is none.
    """
    mask = real.astype(jnp.float64)[:, None]
    R = raw.astype(jnp.float64) * mask
    count = jnp.sum(mask)
    mean = jnp.sum(R, axis=0) / count
    shift = mean if intercept or standardize else jnp.zeros_like(mean)
    R = (R - shift) * mask
    spread = jnp.sqrt(jnp.sum(R * R, axis=0) / count)
    constant = spread <= 8 * np.finfo(np.float64).eps * jnp.abs(mean)
    scale = jnp.where(constant, 1, spread) if standardize else jnp.ones_like(mean)
    return OwnRows(R / scale, mask if intercept else jnp.zeros_like(mask), shift, scale)
