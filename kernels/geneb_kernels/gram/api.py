"""Entry point of the weighted Gram operation."""

from __future__ import annotations

import jax

from geneb_kernels.choice import Implementation, dispatch
from geneb_kernels.gram import xla


def weighted_gram(X: jax.Array, w: jax.Array, implementation: Implementation | None = None) -> jax.Array:
    """Xᵀ diag(w) X, (d, d), of X (n, d) and row weights w (n,); of many weight vectors (l, n) it is (l, d, d).

    Exactly symmetric. implementation: see `geneb_kernels.choice.dispatch`. Raises ValueError when shapes do not fit.
    """
    if X.ndim != 2 or w.ndim not in (1, 2) or w.shape[-1] != X.shape[0]:
        raise ValueError(f"X must be (n, d) and w (n,) or (l, n), not {X.shape} and {w.shape}")

    def kernel() -> jax.Array:
        from geneb_kernels.gram import mosaic_gpu

        return mosaic_gpu.weighted_grams(X, w) if w.ndim == 2 else mosaic_gpu.weighted_grams(X, w[None])[0]

    def reference() -> jax.Array:
        return xla.weighted_grams(X, w) if w.ndim == 2 else xla.weighted_gram(X, w)

    return dispatch("weighted_gram", implementation, mosaic=kernel, reference=reference)
