"""Confusion counts against scikit-learn, exactly."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from geneb_kernels.confusion import confusion_counts


@pytest.mark.parametrize(("n", "k"), [(2, 2), (7, 3), (1001, 5), (70_001, 41)])
def test_equals_scikit_learn(n: int, k: int) -> None:
    rng = np.random.default_rng(n)
    truth, predicted, keep = rng.integers(k, size=n), rng.integers(k, size=n), rng.random(n) < 0.7
    keep[:2], truth[:2] = True, [0, 1]  # scikit-learn warns of a single label
    counted = np.asarray(
        jax.jit(confusion_counts, static_argnums=3)(jnp.asarray(truth), jnp.asarray(predicted), jnp.asarray(keep), k)
    )
    assert counted.dtype == np.int32
    assert np.array_equal(counted, confusion_matrix(truth[keep], predicted[keep], labels=np.arange(k)))


def test_vmapped_over_lanes_and_nothing_kept() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(3, size=50), rng.integers(3, size=(4, 50))
    keep = np.ones((4, 50), bool)
    keep[2] = False
    counted = np.asarray(
        jax.vmap(lambda p, k: confusion_counts(jnp.asarray(truth), p, k, 3))(jnp.asarray(predicted), jnp.asarray(keep))
    )
    for i in (0, 1, 3):
        assert np.array_equal(counted[i], confusion_matrix(truth, predicted[i]))
    assert not counted[2].any()


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        confusion_counts(jnp.zeros(3, int), jnp.zeros(4, int), jnp.ones(3, bool), 2)
