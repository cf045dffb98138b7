"""Counts, means and scatter of the classes of a whole training split: all that ridge, LDA, centroids and Bayes see.

Everything is in float64 and in shifted coordinates x - origin, where origin is the mean of the rows, so that a mean far
larger than the spread costs no digits. One pass over the rows class by class serves every penalty and shrinkage.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import NumpyBool, NumpyFloat, NumpyInt
from geneb_kernels.precision import HIGHEST

EPS = float(np.finfo(np.float64).eps)
BLOCK_NUMBERS = 1 << 22
"""Numbers of X that are held in float64 at a time, 32 MiB."""


class Shrunk(NamedTuple):
    """Ledoit-Wolf covariance Σ πₖ·[(1 - sₖ)·covₖ + sₖ·μₖ·diag(scaleₖ²)], as scikit-learn's LDA defines it.

    `full` (d, d) is the first part; the second is diag(varied) + diag(constant), where `constant` stands for features
    that do not vary in a class, whose scale is one in whatever coordinates the probe is fitted in.
    """

    full: NumpyFloat
    varied: NumpyFloat
    constant: NumpyFloat


class Moments(NamedTuple):
    """counts (k,), means (k, d), variances (k, d) and their sum of scatters within (d, d), None where not asked for.

    origin (d,) is what was subtracted; mean (d,) and variance (d,) are those of all rows, in shifted coordinates.
    """

    origin: NumpyFloat
    counts: NumpyInt
    means: NumpyFloat
    variances: NumpyFloat
    mean: NumpyFloat
    variance: NumpyFloat
    within: NumpyFloat | None
    shrunk: Shrunk | None

    @property
    def rows(self) -> int:
        """Training rows."""
        return int(self.counts.sum())

    @property
    def scatter(self) -> NumpyFloat:
        """Scatter of all rows about their mean (d, d): `within` the classes, which must be there, and between them."""
        assert self.within is not None
        apart = self.means - self.mean
        return np.asarray(self.within + apart.T @ (self.counts[:, None] * apart))

    @property
    def scale(self) -> NumpyFloat:
        """Standard deviation of each feature, one where it is constant: scikit-learn's StandardScaler."""
        return scale_of(self.variance, np.abs(self.mean) + np.abs(self.origin), self.rows)


def constant_features(variance: NumpyFloat, size: NumpyFloat, rows: int) -> NumpyBool:
    """Which features vary by no more than the rounding of numbers of this size: scikit-learn's rule, with the shift."""
    return np.asarray(variance <= rows * EPS * variance + (rows * size * EPS) ** 2)


def scale_of(variance: NumpyFloat, size: NumpyFloat, rows: int) -> NumpyFloat:
    """The divisor that standardises each feature."""
    return np.where(constant_features(variance, size, rows), 1.0, np.sqrt(variance))


def gram(X: NumpyFloat) -> NumpyFloat:
    """XᵀX (d, d) in float64."""
    if jax.default_backend() == "cpu":
        return X.T @ X  # BLAS computes one triangle only
    device = jnp.asarray(X)
    return np.asarray(jnp.matmul(device.T, device, precision=HIGHEST))


def class_moments(X: NumpyFloat, index: NumpyInt, k: int, *, within: bool, shrunk: bool) -> Moments:
    """The moments of rows X (n, d) with class numbers index (n,), every class present; under x64."""
    n, d = X.shape
    origin = np.asarray(np.mean(X, axis=0, dtype=np.float64))
    counts = np.bincount(index, minlength=k)
    means, variances = np.zeros((k, d)), np.zeros((k, d))
    scatter = np.zeros((d, d)) if within else None
    parts = Shrunk(np.zeros((d, d)), np.zeros(d), np.zeros(d)) if shrunk else None
    step = max(1, BLOCK_NUMBERS // d)
    for g in range(k):
        rows = np.flatnonzero(index == g)
        blocks = [rows[i : i + step] for i in range(0, len(rows), step)]
        means[g] = sum((X[block] - origin).sum(axis=0) for block in blocks) / len(rows)
        middle = means[g] + origin
        own = np.zeros((d, d)) if len(blocks) > 1 and (within or shrunk) else None
        for block in blocks:
            centred = X[block] - middle
            variances[g] += np.einsum("nd,nd->d", centred, centred)
            if within or shrunk:
                own = gram(centred) if own is None else own + gram(centred)
        variances[g] /= len(rows)
        if scatter is not None and own is not None:
            scatter += own
        if parts is not None and own is not None:
            size = np.abs(means[g]) + np.abs(origin)
            scale = scale_of(variances[g], size, len(rows))
            fourth = sum(float(np.square(np.square((X[b] - middle) / scale).sum(axis=1)).sum()) for b in blocks)
            s, mu = ledoit_wolf(own / np.multiply.outer(scale, scale), fourth, len(rows))
            share = len(rows) / n
            parts.full[...] += share * (1 - s) / len(rows) * own
            still = constant_features(variances[g], size, len(rows))
            parts.varied[...] += np.where(still, 0, share * s * mu * scale**2)
            parts.constant[...] += np.where(still, share * s * mu, 0)
    mean = counts @ means / n
    variance = counts @ (variances + (means - mean) ** 2) / n
    return Moments(origin, counts, means, variances, mean, variance, scatter, parts)


def ledoit_wolf(scatter: NumpyFloat, fourth: float, n: int) -> tuple[float, float]:
    """Shrinkage and trace / d of n centred rows, from XᵀX (d, d) and Σᵢ ‖xᵢ‖⁴: scikit-learn's ledoit_wolf_shrinkage."""
    d = len(scatter)
    mu = float(np.trace(scatter)) / n / d
    if d == 1:
        return 0.0, mu
    squares = float(np.vdot(scatter, scatter)) / n**2
    beta = (fourth / n - squares) / (d * n)
    delta = (squares - d * mu**2) / d
    beta = min(beta, delta)
    return (0.0 if beta == 0 else beta / delta), mu
