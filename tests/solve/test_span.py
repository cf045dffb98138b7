"""Coordinates in the span of the rows: the same logits, the same norm."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from geneb_jax.solve.span import from_span, span
from tests.tolerances import limit

SHAPE = (8, 24)


def rows(kind: str) -> np.ndarray:
    X = np.random.default_rng(0).normal(size=SHAPE)
    if kind == "centred":
        X -= X.mean(axis=0)
    elif kind == "repeated":
        X[5] = X[2]
        X[6] = X[2]
    elif kind == "padded":
        X[4:] = 0
    elif kind == "tiny":
        X *= 1e-9
    elif kind == "mixed":
        X *= np.logspace(-4, 4, 24)
    elif kind == "zero":
        X[:] = 0
    return X


@pytest.mark.parametrize("kind", ["plain", "centred", "repeated", "padded", "tiny", "mixed", "zero"])
def test_logits_and_norms_are_kept(kind: str) -> None:
    X = rows(kind)
    with jax.enable_x64(True):
        L = span(jnp.asarray(X))
        V = np.random.default_rng(1).normal(size=(8, 3))
        W = np.asarray(from_span(L, jnp.asarray(X), jnp.asarray(V)))
    features = np.asarray(L)
    assert features.shape == (8, 8)
    assert W.shape == (24, 3)
    tol = limit("float64", "span")
    size = max(np.sqrt((X**2).sum(axis=1).max()), 1e-100)
    # X W = L V for every V, to the resolution of the largest row
    np.testing.assert_allclose(X @ W, features @ V, atol=tol * size * np.abs(V).sum())
    # the penalty is never larger than in full coordinates, and the same on directions that the rows do span
    assert (np.linalg.norm(W, axis=0) <= np.linalg.norm(V, axis=0) * (1 + tol)).all()
    if kind in ("plain", "tiny", "mixed"):
        np.testing.assert_allclose(np.linalg.norm(W, axis=0), np.linalg.norm(V, axis=0), rtol=tol)


def test_optimum_lies_in_the_span() -> None:
    """The minimal-norm interpolation of targets is the same in both coordinates."""
    X, t = rows("plain"), np.random.default_rng(2).normal(size=8)
    with jax.enable_x64(True):
        L = span(jnp.asarray(X))
        inside = np.asarray(from_span(L, jnp.asarray(X), jnp.asarray(np.linalg.solve(L, t)[:, None])))[:, 0]
    np.testing.assert_allclose(inside, np.linalg.lstsq(X, t, rcond=None)[0], rtol=1e-8)
