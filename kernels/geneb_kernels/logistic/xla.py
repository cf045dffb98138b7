"""Logits, loss and residual of many lanes in plain XLA: the logits pass through memory."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from geneb_kernels.precision import HIGHEST

Log1p = Callable[[jax.Array], jax.Array]
"""log(1 + x): a kernel has to bring its own, and compiled by XLA that one would lose its digits."""


def residuals_and_losses(X: jax.Array, V: jax.Array, labels: jax.Array, W: jax.Array) -> tuple[jax.Array, jax.Array]:
    """See the API for the contract."""
    Z = jnp.einsum("nd,ldo->nlo", X.astype(V.dtype), V, precision=HIGHEST)
    w = W.T[..., None]
    if V.shape[2] == 1:
        losses, residuals = binary(Z, labels[:, None, None] == 1)
    else:
        true = labels[:, None, None] == jnp.arange(V.shape[2])
        losses, residuals = multinomial(Z, jnp.broadcast_to(true, Z.shape), jnp.ones_like(true))
    return w * residuals, jnp.sum(w * losses, axis=(0, 2))


def binary(z: jax.Array, positive: jax.Array, log1p: Log1p = jnp.log1p) -> tuple[jax.Array, jax.Array]:
    """Loss and residual of logits of any shape: with s = ±z away from the true class, log(1 + eˢ) and ±σ(s)."""
    s = jnp.where(positive, -z, z)
    small = jnp.exp(-jnp.abs(s))
    wrong = jnp.where(s >= 0, 1.0, small) / (1.0 + small)
    return jnp.maximum(s, 0.0) + log1p(small), jnp.where(positive, -wrong, wrong)


def multinomial(
    z: jax.Array, true: jax.Array, exists: jax.Array, log1p: Log1p = jnp.log1p
) -> tuple[jax.Array, jax.Array]:
    """Loss and residual by class, over the last axis; the loss of a row stands in its true class, zeros elsewhere.

    exists: False for columns that fill up a block. Both are built from the other classes, so that a nearly certain
    true class keeps its digits: the loss is log(1 + Σ e^(zᵢ - z_y)) and its residual minus the sum of the others'.
    """
    top = jnp.max(jnp.where(exists, z, -jnp.inf), axis=-1)
    e = jnp.where(exists, jnp.exp(z - _wide(top, z)), 0.0)
    others = jnp.where(true, 0.0, e)
    rest = _wide(jnp.sum(others, axis=-1), z)
    all_classes = _wide(jnp.sum(e, axis=-1), z)
    own = _wide(jnp.sum(jnp.where(true, z, 0.0), axis=-1) - top, z)
    # e^own may be 0 where the loss is large: then log Σ e - own, which does not cancel, is as good
    certain = own > -1.0
    ratio = rest / jnp.where(certain, jnp.exp(own), 1.0)
    loss = jnp.where(certain, log1p(ratio), jnp.log(all_classes) - own)
    share = 1.0 / all_classes
    return jnp.where(true, loss, 0.0), jnp.where(true, -rest, others) * share


def _wide(row: jax.Array, like: jax.Array) -> jax.Array:
    """One number of each row in every column."""
    return jax.lax.broadcast_in_dim(row, like.shape, tuple(range(row.ndim)))
