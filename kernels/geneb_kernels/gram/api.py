"""Entry point of the weighted Gram operation."""

from __future__ import annotations

import jax

from geneb_kernels.gram import xla


def weighted_gram(X: jax.Array, w: jax.Array) -> jax.Array:
    """Xᵀ diag(w) X, (d, d), of X (n, d) and row weights w (n,); exactly symmetric.

    Raises ValueError when the shapes do not fit. Only the XLA reference exists so far.
    """
    if X.ndim != 2 or w.shape != X.shape[:1]:
        raise ValueError(f"X must be (n, d) and w (n,), not {X.shape} and {w.shape}")
    return xla.weighted_gram(X, w)
