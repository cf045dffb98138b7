"""Entry points of the confusion counts."""

from __future__ import annotations

import jax

from geneb_kernels.choice import Implementation, dispatch
from geneb_kernels.confusion import xla


def confusion_counts(truth: jax.Array, predicted: jax.Array, keep: jax.Array, num_classes: int) -> jax.Array:
    """Counts (k, k) of (true, predicted) pairs of class indices (n,), over the rows where `keep` (n,) is true.

    Exact int32 counts. Raises ValueError when the shapes differ. XLA only: a sum by index is no work for a kernel.
    """
    if not truth.shape == predicted.shape == keep.shape:
        raise ValueError(f"shapes differ: {truth.shape}, {predicted.shape}, {keep.shape}")
    return xla.confusion_counts(truth, predicted, keep, num_classes)


def confusion_from_logits(
    Z: jax.Array, truth: jax.Array, keep: jax.Array, num_classes: int, implementation: Implementation | None = None
) -> tuple[jax.Array, jax.Array]:
    """Counts (l, k, k) int32 of (true, predicted) pairs and MCC (l,) float32 from finite logits (l, n, o) of l lanes.

    o = 1 predicts class 1 where the logit is positive, o = k the first class of the largest logit. truth (n,) are class
    indices, keep (l, n) the rows that count. implementation: see `geneb_kernels.choice.dispatch`. Raises ValueError
    when the shapes do not fit.
    """
    lanes, n, outputs = Z.shape
    if truth.shape != (n,) or keep.shape != (lanes, n) or outputs not in (1, num_classes):
        raise ValueError(
            f"Z (l, n, o), truth (n,) and keep (l, n) with o = 1 or {num_classes} do not fit: "
            f"{Z.shape}, {truth.shape}, {keep.shape}"
        )

    def kernel() -> tuple[jax.Array, jax.Array]:
        from geneb_kernels.confusion import mosaic_gpu

        return mosaic_gpu.confusion_from_logits(Z, truth, keep, num_classes)

    return dispatch(
        "confusion_from_logits",
        implementation,
        mosaic=kernel,
        reference=lambda: xla.confusion_from_logits(Z, truth, keep, num_classes),
    )
