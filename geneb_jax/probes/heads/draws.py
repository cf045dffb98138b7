"""Linear probes and naive Bayes on many few-shot draws at once: vmapped over draws, penalties and outputs, in float64.

A draw has few rows, so every fit is solved through inner products of its rows (n, n). Rows are in shifted coordinates
x - origin. Answers: W (p, c, d, o) and b (p, c, o) in the coordinates of the rows given; c counts specifications.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from geneb_jax.axes import Array, Bool, Float, Int
from geneb_jax.probes.heads.line import step_length
from geneb_jax.probes.heads.moments import EPS
from geneb_kernels.precision import HIGHEST

Heads = tuple[Float[Array, "p c d o"], Float[Array, "p c o"]]


class Rows(NamedTuple):
    """Rows X (p, n, d) of p draws as a probe sees them, their classes H (n, k) one-hot (the same in every draw).

    X is (x - origin - shift) / scale with shift (p, d) and scale (p, d); `raw` (d,) is what takes X back to where the
    probe's own origin lies: X + raw.
    """

    X: Float[Array, "p n d"]
    H: Float[Array, "n k"]
    shift: Float[Array, "p d"]
    scale: Float[Array, "p d"]
    raw: Float[Array, " d"]


@partial(jax.jit, static_argnames=("k", "standardize"))
def prepare(
    X: Float[Array, "p n d"], index: Int[Array, " n"], k: int, origin: Float[Array, " d"], standardize: bool
) -> Rows:
    """Rows of draws in shifted coordinates as a probe sees them: standardised by their own mean and spread, or not."""
    p, n, d = X.shape
    H = jax.nn.one_hot(index, k, dtype=X.dtype)
    if not standardize:
        return Rows(X, H, jnp.zeros((p, d), X.dtype), jnp.ones((p, d), X.dtype), origin)
    mean = jnp.mean(X, axis=1)
    variance = jnp.mean((X - mean[:, None]) ** 2, axis=1)
    constant = _still(variance, jnp.abs(mean) + jnp.abs(origin), n)
    scale = jnp.where(constant, 1, jnp.sqrt(variance))
    # exactly zero, or rounding would look like a spread later on
    X = jnp.where(constant[:, None], 0, (X - mean[:, None]) / scale[:, None])
    return Rows(X, H, mean, scale, jnp.zeros_like(origin))


def _still(variance: Array, size: Array, rows: Array | int) -> Array:
    """Which features vary by no more than the rounding of numbers of this size: scikit-learn's rule, with the shift."""
    return variance <= rows * EPS * variance + (rows * size * EPS) ** 2


def back(rows: Rows, W: Float[Array, "p c d o"], b: Float[Array, "p c o"]) -> Heads:
    """From the probe's coordinates to shifted ones."""
    W = W / rows.scale[:, None, :, None]
    return W, b - jnp.einsum("pd,pcdo->pco", rows.shift, W, precision=HIGHEST)


def _outputs(per_class: Float[Array, "... k"]) -> Float[Array, "... o"]:
    return per_class[..., 1:] - per_class[..., :1] if per_class.shape[-1] == 2 else per_class


def _signs(H: Float[Array, "n k"]) -> Float[Array, "n o"]:
    return 2 * (H[:, 1:] if H.shape[1] == 2 else H) - 1


@jax.jit
def ridge(rows: Rows, alphas: Float[Array, " c"]) -> Heads:
    """(Xc Xcᵀ + αI)⁻¹ applied to centred targets."""
    Y = _signs(rows.H)
    level = jnp.mean(Y, axis=0)

    def one(X: Float[Array, "n d"]) -> tuple[Float[Array, "c d o"], Float[Array, "c o"]]:
        mean = jnp.mean(X, axis=0)
        Xc = X - mean
        K = jnp.matmul(Xc, Xc.T, precision=HIGHEST)

        def penalty(alpha: Float[Array, ""]) -> Float[Array, "n o"]:
            factor = jax.scipy.linalg.cho_factor(K + alpha * jnp.eye(len(K), dtype=K.dtype), lower=True)
            return jax.scipy.linalg.cho_solve(factor, Y - level)

        W = jnp.einsum("nd,cno->cdo", Xc, jax.vmap(penalty)(alphas), precision=HIGHEST)
        return W, level - jnp.einsum("d,cdo->co", mean, W, precision=HIGHEST)

    return back(rows, *jax.vmap(one)(rows.X))


