"""Confusion counts against scikit-learn, exactly."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, matthews_corrcoef

from geneb_kernels.confusion import confusion_counts, confusion_from_logits, mcc, mosaic_gpu
from geneb_kernels.confusion.config import ConfusionConfig
from tests.kernels.simulator import lowered, simulate
from tests.tolerances import limit


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


def logits(n: int, lanes: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits with ties, true classes, and which rows count; the last lane predicts a single class."""
    rng = np.random.default_rng(n)
    Z = rng.normal(size=(lanes, n, 1 if k == 2 else k)).round(1).astype(np.float32)
    Z[-1] = 0
    return Z, rng.integers(k, size=n).astype(np.int32), rng.random((lanes, n)) < 0.7


def check(found: tuple[np.ndarray, np.ndarray], Z: np.ndarray, truth: np.ndarray, keep: np.ndarray, k: int) -> None:
    tables, scores = found
    assert tables.dtype == np.int32
    for table, score, z, kept in zip(tables, scores, Z, keep, strict=True):
        predicted = (z[:, 0] > 0).astype(int) if k == 2 else z.argmax(axis=1)
        assert np.array_equal(table, confusion_matrix(truth[kept], predicted[kept], labels=np.arange(k)))
        expected = matthews_corrcoef(truth[kept], predicted[kept])
        np.testing.assert_allclose(score, expected, atol=limit("float32", "score"))
    assert scores[-1] == 0


@pytest.mark.parametrize("k", [2, 5])
def test_tables_and_scores_from_logits(k: int) -> None:
    Z, truth, keep = logits(301, 3, k)
    check(jax.jit(confusion_from_logits, static_argnums=3)(Z, truth, keep, k), Z, truth, keep, k)


@pytest.mark.parametrize(("n", "lanes", "k"), [(70, 2, 2), (67, 2, 5)])
def test_the_kernel_in_the_simulator(n: int, lanes: int, k: int) -> None:
    Z, truth, keep = logits(n, lanes, k)
    run = partial(mosaic_gpu.confusion_from_logits, k=k, config=ConfusionConfig(stages=1))
    check(simulate(run, Z, truth, keep), Z, truth, keep, k)


@pytest.mark.parametrize("k", [64])
def test_the_kernel_is_a_program_for_hopper(k: int) -> None:
    assert "mosaic_gpu" in lowered(partial(mosaic_gpu.confusion_from_logits, k=k), *logits(300, 2, k))


def test_what_the_kernel_does_not_take_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="of 64 classes"):
        mosaic_gpu.confusion_from_logits(*logits(3, 1, 65), 65)
    with pytest.raises(ValueError, match="1 to 8"):
        ConfusionConfig(stages=0)
    with pytest.raises(ValueError, match="do not fit"):
        confusion_from_logits(*logits(3, 1, 4), 5)


@pytest.mark.parametrize("n", [1_000, 30_000, 2_000_000])
def test_the_score_of_a_rare_class_keeps_its_digits_in_float32(n: int) -> None:
    table = np.array([[n, 3], [5, 4]])
    a, b, c, d = (int(x) for x in table.ravel())
    exact = (a * d - b * c) / np.sqrt(float((a + b) * (c + d)) * float((a + c) * (b + d)))
    np.testing.assert_allclose(mcc(jnp.asarray(table, jnp.float32)), exact, rtol=1e-6)
