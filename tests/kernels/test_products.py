"""Products with X against NumPy in float64, alone and under vmap, in every form that is chosen by shape."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from geneb_kernels.products import times, times_transposed

SHAPES = [(7, 5), (64, 40), (1024, 512), (1056, 520), (1536, 513), (1025, 600)]


def matrices(n: int, d: int, *lead: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n * d)
    X = rng.normal(size=(n, d)).astype(np.float32)
    return X, rng.normal(size=(*lead, d, 3)).astype(np.float32), rng.normal(size=(*lead, n, 3)).astype(np.float32)


def close(got: jax.Array, X: np.ndarray, expected: np.ndarray) -> None:
    assert got.shape == expected.shape
    np.testing.assert_allclose(np.asarray(got), expected, atol=1e-6 * X.shape[0] ** 0.5 * 4, rtol=1e-5)


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_against_numpy(n: int, d: int, columns: int) -> None:
    X, V, R = matrices(n, d)
    exact = X.astype(np.float64)
    close(jax.jit(times)(X, V[:, :columns]), X, exact @ V[:, :columns])
    close(jax.jit(times_transposed)(X, R[:, :columns]), X, exact.T @ R[:, :columns])


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize(("n", "d"), [(64, 40), (1024, 513)])
def test_lanes_that_share_rows_are_columns_of_one_product(n: int, d: int, lanes: int) -> None:
    X, V, R = matrices(n, d, lanes)
    exact = X.astype(np.float64)
    close(jax.jit(jax.vmap(times, (None, 0)))(X, V), X, exact @ V)
    close(jax.jit(jax.vmap(times_transposed, (None, 0)))(X, R), X, exact.T @ R)
    lowered = str(jax.make_jaxpr(jax.vmap(times, (None, 0)))(X, V))
    assert lowered.count("dot_general") == 1
    assert f"f32[{n},{3 * lanes}]" in lowered


def test_lanes_with_rows_of_their_own() -> None:
    X, V, R = (np.stack([A, 2 * A]) for A in matrices(40, 30))
    exact = X.astype(np.float64)
    close(jax.jit(jax.vmap(times))(X, V), X[0], exact @ V)
    close(jax.jit(jax.vmap(times_transposed))(X, R), X[0], np.swapaxes(exact, 1, 2) @ R)