@jax.jit
def centroid(rows: Rows) -> Heads:
    """‖x - μ‖² less ‖x‖² is linear in x."""
    means = jnp.einsum("nk,pnd->pdk", rows.H / jnp.sum(rows.H, axis=0), rows.X, precision=HIGHEST)
    W, b = _outputs(means), _outputs(-0.5 * jnp.sum(means**2, axis=1))
    return back(rows, W[:, None], b[:, None])


@jax.jit
def lda(rows: Rows, shrinkage: Float[Array, " c"]) -> Heads:
    """Σ = RᵀR + diag(D), with R the centred rows and their weights, solved through (n, n); negative: Ledoit-Wolf."""
    H, counts = rows.H, jnp.sum(rows.H, axis=0)
    share = counts / len(H)
    row_count = H @ counts

    def one(X: Float[Array, "n d"]) -> tuple[Float[Array, "c d o"], Float[Array, "c o"]]:
        d = X.shape[1]
        means = jnp.matmul((H / counts).T, X, precision=HIGHEST)
        Xc = X - H @ means
        variances = jnp.matmul((H / counts).T, Xc**2, precision=HIGHEST)
        still = _still(variances, jnp.abs(means) + jnp.abs(rows.raw), counts[:, None])
        scale = jnp.where(still, 1, jnp.sqrt(variances))
        # Ledoit and Wolf, class by class, on standardised rows; sums of squared products from the (n, n) side
        S = Xc / (H @ scale)
        inner = jnp.matmul(S, S.T, precision=HIGHEST)
        mu = (H.T @ jnp.diagonal(inner)) / counts / d
        squares = jnp.diagonal(H.T @ inner**2 @ H) / counts**2
        fourth = H.T @ jnp.diagonal(inner) ** 2
        delta = (squares - d * mu**2) / d
        beta = jnp.minimum((fourth / counts - squares) / (d * counts), delta)
        auto = jnp.where((beta == 0) | (d == 1), 0, beta / jnp.where(beta == 0, 1, delta))
        within = share @ variances

        def solve(s: Float[Array, ""]) -> tuple[Float[Array, "d k"], Float[Array, " k"]]:
            own = jnp.where(s < 0, auto, s)
            wolf = (share * auto * mu) @ jnp.where(still, 1.0, variances)
            D = jnp.where(s < 0, wolf, s * jnp.mean(within))
            # a floor that matters only where nothing was shrunk; without any spread the limit is the nearest centroid
            D = jnp.maximum(D, 1e-12 * jnp.mean(within))
            D = jnp.where(jnp.all(within == 0), 1.0, D)
            R = Xc * jnp.sqrt((1 - H @ own) * (H @ share) / row_count)[:, None]
            A = means.T / D[:, None]
            small = jnp.eye(len(R), dtype=R.dtype) + jnp.matmul(R / D, R.T, precision=HIGHEST)
            factor = jax.scipy.linalg.cho_factor(small, lower=True)
            solved = jax.scipy.linalg.cho_solve(factor, jnp.matmul(R, A, precision=HIGHEST))
            per_class = A - jnp.matmul((R / D).T, solved, precision=HIGHEST)
            return per_class, -0.5 * jnp.einsum("kd,dk->k", means, per_class, precision=HIGHEST) + jnp.log(share)

        W, b = jax.vmap(solve)(shrinkage)
        return _outputs(W), _outputs(b)

    return back(rows, *jax.vmap(one)(rows.X))


@jax.jit
def bayes(rows: Rows, smoothing: Float[Array, " c"]) -> Heads:
    """The joint log likelihood as weights (p, c, 2d, o) of (x², x) in shifted coordinates."""
    H = rows.H / jnp.sum(rows.H, axis=0)
    # back to shifted coordinates, in which one table of test features serves all draws
    X = rows.X * rows.scale[:, None] + rows.shift[:, None]
    means = jnp.einsum("nk,pnd->pkd", H, X, precision=HIGHEST)
    left = X - jnp.einsum("nk,pkd->pnd", rows.H, means, precision=HIGHEST)
    variances = jnp.einsum("nk,pnd->pkd", H, left**2, precision=HIGHEST)
    largest = jnp.max(jnp.var(rows.X, axis=1), axis=1)
    # where no feature varies at all any variance serves: the smallest, as the nearest centroid
    largest = jnp.where(largest == 0, 1.0, largest)
    floor = jnp.einsum("c,p,pd->pcd", smoothing, largest, rows.scale**2)
    sharp = 1 / (variances[:, None] + floor[:, :, None])
    mean = means[:, None]
    W = jnp.swapaxes(jnp.concatenate([-0.5 * sharp, mean * sharp], axis=-1), -1, -2)
    b = -0.5 * jnp.sum(mean**2 * sharp - jnp.log(sharp), axis=-1)
    return _outputs(W), _outputs(b + jnp.log(jnp.mean(rows.H, axis=0)))


