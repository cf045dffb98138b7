"""The objective as the solvers see it, against the NumPy reference and against automatic differentiation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax.linear import reference
from geneb_jax.linear.objective import curvature_product, probabilities, residuals, row_losses
from tests.tolerances import limit


def logits(o: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(o)
    Z = (rng.normal(size=(33, o)) * 4).astype(dtype)
    y = rng.integers(max(o, 2), size=33)
    return Z, reference.one_hot(y, np.arange(max(o, 2))).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("o", [1, 3])
def test_losses_gradients_and_curvatures(o: int, dtype: str) -> None:
    Z, Y = logits(o, dtype)
    U = np.random.default_rng(9).normal(size=Z.shape).astype(dtype)
    eye, zero = np.eye(o), np.zeros(o)
    tol = limit(dtype, "product")

    @jax.jit
    def everything(Z: jax.Array, Y: jax.Array, U: jax.Array) -> tuple[jax.Array, ...]:
        slope, by_jvp = jax.jvp(jax.grad(lambda z: jnp.sum(row_losses(z, Y))), (Z,), (U,))
        P = probabilities(Z)
        return row_losses(Z, Y), P, slope, by_jvp, curvature_product(P, U)

    with jax.enable_x64(dtype == "float64"):
        losses, P, slope, by_jvp, product = (np.asarray(a) for a in everything(Z, Y, U))
    for i in range(len(Z)):
        value = reference.objective(eye, zero, Z[i : i + 1], Y[i : i + 1], 1.0, penalty=zero)[0]
        assert losses[i] == pytest.approx(value, rel=tol, abs=tol)
    np.testing.assert_allclose(P - Y, slope, atol=tol)
    np.testing.assert_allclose(product, by_jvp, atol=tol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("o", [1, 3])
def test_the_loss_of_a_nearly_certain_class_keeps_its_digits(o: int, dtype: str) -> None:
    Z, Y = logits(o, dtype)
    Z += (20 * (2 * Y - 1)).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        losses = np.asarray(jax.jit(row_losses)(Z, Y))
    exact, _ = reference.losses_and_residuals(Z.astype(np.float64), Y.astype(np.float64))
    # relative to the loss, not to 1: only the rounding of a logit of 20 or so is left
    np.testing.assert_allclose(losses, exact, rtol=40 * limit(dtype, "product") / 64)


@pytest.mark.parametrize("o", [1, 3])
def test_no_logit_overflows(o: int) -> None:
    Z = np.full((2, o), 1e30, np.float32)
    Z[1] = -1e30
    Z[:, 0] *= -1
    Y = np.ones((2, 1), np.float32) if o == 1 else np.eye(3, dtype=np.float32)[[0, 1]]
    found = jax.jit(lambda Z, Y: (row_losses(Z, Y), curvature_product(probabilities(Z), Z)))(Z, Y)
    losses, curved = (np.asarray(a) for a in found)
    assert np.isfinite(losses).all()
    assert (losses >= 0).all()
    assert not curved.any()


@pytest.mark.parametrize("o", [1, 3])
def test_the_residual_of_a_nearly_certain_class_keeps_its_digits(o: int) -> None:
    rng = np.random.default_rng(o)
    Z = rng.normal(size=(64, o)) * 12
    y = (Z[:, 0] > 0).astype(int) if o == 1 else Z.argmax(axis=1)
    y[::8] = (y[::8] + 1) % max(o, 2)
    Y = y[:, None].astype(float) if o == 1 else np.eye(o)[y]
    with jax.enable_x64(True):
        exact = np.asarray(residuals(jnp.asarray(Z), jnp.asarray(Y)))
        plain = np.asarray(probabilities(jnp.asarray(Z))) - Y
    assert np.abs(exact - plain).max() < 1e-15
    # the same logits in both precisions: only the arithmetic differs
    Z32 = Z.astype(np.float32)
    with jax.enable_x64(True):
        exact = np.asarray(residuals(jnp.asarray(Z32, jnp.float64), jnp.asarray(Y)))
    rounded = np.asarray(residuals(jnp.asarray(Z32), jnp.asarray(Y, jnp.float32)))
    assert np.abs(rounded / exact - 1).max() < 1e-5
