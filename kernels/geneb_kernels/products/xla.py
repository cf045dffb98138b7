"""Products with X in plain XLA, in the forms that XLA on CPU computes quickly from row-major X.

Measured on two cores (float32, shared with other work, so read the ratios): Xᵀ R written as it stands is up to 30 times
slower than (Rᵀ X)ᵀ; with two columns or more and 1,000 columns of X or more, XLA packs that form badly, and a loop over
blocks of 512 rows takes 25 ms in place of 60 for 20,480 × 4,097 and five columns. Lanes that share X are columns of one
product: 15 ms in place of 28 for five lanes there.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from geneb_kernels.precision import HIGHEST

ROW_BLOCKS = (512, 256)
"""Rows of one step of the loop, the first that divides n: a block of X and the packed columns stay in cache."""

WIDE = 512
"""Columns of X from which the loop pays."""

PARTS = 32
"""Independent parts of a product with one column, which XLA spreads over the cores."""


def times(X: jax.Array, V: jax.Array) -> jax.Array:
    """X V, (n, c), of X (n, d) and V (d, c)."""
    return jnp.matmul(X, V, precision=HIGHEST)


def times_transposed(X: jax.Array, R: jax.Array) -> jax.Array:
    """Xᵀ R, (d, c), of X (n, d) and R (n, c)."""
    n, d = X.shape
    c = R.shape[1]
    block = next((rows for rows in ROW_BLOCKS if n % rows == 0), None)
    if jax.default_backend() != "cpu" or d < WIDE or block is None or n == block:
        return jnp.matmul(R.T, X, precision=HIGHEST).T
    if c == 1 and n % PARTS == 0:
        parts = jnp.einsum(
            "bnd,bnc->bcd", X.reshape(PARTS, -1, d), R.reshape(PARTS, -1, c), precision=HIGHEST
        )  # fmt: skip
        return jnp.sum(parts, axis=0).T

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        Xi = jax.lax.dynamic_slice_in_dim(X, i * block, block)
        Ri = jax.lax.dynamic_slice_in_dim(R, i * block, block)
        return total + jnp.matmul(Ri.T, Xi, precision=HIGHEST)

    return jax.lax.fori_loop(0, n // block, add, jnp.zeros((c, d), X.dtype)).T
