"""Linear support vector machines on a whole training split: Newton's method whose steps conjugate gradients solve.

One matrix on the device serves all classes; the preconditioner of a penalty is P + 2·C·f·XᵀX from the moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from geneb_jax.axes import Array, Bool, Float, Int, NumpyFloat, NumpyInt
from geneb_jax.probes.design import build_design
from geneb_jax.probes.heads.full import Head
from geneb_jax.probes.heads.line import step_length
from geneb_jax.probes.heads.moments import Moments
from geneb_jax.probes.heads.specs import SvmSpec
from geneb_jax.probes.spec import Dtype
from geneb_kernels.precision import HIGHEST

INSIDE = 0.7
"""Share of the rows that the preconditioner supposes inside the margin."""

CG_STEPS = 200


class Fit(NamedTuple):
    """One machine: its head in shifted coordinates, Newton steps, whether it reached the optimum, F and its excess."""

    head: Head
    steps: int
    converged: bool
    objective: float
    gap: float


class _Problem(NamedTuple):
    """X (n, q) centred and scaled with a column of ones, Y (n, o) signs (0 on padding), and the penalty of its weights.

    The penalty is ½ Σ diag·u² + ½ (a·u)²: weights are scaled, and the penalised intercept is that at the raw origin.
    """

    X: Float[Array, "n q"]
    Y: Float[Array, "n o"]
    diag: Float[Array, " q"]
    a: Float[Array, " q"]


def fit_svm(X: NumpyFloat, index: NumpyInt, m: Moments, specs: Sequence[SvmSpec], dtype: Dtype) -> list[Fit]:
    """Fit on rows X (n, d); specifications share X on the device, and each starts at the next smaller C's optimum."""
    design = build_design(X, np.dtype(dtype), centre=True, intercept=True)
    shift, scale = np.asarray(design.shift, np.float64), np.asarray(design.scale, np.float64)
    k = len(m.counts)
    hot = np.zeros((*design.X.shape[:1], k), dtype)
    hot[: len(X)] = -1
    hot[np.arange(len(X)), index] = 1
    Y = jnp.asarray(hot[:, 1:] if k == 2 else hot)
    scatter = m.scatter / np.multiply.outer(scale, scale)
    found: dict[int, Fit] = {}
    for standardize in sorted({spec.standardize for spec in specs}):
        # standardised features are the design's own coordinates, but for how constant ones are told
        own = m.scale if standardize else np.ones_like(scale)
        offset = np.zeros_like(shift) if standardize else shift
        diag = np.append((own / scale) ** 2, 0.0)
        a = np.append(-offset / scale, 1.0)
        problem = _Problem(design.X, Y, jnp.asarray(diag, dtype), jnp.asarray(a, dtype))
        U = jnp.zeros((len(a), Y.shape[1]), dtype)
        places = [i for i, spec in enumerate(specs) if spec.standardize == standardize]
        for i in sorted(places, key=lambda i: specs[i].C):
            spec = specs[i]
            inverse = _preconditioner(scatter, diag, a, len(X), spec.C)
            tolerance = 1e-12 if dtype == "float64" else 1e-9
            U, steps, done, value, gap = _newton(
                problem, jnp.asarray(inverse, dtype), U, jnp.asarray(spec.C, dtype), spec.max_steps, tolerance
            )
            u = np.asarray(U, np.float64)
            W = u[:-1] / scale[:, None]
            b = u[-1] - (shift - m.origin) @ W
            found[i] = Fit((W, b), int(steps), bool(done), float(value), float(gap))
    return [found[i] for i in range(len(specs))]


def _preconditioner(scatter: NumpyFloat, diag: NumpyFloat, a: NumpyFloat, n: int, C: float) -> NumpyFloat:
    """(P + 2·C·f·X̃ᵀX̃)⁻¹ in float64."""
    M = np.diag(diag) + np.multiply.outer(a, a)
    M[:-1, :-1] += 2 * C * INSIDE * scatter
    M[-1, -1] += 2 * C * INSIDE * n
    size = np.sqrt(np.diag(M))
    M /= np.multiply.outer(size, size)
    M[np.diag_indices_from(M)] += 1e-10
    inverse = scipy.linalg.cho_solve(scipy.linalg.cho_factor(M, lower=True), np.eye(len(M)))
    return np.asarray(inverse / np.multiply.outer(size, size))


