"""Weighted Gram in plain XLA: row blocks bound the scratch memory, column blocks skip the lower triangle."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp

from geneb_kernels.precision import HIGHEST

ROW_BLOCK = 4096
"""Rows weighted at a time; the scratch is ROW_BLOCK × d instead of a weighted copy of X."""

COLUMN_BLOCKS = 4
"""Blocks per side: 10 of 16 blocks are computed. More blocks save little and make the products thin."""


def weighted_gram(X: jax.Array, w: jax.Array) -> jax.Array:
    """Xᵀ diag(w) X, (d, d), of X (n, d) and w (n,)."""
    n, d = X.shape
    blocks = 1
    while n % (2 * blocks) == 0 and n // (2 * blocks) >= ROW_BLOCK:
        blocks *= 2
    if blocks == 1:
        return _block(X, w)
    rows = n // blocks

    def add(i: jax.Array, G: jax.Array) -> jax.Array:
        Xi = jax.lax.dynamic_slice_in_dim(X, i * rows, rows)
        return G + _block(Xi, jax.lax.dynamic_slice_in_dim(w, i * rows, rows))

    return jax.lax.fori_loop(0, blocks, add, jnp.zeros((d, d), X.dtype))


def weighted_grams(X: jax.Array, W: jax.Array) -> jax.Array:
    """Xᵀ diag(wₗ) X, (l, d, d), one weight vector (a row of W) after the other: scratch for one at a time."""
    return jax.lax.map(lambda w: weighted_gram(X, w), W)


def _block(X: jax.Array, w: jax.Array) -> jax.Array:
    d = X.shape[1]
    Xw = X * w[:, None]
    if d < 512:
        G = jnp.matmul(Xw.T, X, precision=HIGHEST)
        return 0.5 * (G + G.T)
    edges = [round(d * i / COLUMN_BLOCKS) for i in range(COLUMN_BLOCKS + 1)]
    G = jnp.zeros((d, d), X.dtype)
    for lo, hi in itertools.pairwise(edges):
        upper = jnp.matmul(Xw[:, lo:hi].T, X[:, lo:], precision=HIGHEST)
        G = G.at[lo:hi, lo:].set(upper)
    return jnp.triu(G) + jnp.triu(G, 1).T
