"""Confusion counts in plain XLA, one integer segment sum over the flattened pair index, and the score of a table."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp


def confusion_counts(truth: jax.Array, predicted: jax.Array, keep: jax.Array, num_classes: int) -> jax.Array:
    """Counts (k, k) of (true, predicted) pairs; see the API for the contract."""
    cell = truth.astype(jnp.int32) * num_classes + predicted.astype(jnp.int32)
    flat = jax.ops.segment_sum(keep.astype(jnp.int32), cell, num_segments=num_classes * num_classes)
    return flat.reshape(num_classes, num_classes)


def confusion_from_logits(Z: jax.Array, truth: jax.Array, keep: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """See the API for the contract."""
    predicted = (Z[..., 0] > 0).astype(jnp.int32) if Z.shape[2] == 1 else jnp.argmax(Z, axis=2)
    counts = jax.vmap(lambda p, kept: confusion_counts(truth, p, kept, k))(predicted, keep)
    return counts, mcc(counts.astype(jnp.float32))


def mcc(table: jax.Array) -> jax.Array:
    """Matthews correlation coefficient of tables (..., k, k), in their floating dtype."""
    wrong = jnp.sum(jnp.where(jnp.eye(table.shape[-1], dtype=bool), 0, table), axis=(-2, -1))
    return mcc_of_margins(
        jnp.sum(table, axis=-1),
        jnp.sum(table, axis=-2),
        wrong,
        add=lambda x: jnp.sum(x, axis=-1),
        wide=lambda x: x[..., None],
    )


def by_root(value: jax.Array, square: jax.Array) -> jax.Array:
    """value / √square, as scikit-learn rounds it: 1 exactly where no prediction is wrong."""
    return value / jnp.sqrt(square)


def by_reciprocal_root(value: jax.Array, square: jax.Array) -> jax.Array:
    """The same up to rounding, for kernels, which have no square root."""
    return value * jax.lax.rsqrt(square)


def mcc_of_margins(
    true: jax.Array,
    predicted: jax.Array,
    wrong: jax.Array,
    *,
    add: Callable[[jax.Array], jax.Array],
    wide: Callable[[jax.Array], jax.Array],
    divide: Callable[[jax.Array, jax.Array], jax.Array] = by_root,
) -> jax.Array:
    """The coefficient (Gorodkin 2004) from counts of true and of predicted classes, and of wrong predictions.

    add: the sum over classes; wide: such a sum for every class. With N predictions the covariance is
    Σ tᵢ (N - pᵢ) - N · wrong and a variance Σ tᵢ (N - tᵢ): where one class is nearly all, these are small numbers made
    of small numbers, and float32 keeps the digits that N² - Σ tᵢ² would lose. 0 where either side holds one class.
    """
    total = add(true)
    everything = wide(total)
    covariance = add(true * (everything - predicted)) - total * wrong
    true_variance = add(true * (everything - true))
    predicted_variance = add(predicted * (wide(add(predicted)) - predicted))
    one_class = (true_variance <= 0) | (predicted_variance <= 0)
    # in float32's range up to 4e9 predictions
    square = jnp.where(one_class, 1, true_variance * predicted_variance)
    return jnp.where(one_class, 0, divide(covariance, square))
