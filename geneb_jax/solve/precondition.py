"""Preconditioners of Newton-CG: Cholesky factors of C·Xᵀ diag(s) X + diag(π) for row curvatures s."""

from __future__ import annotations

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


def uniform_factor(
    G: Float[Array, "d d"], C: Float[Array, ""], penalty: Float[Array, " d"], k: int
) -> Float[Array, "d d"]:
    """Factor at W = 0 from the Gram matrix G = Xᵀ diag(w) X, which all lanes that share X and w reuse."""
    return inverse_factor(C * uniform_curvature(k) * G + jnp.diag(penalty))


def refreshed_factor(
    X: Float[Array, "n d"],
    weights: Float[Array, " n"],
    penalty: Float[Array, " d"],
    P: Float[Array, "n o"],
    *,
    per_class: bool,
) -> Float[Array, "*k d d"]:
    """Factor at the probabilities P: exact for two classes.

    For k > 2 either the k diagonal blocks of the Hessian (k Gram matrices), or one block for all classes with the
    rows' mean curvature (1 - Σ p²)/(k - 1).
    """
    k = P.shape[1]
    if k == 1:
        return inverse_factor(weighted_gram(X, weights * P[:, 0] * (1 - P[:, 0])) + jnp.diag(penalty))
    if not per_class:
        s = weights * (1 - jnp.sum(P * P, axis=1)) / (k - 1)
        return inverse_factor(weighted_gram(X, s) + jnp.diag(penalty))

    def one(p: Float[Array, " n"]) -> Float[Array, "d d"]:
        return inverse_factor(weighted_gram(X, weights * p * (1 - p)) + jnp.diag(penalty))

    return jax.lax.map(one, P.T)
