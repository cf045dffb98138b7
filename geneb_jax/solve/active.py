"""Newton-CG for few rows: a preconditioner rebuilt at every step from the rows that still matter.

For n rows the Hessian's block of class c is H_c = diag(π) + Xᵀ diag(s_c) X with s_c = w·p_c(1 - p_c). Once a fit
separates most rows, s_c is nearly zero on all but a few, so H_c is well approximated from the `rows` rows A with the
largest s_c. With B = diag(β), β = π made positive, and K = X B⁻¹ Xᵀ (n, n), which never changes, the Woodbury identity

    M_c⁻¹ = B⁻¹ - B⁻¹ X_Aᵀ S^½ (I + S^½ K_AA S^½)⁻¹ S^½ X_A B⁻¹

needs one small Cholesky factor per class, of a block of K, whose smallest eigenvalue is at least 1. With all rows it is
the exact inverse for two classes: a Newton method in the dual (Rasmussen & Williams 2006, section 3.4.3). The coupling
between classes is left to the conjugate gradients.

On 200 rows of 20 classes (k-mer counts) half of the rows give 53 iterations in all, a quarter 72 and an eighth 102,
against 27 with all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Float, Int
from geneb_jax.solve.newton_cg import (
    FORCING,
    Inner,
    Problem,
    State,
    follow,
    gradient,
    newton_direction,
)
from geneb_kernels.precision import HIGHEST
from geneb_kernels.products import times, times_transposed

ALL_ROWS = 64
"""Up to this many rows the preconditioner is built from all of them."""

INTERCEPT_RIDGE = 1e-5
SMALL_RIDGE = 0.1
"""What stands for the intercept's missing penalty in B, as a share of the total weight: well below the curvature that
is left at the optimum, or the intercept's directions cost extra iterations (1e-3: 140 in place of 75). Up to `ALL_ROWS`
rows iterations are cheap, and a larger one keeps the ties of symmetric draws exact, which 1/β ≫ K would round off."""


class Kernel(NamedTuple):
    """K (n, n) = X diag(1/β) Xᵀ and β (d,)."""

    K: Float[Array, "n n"]
    beta: Float[Array, " d"]


def kernel(X: Float[Array, "n d"], penalty: Float[Array, " d"], total_weight: Float[Array, ""]) -> Kernel:
    """The kernel of one lane."""
    share = SMALL_RIDGE if X.shape[0] <= ALL_ROWS else INTERCEPT_RIDGE
    ridge = jnp.maximum(share * total_weight, np.finfo(X.dtype).tiny)
    beta = jnp.where(penalty > 0, penalty, ridge)
    K = jnp.matmul(X / beta, X.T, precision=HIGHEST)
    return Kernel(0.5 * (K + K.T), beta)


def active_preconditioner(
    X: Float[Array, "n d"], kernel: Kernel, curvature: Float[Array, "o n"], rows: int
) -> Callable[[Array], Array]:
    """R (d, o) to M⁻¹ R; `curvature` holds s_c for every column. Two products with X and small blocks."""
    n = X.shape[0]
    K, beta = kernel.K, kernel.beta[:, None]
    if rows < n:
        # single precision decides as well which rows come first, and has a fast selection
        index = jax.lax.top_k(curvature.astype(jnp.float32), rows)[1]
        blocks = jax.vmap(lambda i: K[i[:, None], i[None, :]])(index)
        root = jnp.sqrt(jnp.take_along_axis(curvature, index, axis=1))
    else:
        index, blocks, root = None, K[None], jnp.sqrt(curvature)
    eye = jnp.eye(rows if rows < n else n, dtype=X.dtype)
    L = jnp.linalg.cholesky(eye + root[:, :, None] * blocks * root[:, None, :])
    half = jax.lax.linalg.triangular_solve(L, jnp.broadcast_to(eye, L.shape), left_side=True, lower=True)

    def apply(R: Float[Array, "d o"]) -> Float[Array, "d o"]:
        V = R / beta
        U = times(X, V).T
        u = root * (U if index is None else jnp.take_along_axis(U, index, axis=1))
        v = jnp.einsum("oij,oj->oi", half, u, precision=HIGHEST)
        v = root * jnp.einsum("oji,oj->oi", half, v, precision=HIGHEST)
        if index is not None:
            v = jnp.zeros_like(U).at[jnp.arange(len(v))[:, None], index].set(v, unique_indices=True)
        out = V - times_transposed(X, v.T) / beta
        # the optimum's columns sum to zero, as in `newton_cg.precondition`
        return out if out.shape[1] == 1 else out - jnp.mean(out, axis=1, keepdims=True)

    return apply


def _direction(
    problem: Problem,
    kernel: Kernel,
    grad: Float[Array, "d o"],
    P: Float[Array, "n o"],
    max_inner: int,
    rows: int,
) -> Inner:
    curvature = (problem.weights[:, None] * P * (1 - P)).T
    apply = active_preconditioner(problem.X, kernel, curvature, rows)
    return newton_direction(problem, apply, grad, P, jnp.asarray(FORCING, grad.dtype), max_inner)


def outer_step(
    problem: Problem,
    kernel: Kernel,
    single: tuple[Problem, Kernel] | None,
    state: State,
    tolerance: Float[Array, ""],
    max_inner: int,
    rows: int,
) -> State:
    """One Newton step. `single`: the same problem in float32, in which the direction is then found.

    A direction good to a few percent is all a step needs; gradient, logits and everything kept stay in the
    precision of `problem`, so nothing of the answer's precision is lost.
    """
    grad, P = gradient(problem, state)
    if single is None:
        inner = _direction(problem, kernel, grad, P, max_inner, rows)
        delta, U = inner.delta, inner.U
    else:
        size = jnp.maximum(jnp.max(jnp.abs(grad)), np.finfo(grad.dtype).tiny)
        low = jnp.float32
        inner = _direction(*single, (grad / size).astype(low), P.astype(low), max_inner, rows)
        delta = inner.delta.astype(grad.dtype) * size
        U = times(problem.X, delta)
    return follow(
        problem,
        state,
        grad,
        delta,
        U,
        tolerance,
        sound=jnp.isfinite(inner.rho),
        # rounding may cost Woodbury's difference its sign: such a direction is short, and must not look like arrival
        settled=inner.rho >= -FORCING * jnp.abs(inner.rho0),
        passes=4 * inner.products + 2,
    )


def solve(
    problem: Problem,
    kernel: Kernel,
    state: State,
    *,
    tolerance: Float[Array, ""],
    max_steps: Int[Array, ""],
    max_inner: int,
    rows: int,
    mixed: bool,
) -> State:
    """Run outer steps until the lane is done or has taken `max_steps` in all.

    rows: how many rows the preconditioner is built from. mixed: find directions in float32 (`outer_step`).
    """
    single = None
    if mixed:
        single = jax.tree.map(lambda A: A.astype(jnp.float32), (problem, kernel))

    def go(s: State) -> Array:
        return (s.running == 1) & (s.num_steps < max_steps)

    def step(s: State) -> State:
        return outer_step(problem, kernel, single, s, tolerance, max_inner, rows)

    return jax.lax.while_loop(go, step, state)
