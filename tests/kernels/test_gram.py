"""Weighted Gram matrices against NumPy, on both sides of every block size."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_kernels.gram import weighted_gram, weighted_gram_host
from tests.tolerances import limit

SHAPES = [(1, 1), (3, 7), (129, 65), (8192, 5), (8193, 5), (9000, 3), (16384, 2), (37, 513), (8192, 514)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "d"), SHAPES, ids=[f"{n}x{d}" for n, d in SHAPES])
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


@pytest.mark.parametrize(("X", "w"), [((3, 2), (2,)), ((3,), (3,)), ((3, 2), (3, 1))])
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
