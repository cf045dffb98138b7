"""Poisson(1) resample weights from a counter: the weight of an item in a resample is a function of both and the key.

The generator is Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), from
its published definition: additions, rotations and exclusive or, which every device has in registers. One call gives 64
bits, four weights of 16 bits each, for the same place in four neighbouring blocks of `LANE` items.
"""

from __future__ import annotations

from typing import Final

import jax
import jax.numpy as jnp
import numpy as np

from geneb_kernels.resample.host import poisson_ends

LANE: Final = 64
"""Items that get the same quarter of the bits."""

SPAN: Final = 4 * LANE
"""Items of one round of counters."""

_ROTATIONS: Final = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY: Final = 0x1BD11BDA


def threefry2x32(key: tuple[jax.Array, jax.Array], x: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Two words of 32 random bits for each pair of uint32 counters."""
    schedule = (*key, key[0] ^ key[1] ^ np.uint32(_PARITY))
    a, b = x[0] + schedule[0], x[1] + schedule[1]
    for i in range(5):
        for turn in _ROTATIONS[i % 2]:
            a = a + b
            b = ((b << np.uint32(turn)) | (b >> np.uint32(32 - turn))) ^ a
        a = a + schedule[(i + 1) % 3]
        b = b + schedule[(i + 2) % 3] + np.uint32(i + 1)
    return a, b


def weights_of_span(key: tuple[jax.Array, jax.Array], resample: jax.Array, place: jax.Array) -> list[jax.Array]:
    """Weights, as float32, of four blocks of items, by resample and by place span · LANE + (item mod LANE), uint32."""
    words = threefry2x32(key, (resample, place))
    half = np.uint32(0xFFFF)
    return [_poisson(bits) for word in words for bits in (word & half, word >> np.uint32(16))]


def _poisson(bits: jax.Array) -> jax.Array:
    """Poisson(1) counts by 16 random bits: how many ends of the cumulative distribution lie at or below them."""
    count = jnp.zeros_like(bits, jnp.float32)
    for end in poisson_ends():
        count = count + jnp.where(bits >= np.uint32(end), 1.0, 0.0)
    return count


def weights(key: jax.Array, b: int, n: int, first: jax.Array | int = 0) -> jax.Array:
    """(b, n) weights as float32 of b resamples from number `first` on, for a key of two uint32 words."""
    spans = -(-n // SPAN)
    places = jnp.arange(spans * LANE, dtype=jnp.uint32)
    grid = jnp.broadcast_arrays(jnp.asarray(first, jnp.uint32) + jnp.arange(b, dtype=jnp.uint32)[:, None], places[None])
    blocks = jnp.stack(weights_of_span((key[0], key[1]), grid[0], grid[1]))
    return jnp.moveaxis(blocks.reshape(4, b, spans, LANE), 0, 2).reshape(b, spans * SPAN)[:, :n]