@partial(jax.jit, static_argnames=("max_steps", "tolerance"))
def _newton(
    problem: _Problem,
    inverse: Float[Array, "q q"],
    U: Float[Array, "q o"],
    C: Float[Array, ""],
    max_steps: int,
    tolerance: float,
) -> tuple[Float[Array, "q o"], Int[Array, ""], Bool[Array, ""], Float[Array, ""], Float[Array, ""]]:
    X, Y, diag, a = problem

    def times(A: Array, B: Array) -> Array:
        return jnp.matmul(A, B, precision=HIGHEST)

    def penalty(V: Array) -> Array:
        return diag[:, None] * V + a[:, None] * times(a, V)

    def value(U: Array, Z: Array) -> Array:
        loss = C * jnp.sum((Y != 0) * jnp.maximum(0, 1 - Y * Z) ** 2, axis=0)
        return 0.5 * jnp.sum(U * penalty(U), axis=0) + loss

    def solve(inside: Array, G: Array) -> Array:
        """H D = -G, each output until its residual is small beside its gradient."""

        def product(V: Array) -> Array:
            return penalty(V) + 2 * C * times(X.T, inside * times(X, V))

        def body(state: Any) -> Any:
            D, R, P, rz, i = state
            HP = product(P)
            curve = jnp.sum(P * HP, axis=0)
            t = jnp.where(curve > 0, rz / jnp.where(curve > 0, curve, 1), 0)
            D, R = D + t * P, R - t * HP
            new = times(inverse, R)
            rz_new = jnp.sum(R * new, axis=0)
            P = new + jnp.where(rz > 0, rz_new / jnp.where(rz > 0, rz, 1), 0) * P
            return D, R, P, rz_new, i + 1

        first = times(inverse, -G)
        start = jnp.sum(-G * first, axis=0)
        goal = 1e-4 * start  # of squared norms
        go = lambda s: (s[4] < CG_STEPS) & jnp.any(s[3] > goal)  # noqa: E731
        D, *_ = jax.lax.while_loop(go, body, (jnp.zeros_like(G), -G, first, start, jnp.asarray(0)))
        return jnp.asarray(D)

    def body(state: Any) -> Any:
        U, count, _, _, _ = state
        Z = times(X, U)
        left = (Y != 0) * jnp.maximum(0, 1 - Y * Z)
        G = penalty(U) - 2 * C * times(X.T, Y * left)
        D = solve((left > 0).astype(X.dtype), G)
        dZ = times(X, D)
        PD, PU = penalty(D), penalty(U)
        along, curve = jnp.sum(D * PU, axis=0), jnp.sum(D * PD, axis=0)

        def slope(t: Array) -> Array:
            inner = (Y != 0) * jnp.maximum(0, 1 - Y * (Z + t * dZ))
            return along + t * curve - 2 * C * jnp.sum(Y * dZ * inner, axis=0)

        t = step_length(partial(jax.lax.map, slope), jnp.zeros_like(along))
        # half the Newton decrement estimates how far F is above its minimum
        gap = jnp.maximum(-0.5 * jnp.sum(D * G, axis=0), 0)
        total = jnp.sum(value(U, Z))
        relative = jnp.sum(gap) / total
        return U + t * D, count + 1, relative <= tolerance, total, relative

    inf = jnp.asarray(jnp.inf, X.dtype)
    go = lambda s: (s[1] < max_steps) & ~s[2]  # noqa: E731
    U, count, done, total, gap = jax.lax.while_loop(go, body, (U, jnp.asarray(0), jnp.asarray(False), inf, inf))
    return U, count, done, total, gap
