"""Weighted Gram matrices against NumPy, on both sides of every block size."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_kernels.gram import mosaic_gpu, weighted_gram, weighted_gram_host
from geneb_kernels.gram.config import GramConfig
from tests.kernels.simulator import lowered, simulate
from tests.tolerances import limit

SHAPES = [(1, 1), (3, 7), (129, 65), (8192, 5), (8193, 5), (9000, 3), (16384, 2), (37, 513), (8192, 514)]
# what blocks are made depends on the shape alone, so one shape of each branch is enough in float64
CASES = [*((*shape, "float32") for shape in SHAPES), (129, 65, "float64"), (37, 513, "float64")]


@pytest.mark.parametrize(("n", "d", "dtype"), CASES)
def test_equals_numpy(n: int, d: int, dtype: str) -> None:
    rng = np.random.default_rng(n + d)
    X = (rng.normal(size=(n, d)) + 1).astype(dtype)
    w = rng.uniform(0, 2, size=n).astype(dtype)
    w[rng.integers(n, size=n // 3)] = 0
    with jax.enable_x64(dtype == "float64"):
        G = np.asarray(jax.jit(weighted_gram)(jnp.asarray(X), jnp.asarray(w)))
    X, w = X.astype(np.float64), w.astype(np.float64)
    norm = np.sqrt(w @ (X * X))
    assert G.dtype == dtype
    assert np.array_equal(G, G.T)
    assert (np.abs(G - (X * w[:, None]).T @ X) <= limit(dtype, "product") * np.outer(norm, norm)).all()


def test_vmapped_over_weights() -> None:
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(129, 5)).astype(np.float32), rng.uniform(size=(3, 129)).astype(np.float32)
    G = np.asarray(jax.vmap(weighted_gram, in_axes=(None, 0))(jnp.asarray(X), jnp.asarray(w)))
    for i in range(3):
        np.testing.assert_allclose(G[i], (X * w[i][:, None]).T @ X, atol=1e-4)


@pytest.mark.parametrize(("X", "w"), [((3, 2), (2,)), ((3,), (3,)), ((3, 2), (3, 1)), ((3, 2), (1, 1, 3))])
def test_shapes_that_do_not_fit_are_refused(X: tuple[int, ...], w: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(n, d\)"):
        weighted_gram(jnp.zeros(X), jnp.zeros(w))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", ["alike", "own", "gaps"])
def test_the_hosts_gram_is_the_reference(kind: str, threads: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4100, 20)).astype(np.float32)
    w = np.full(4100, 0.7, np.float32) if kind == "alike" else rng.uniform(0, 2, 4100).astype(np.float32)
    if kind == "gaps":
        w[::3] = 0
    w[4000:] = 0
    found = weighted_gram_host(X, w, threads)
    wide = X.astype(np.float64)
    np.testing.assert_allclose(found, wide.T @ (w[:, None] * wide), rtol=1e-5, atol=1e-3)
    assert np.array_equal(found, found.T)


def test_the_hosts_gram_of_no_weight_is_zero() -> None:
    assert not weighted_gram_host(np.ones((5, 3), np.float32), np.zeros(5, np.float32)).any()


def badly_scaled(n: int, d: int, lanes: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns over eight powers of ten, where bfloat16 or tf32 operands would show, and weights for each lane."""
    rng = np.random.default_rng(n + d)
    X = (rng.normal(size=(n, d)) + 1) * 10.0 ** rng.uniform(-4, 4, d)
    return X.astype(np.float32), rng.uniform(0, 2, (lanes, n)).astype(np.float32)


def check_grams(G: np.ndarray, X: np.ndarray, W: np.ndarray) -> None:
    X, W = X.astype(np.float64), W.astype(np.float64)
    assert G.shape == (len(W), X.shape[1], X.shape[1])
    assert np.array_equal(G, np.swapaxes(G, 1, 2))
    for found, w in zip(G, W, strict=True):
        norm = np.sqrt(w @ (X * X))
        assert (np.abs(found - (X * w[:, None]).T @ X) <= limit("float32", "product") * np.outer(norm, norm)).all()


def test_many_weight_vectors_at_once() -> None:
    X, W = badly_scaled(129, 37, 3)
    check_grams(np.asarray(jax.jit(weighted_gram)(X, W)), X, W)


@pytest.mark.parametrize(("n", "d", "lanes", "dtype"), [(67, 70, 2, "float32"), (5, 3, 1, "bfloat16")])
def test_the_kernel_in_the_simulator(n: int, d: int, lanes: int, dtype: str) -> None:
    X, W = badly_scaled(n, d, lanes)
    X = np.asarray(jnp.asarray(X, dtype))
    check_grams(simulate(mosaic_gpu.weighted_grams, X, W), X, W)


@pytest.mark.parametrize(("dtype", "tile"), [("float32", 128)])
def test_the_kernel_is_a_program_for_hopper(dtype: str, tile: int) -> None:
    X, W = badly_scaled(300, 257, 2)
    program = lowered(
        lambda X, W: mosaic_gpu.weighted_grams(X, W, GramConfig(tile, stages=1)), jnp.asarray(X, dtype), W
    )
    assert "mosaic_gpu" in program


@pytest.mark.parametrize("tiles", [1, 2, 5, 8])
def test_the_folded_triangle_holds_each_tile_once(tiles: int) -> None:
    folds, places = mosaic_gpu.fold_shape(tiles)
    found = [mosaic_gpu.unfold(f, p, tiles) for f in range(folds) for p in range(places)]
    assert sorted((int(i), int(j)) for i, j in found) == [(i, j) for i in range(tiles) for j in range(i, tiles)]


def test_what_the_kernel_does_not_take_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="not float16"):
        mosaic_gpu.weighted_grams(jnp.ones((3, 2), jnp.float16), jnp.ones((1, 3)))
    with pytest.raises(ValueError, match="do not fit"):
        GramConfig(tile=128, stages=2)
