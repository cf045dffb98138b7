"""Resampled sums and scores in plain XLA: weights are a matrix, a chunk of resamples at a time, and one product."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from geneb_kernels.confusion.xla import mcc_of_margins
from geneb_kernels.precision import HIGHEST
from geneb_kernels.resample.threefry import weights

CHUNK_NUMBERS = 64_000_000
"""Weights held at a time."""


@partial(jax.jit, static_argnames="b")
def _chunk(key: jax.Array, columns: jax.Array, b: int) -> jax.Array:
    n = columns.shape[0]
    items = jax.random.randint(key, (b, n), 0, n)
    weights = jnp.zeros((b, n), jnp.float32).at[jnp.arange(b)[:, None], items].add(1)
    return jnp.matmul(weights, columns, precision=HIGHEST)


def resampled_sums(key: tuple[int, ...], columns: NDArray[np.float32], b: int) -> NDArray[np.float32]:
    """`geneb_kernels.resample.host.resampled_sums` on the default device, with resamples of its own."""
    n = len(columns)
    root = jax.random.key(0)
    for part in (*key, n):
        root = jax.random.fold_in(root, np.uint32(part % 2**32))
    on_device = jnp.asarray(columns)
    step = max(1, min(b, CHUNK_NUMBERS // n))
    sums = [_chunk(jax.random.fold_in(root, i), on_device, step) for i in range(-(-b // step))]
    return np.concatenate([np.asarray(part) for part in sums])[:b]


@partial(jax.jit, static_argnames=("k", "b"))
def resampled_mcc(key: jax.Array, truth: jax.Array, predicted: jax.Array, k: int, b: int) -> jax.Array:
    """(b, l) scores; see the API for the contract. key: two uint32 words."""
    kinds = jnp.arange(k)
    n = len(truth)
    true = (truth[:, None] == kinds).astype(jnp.float32)
    own = (predicted[..., None] == kinds).astype(jnp.float32)
    wrong = (predicted != truth).astype(jnp.float32)
    chunk = max(1, min(b, CHUNK_NUMBERS // n))

    def scores(first: jax.Array) -> jax.Array:
        w = weights(key, chunk, n, first)
        return mcc_of_margins(
            jnp.matmul(w, true, precision=HIGHEST)[:, None],
            jnp.einsum("bn,lnk->blk", w, own, precision=HIGHEST),
            jnp.matmul(w, wrong.T, precision=HIGHEST),
            add=lambda x: jnp.sum(x, axis=-1),
            wide=lambda total: total[..., None],
        )

    starts = jnp.arange(0, b, chunk, dtype=jnp.uint32)
    return jax.lax.map(scores, starts).reshape(-1, len(predicted))[:b]