class Machines(NamedTuple):
    """Support vector machines (p, c, …): coefficients, Newton steps taken, whether the optimum was reached, F at it."""

    heads: Heads
    steps: Int[Array, "p c"]
    converged: Bool[Array, "p c"]
    objective: Float[Array, "p c"]
    gap: Float[Array, "p c"]


def svm(rows: Rows, C: Float[Array, " c"], max_steps: int) -> Machines:
    """Newton's method on the rows inside the margin, exact once the set of them stays the same.

    The loop sees products of rows only: vectors of another width find it compiled.
    """
    alpha, steps, done, value, gap = _duals(_products(rows), _signs(rows.H), C, max_steps)
    return Machines(_from_duals(rows, alpha), steps, done, value, gap / value)


@jax.jit
def _products(rows: Rows) -> Float[Array, "p n n"]:
    raw = rows.X + rows.raw
    return jnp.einsum("pnd,pmd->pnm", raw, raw, precision=HIGHEST) + 1  # the constant feature is one like the others


@partial(jax.jit, static_argnames="max_steps")
def _duals(
    K: Float[Array, "p n n"], Y: Float[Array, "n o"], C: Float[Array, " c"], max_steps: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Of all draws the weights of rows α (p, c, o, n), and what `Machines` says of their fits, each (p, c)."""

    def one(K: Float[Array, "n n"]) -> tuple[Array, Array, Array, Array, Array]:
        solve = jax.vmap(jax.vmap(partial(_dual, K, max_steps=max_steps), (1, None)), (None, 0))
        alpha, steps, done, value, gap = solve(Y, C)
        return alpha, jnp.max(steps, axis=1), jnp.all(done, axis=1), jnp.sum(value, axis=1), jnp.sum(gap, axis=1)

    return jax.vmap(one)(K)


@jax.jit
def _from_duals(rows: Rows, alpha: Float[Array, "p c o n"]) -> Heads:
    W = jnp.einsum("pnd,pcon->pcdo", rows.X + rows.raw, alpha, precision=HIGHEST)
    return back(rows, W, jnp.sum(alpha, axis=3) + jnp.einsum("d,pcdo->pco", rows.raw, W, precision=HIGHEST))


def _dual(
    K: Float[Array, "n n"], y: Float[Array, " n"], C: Float[Array, ""], max_steps: int
) -> tuple[Float[Array, " n"], Int[Array, ""], Bool[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """min ½ αᵀKα + C Σ max(0, 1 - y·Kα)² over w = Σ αᵢ xᵢ; returns α, steps, converged, F, its estimated excess."""

    def slope_at(t: Array, a: Array, z: Array, step: Array, dz: Array) -> Array:
        """F's derivative along the step, at a share t of it."""
        return jnp.dot(dz, a + t * step) - 2 * C * jnp.sum(y * dz * jnp.maximum(0, 1 - y * (z + t * dz)))

    def body(state: Any) -> Any:
        a, z, count, _, _ = state
        inside = (y * z < 1).astype(K.dtype)
        M = K * inside[:, None] * inside + jnp.diag(jnp.where(inside > 0, 0.5 / C, 1))
        target = jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(M, lower=True), inside * y)
        step = target - a
        dz = jnp.matmul(K, step, precision=HIGHEST)
        none = jnp.zeros((), K.dtype)
        t = step_length(jax.vmap(lambda t: slope_at(t, a, z, step, dz)), none)
        gap = -0.5 * slope_at(none, a, z, step, dz)
        # recomputed, so that rounding does not pile up
        a = a + t * step
        z = jnp.matmul(K, a, precision=HIGHEST)
        same = (t == 1) & jnp.all((y * z < 1) == (inside > 0))
        return a, z, count + 1, same | (gap <= 1e-14 * value(a, z)), gap

    def value(a: Array, z: Array) -> Array:
        return 0.5 * jnp.dot(a, z) + C * jnp.sum(jnp.maximum(0, 1 - y * z) ** 2)

    zero = jnp.zeros_like(y)
    start = (zero, zero, jnp.asarray(0), jnp.asarray(False), jnp.asarray(jnp.inf, K.dtype))
    a, z, count, done, gap = jax.lax.while_loop(lambda s: (s[2] < max_steps) & ~s[3], body, start)
    # once the set stays the same the answer is exact but for rounding
    return a, count, done, value(a, z), jnp.where(done, jnp.minimum(gap, EPS * value(a, z)), gap)
