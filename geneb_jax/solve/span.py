"""Few rows, many columns: solve in the span of the rows.

With n < d the optimum is W = Xᵀ A: a component orthogonal to every row changes no logit and only raises the penalty.
An eigendecomposition of the rows' Gram matrix K = Q Λ Qᵀ turns the problem into one of n columns, Z = Q Λ^½, with the
same logits X W = Z V and the same penalty ‖W‖² = ‖V‖² for W = Xᵀ Q Λ^-½ V.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Float
from geneb_kernels.precision import HIGHEST


class Span(NamedTuple):
    """Features (n, n) in the span, and the map (n, n) that takes coefficients V to row weights A = map V."""

    features: Float[Array, "n n"]
    to_rows: Float[Array, "n n"]


def span(rows: Float[Array, "n d"]) -> Span:
    """Coordinates of `rows` in their own span; directions below the arithmetic's resolution are dropped."""
    K = jnp.matmul(rows, rows.T, precision=HIGHEST)
    values, Q = jnp.linalg.eigh(K)
    floor = rows.shape[0] * np.finfo(K.dtype).eps * values[-1]
    kept = values > floor
    root = jnp.sqrt(jnp.where(kept, values, 1))
    return Span(Q * jnp.where(kept, root, 0), Q * jnp.where(kept, 1 / root, 0))
