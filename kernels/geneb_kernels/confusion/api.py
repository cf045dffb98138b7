"""Entry point of the confusion-count operation."""

from __future__ import annotations

import jax

from geneb_kernels.confusion import xla


def confusion_counts(truth: jax.Array, predicted: jax.Array, keep: jax.Array, num_classes: int) -> jax.Array:
    """Counts (k, k) of (true, predicted) pairs of class indices (n,), over the rows where `keep` (n,) is true.

    Exact int32 counts. Raises ValueError when the shapes differ. Only the XLA reference exists so far.
    """
    if not truth.shape == predicted.shape == keep.shape:
        raise ValueError(f"shapes differ: {truth.shape}, {predicted.shape}, {keep.shape}")
    return xla.confusion_counts(truth, predicted, keep, num_classes)
