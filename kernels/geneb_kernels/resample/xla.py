"""Resampled sums in plain XLA, for accelerators: counts by scatter, then one product."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from geneb_kernels.precision import HIGHEST

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
