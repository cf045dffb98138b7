"""Linear probes on a whole training split, from its moments: ridge, LDA, nearest centroid; and naive Bayes.

All answers are coefficients W (d, o) and intercepts b (o,) in the shifted coordinates of the moments, o = 1 for two
classes and k beyond; those of naive Bayes stand for features (x², x), W (2d, o).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Float, NumpyFloat
from geneb_jax.probes.heads.moments import EPS, Moments
from geneb_jax.probes.heads.specs import GnbSpec, LdaSpec, RidgeSpec

Head = tuple[NumpyFloat, NumpyFloat]


def columns(per_class: NumpyFloat) -> NumpyFloat:
    """The outputs (…, o) of class columns (…, k): their difference for two classes, else themselves."""
    return per_class[..., 1:] - per_class[..., :1] if per_class.shape[-1] == 2 else per_class


def ridge(m: Moments, specs: Sequence[RidgeSpec]) -> list[Head]:
    """One factorisation a penalty of the centred scatter, which comes from within and between the classes."""
    scatter, apart = m.scatter, m.means - m.mean
    share = m.counts / m.rows
    # Xcᵀy for targets 1 in the class and -1 elsewhere
    right, level = 2 * m.counts * apart.T, 2 * share - 1
    if len(share) == 2:
        right, level = right[:, 1:], level[1:]
    found = []
    for spec in specs:
        scale = m.scale if spec.standardize else np.ones_like(m.mean)
        solved = _solve(jnp.asarray(scatter / np.multiply.outer(scale, scale)), right / scale[:, None], spec.alpha)
        W = np.asarray(solved) / scale[:, None]
        found.append((W, level - m.mean @ W))
    return found


def lda(m: Moments, specs: Sequence[LdaSpec]) -> list[Head]:
    """Σ⁻¹ times the class means, with the shrunk covariance Σ."""
    scale, found = m.scale, []
    for spec in specs:
        s = scale if spec.standardize else np.ones_like(scale)
        if spec.shrinkage == "auto":
            assert m.shrunk is not None
            sigma = m.shrunk.full + np.diag(m.shrunk.varied + m.shrunk.constant * s**2)
        else:
            assert m.within is not None
            variance = np.diag(m.within) / m.rows
            level = np.mean(variance / s**2)
            sigma = (1 - spec.shrinkage) * m.within / m.rows + np.diag(spec.shrinkage * level * s**2)
        # without any spread inside the classes the limit of Σ → 0·I: the nearest centroid
        if not sigma.any():
            sigma = np.diag(s**2)
        # scaled to unit diagonal, so that rounding is relative to each feature
        size = np.sqrt(np.maximum(np.diag(sigma), EPS * np.diag(sigma).max()))
        solved = _solve(jnp.asarray(sigma / np.multiply.outer(size, size)), m.means.T / size[:, None], 100 * EPS)
        per_class = np.asarray(solved) / size[:, None]
        level_of = -0.5 * np.einsum("kd,dk->k", m.means, per_class) + np.log(m.counts / m.rows)
        found.append((columns(per_class), columns(level_of)))
    return found


def centroid(m: Moments, standardize: bool) -> Head:
    """‖x - μ‖² less ‖x‖² is linear in x."""
    scale = m.scale if standardize else np.ones_like(m.mean)
    means = (m.means - m.mean) / scale
    per_class = means.T / scale[:, None]
    level = -0.5 * np.einsum("kd,kd->k", means, means) - m.mean @ per_class
    return columns(per_class), columns(level)


def bayes(m: Moments, specs: Sequence[GnbSpec]) -> list[Head]:
    """The joint log likelihood as a linear function of (x², x)."""
    found = []
    for spec in specs:
        scale = m.scale if spec.standardize else np.ones_like(m.mean)
        floor = spec.var_smoothing * float(np.max(m.variance / scale**2)) * scale**2
        W, b = _bayes(jnp.asarray(m.means), jnp.asarray(m.variances + floor), jnp.asarray(m.counts / m.rows))
        found.append((columns(np.asarray(W)), columns(np.asarray(b))))
    return found


@jax.jit
def _bayes(
    means: Float[Array, "k d"], variances: Float[Array, "k d"], share: Float[Array, " k"]
) -> tuple[Float[Array, "e k"], Float[Array, " k"]]:
    """log πₖ - ½ Σ [log 2πσ² + (x - μ)² / σ²] as weights of (x², x) and a constant; the scale of x cancels."""
    sharp = 1 / variances
    W = jnp.concatenate([-0.5 * sharp, means * sharp], axis=1).T
    b = jnp.log(share) - 0.5 * jnp.sum(jnp.log(2 * jnp.pi * variances) + means**2 * sharp, axis=1)
    return W, b


@jax.jit
def _solve(A: Float[Array, "d d"], B: Float[Array, "d o"], alpha: float | Float[Array, ""]) -> Float[Array, "d o"]:
    factor = jax.scipy.linalg.cho_factor(A + alpha * jnp.eye(A.shape[0], dtype=A.dtype), lower=True)
    return jax.scipy.linalg.cho_solve(factor, B)
