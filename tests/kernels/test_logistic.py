"""Residuals and losses straight from X: XLA against the float64 reference, the Hopper kernel in the simulator."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.linear.reference import losses_and_residuals
from geneb_kernels.logistic import mosaic_gpu, residuals_and_losses
from geneb_kernels.logistic.config import LogisticConfig
from tests.kernels.simulator import lowered, simulate
from tests.tolerances import limit

compiled = jax.jit(residuals_and_losses)

Problem = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def problem(n: int, d: int, lanes: int, classes: int, *, decades: float = 8, dtype: str = "float32") -> Problem:
    """X with columns over `decades` powers of ten, V that gives logits of some units, labels, and row weights."""
    rng = np.random.default_rng(n + d)
    outputs = 1 if classes == 2 else classes
    scale = 10.0 ** rng.uniform(-decades / 2, decades / 2, d)
    X = (rng.normal(size=(n, d)) * scale).astype(dtype)
    V = (3 * rng.normal(size=(lanes, d, outputs)) / scale[:, None] / np.sqrt(d)).astype(np.float32)
    W = rng.uniform(0, 2, (lanes, n)).astype(np.float32)
    W[:, ::5] = 0
    return X, V, rng.integers(classes, size=n).astype(np.int32), W


def check(found: tuple[np.ndarray, np.ndarray], given_: Problem, dtype: str = "float32") -> None:
    X, V, labels, W = (np.asarray(a, np.float64) for a in given_)
    residuals, losses = found
    outputs = V.shape[2]
    targets = labels[:, None] if outputs == 1 else np.eye(outputs)[labels.astype(int)]
    for lane, weight in enumerate(W):
        loss, residual = losses_and_residuals(X @ V[lane], targets)
        spread = (np.abs(X) @ np.abs(V[lane])).max()  # rounding of a logit, and so of p, grows with its summands
        assert np.abs(residuals[:, lane] - weight[:, None] * residual).max() <= limit(dtype, "product") * spread
        np.testing.assert_allclose(losses[lane], weight @ loss, rtol=limit(dtype, "product") * spread)


@pytest.mark.parametrize("classes", [2, 5])
def test_xla_against_the_reference(classes: int) -> None:
    given_ = problem(130, 37, 3, classes)
    check(compiled(*given_), given_)


@settings(max_examples=30, deadline=None)
@given(margin=st.floats(-80, 80), classes=st.sampled_from([2, 3]), right=st.booleans())
def test_a_nearly_certain_class_keeps_its_digits(margin: float, classes: int, right: bool) -> None:
    X, W, label = np.ones((1, 1), np.float32), np.ones((1, 1), np.float32), np.array([int(right)], np.int32)
    outputs = 1 if classes == 2 else classes
    V = np.zeros((1, 1, outputs), np.float32)
    V[0, 0, -1 if outputs == 1 else 1] = margin
    residuals, losses = compiled(X, V, label, W)
    target = np.array([[float(right)]]) if outputs == 1 else np.eye(outputs)[label]
    loss, residual = losses_and_residuals(V[0].astype(np.float64), target)
    np.testing.assert_allclose(losses, loss, rtol=2e-6, atol=1e-37)
    np.testing.assert_allclose(residuals[:, 0], residual, rtol=2e-5, atol=1e-34)


def test_the_kernels_own_logarithm_keeps_its_digits() -> None:
    x = np.logspace(-30, 3, 100, dtype=np.float32)
    np.testing.assert_allclose(mosaic_gpu.log1p(jnp.asarray(x)), np.log1p(x.astype(np.float64)), rtol=1e-6)


@pytest.mark.parametrize(
    ("n", "d", "lanes", "classes", "dtype"), [(70, 67, 3, 2, "float32"), (3, 131, 3, 17, "bfloat16")]
)
def test_the_kernel_in_the_simulator(n: int, d: int, lanes: int, classes: int, dtype: str) -> None:
    X, *rest = problem(n, d, lanes, classes)
    given_ = np.asarray(jnp.asarray(X, dtype)), *rest
    check(simulate(mosaic_gpu.residuals_and_losses, *given_), given_)


@pytest.mark.parametrize(("classes", "dtype"), [(2, "bfloat16"), (41, "float32")])
def test_the_kernel_is_a_program_for_hopper(classes: int, dtype: str) -> None:
    X, *rest = problem(130, 129, 3, classes)
    run = partial(mosaic_gpu.residuals_and_losses, config=LogisticConfig(columns=128))
    assert "mosaic_gpu" in lowered(run, jnp.asarray(X, dtype), *rest)


def test_what_the_kernel_does_not_take_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="300 classes do not fit"):
        mosaic_gpu.residuals_and_losses(*problem(3, 2, 1, 300))
    with pytest.raises(NotImplementedError, match="float32 or bfloat16, not float16"):
        mosaic_gpu.residuals_and_losses(*problem(3, 2, 1, 2, dtype="float16"))
    with pytest.raises(ValueError, match="must be 64"):
        LogisticConfig(columns=65)
    X, V, labels, W = problem(3, 2, 1, 2)
    with pytest.raises(ValueError, match="do not fit"):
        residuals_and_losses(X, V, labels[1:], W)
