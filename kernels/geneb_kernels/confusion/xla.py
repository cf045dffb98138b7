"""Confusion counts in plain XLA: one integer segment sum over the flattened pair index."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def confusion_counts(truth: jax.Array, predicted: jax.Array, keep: jax.Array, num_classes: int) -> jax.Array:
    """Counts (k, k) of (true, predicted) pairs; see the API for the contract."""
    cell = truth.astype(jnp.int32) * num_classes + predicted.astype(jnp.int32)
    flat = jax.ops.segment_sum(keep.astype(jnp.int32), cell, num_segments=num_classes * num_classes)
    return flat.reshape(num_classes, num_classes)
