"""Preconditioners of Newton-CG: Cholesky factors of C·Xᵀ diag(s) X + diag(π) for row curvatures s."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Float
from geneb_kernels.gram import weighted_gram


def inverse_factor(M: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """L⁻¹ of the Cholesky factor of M, jittered by a few units of the arithmetic's resolution.

    Duplicated columns make M singular to rounding; the jitter bounds what they can do, and a preconditioner need
    not be exact. Where the factorisation still fails, the inverse square root of the diagonal stands in.
    """
    d = M.shape[0]
    eye = jnp.eye(d, dtype=M.dtype)
    jitter = 4 * np.finfo(M.dtype).eps * jnp.trace(M) / d
    L = jnp.linalg.cholesky(M + jitter * eye)
    inverse = jax.scipy.linalg.solve_triangular(L, eye, lower=True)
    fallback = jnp.diag(jax.lax.rsqrt(jnp.maximum(jnp.diag(M) + jitter, np.finfo(M.dtype).tiny)))
    return jnp.where(jnp.all(jnp.isfinite(inverse)), inverse, fallback)


def uniform_curvature(num_classes: int) -> float:
    """Curvature of one row's loss at the uniform prediction: ¼ for two classes, 1/k on the columns summing to zero.

    For two classes ¼ also bounds it everywhere (Böhning 1992).
    """
    return 0.25 if num_classes == 2 else 1.0 / num_classes


def mean_gram(X: Float[Array, "n d"], weights: Float[Array, " n"]) -> Float[Array, "d d"]:
    """Xᵀ diag(w) X / Σw; zero where all weights are."""
    return weighted_gram(X, weights) / jnp.maximum(jnp.sum(weights), np.finfo(X.dtype).tiny)


def uniform_factor(
    G: Float[Array, "d d"], total_weight: Float[Array, ""], penalty: Float[Array, " d"], k: int
) -> Float[Array, "d d"]:
    """Factor at W = 0 from the mean Gram matrix G, which all lanes that share X and w reuse."""
    return inverse_factor(total_weight * uniform_curvature(k) * G + jnp.diag(penalty))


def diagonal_factor(total_weight: Float[Array, ""], penalty: Float[Array, " d"], k: int) -> Float[Array, " d"]:
    """L⁻¹ of the diagonal at W = 0 alone, for columns whose mean square is 1."""
    return jax.lax.rsqrt(jnp.maximum(total_weight * uniform_curvature(k) + penalty, np.finfo(penalty.dtype).tiny))


def class_curvatures(P: Float[Array, "n o"], weights: Float[Array, " n"]) -> Float[Array, "o n"]:
    """Row curvatures of the Hessian's diagonal blocks, w·p(1 - p) for each column: for two classes, the Hessian's."""
    return (weights[:, None] * P * (1 - P)).T


def mean_curvature(P: Float[Array, "n o"], weights: Float[Array, " n"]) -> Float[Array, " n"]:
    """Row curvatures of one block for all classes: exact for two, else w·(1 - Σ p²)/(k - 1)."""
    if P.shape[1] == 1:
        return weights * P[:, 0] * (1 - P[:, 0])
    return weights * (1 - jnp.sum(P * P, axis=1)) / (P.shape[1] - 1)


def active_rows(n: int) -> int:
    """How many rows a refreshed factor is built from.

    A quarter, because most rows of a fit that separates its classes have hardly any curvature: on 8,006 rows of 14
    classes (k-mer counts) a quarter takes the iterations of a fit from 198 to 220 for a quarter of the work; an eighth
    takes them to 350.
    """
    return n if n <= 256 else -(-n // 32) * 8


def refreshed_factor(
    X: Float[Array, "n d"],
    curvatures: Float[Array, "c n"],
    penalty: Float[Array, " d"],
    G: Float[Array, "d d"],
    rows: int,
    total: Callable[[Array], Array] | None = None,
) -> Float[Array, "c d d"]:
    """One factor for each set of row curvatures s: of Xᵀ diag(s) X + diag(π), from the `rows` largest s.

    What the other rows add is taken to be their total curvature times the mean Gram matrix G. Where X is only a part
    of the rows, `total` adds up over the parts; each gives the `rows` largest s of its own.
    """

    def one(s: Float[Array, " n"]) -> Float[Array, "d d"]:
        if rows >= X.shape[0] and total is None:
            return inverse_factor(weighted_gram(X, s) + jnp.diag(penalty))
        # single precision selects rows well enough, and has a fast selection
        index = jax.lax.top_k(s.astype(jnp.float32), rows)[1]
        top = s[index]
        gram, rest = weighted_gram(X[index], top), jnp.sum(s) - jnp.sum(top)
        if total is not None:
            gram, rest = total(gram), total(rest)
        return inverse_factor(gram + jnp.maximum(rest, 0) * G + jnp.diag(penalty))

    return jax.lax.map(one, curvatures)
