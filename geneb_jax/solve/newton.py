"""Exact damped Newton for one probe: each system is factored, then refined; batch it over lanes with vmap.

The reference beside Newton-CG, and the quicker of the two where the systems are small. Same problem, same steps along
the direction, same stop rule; only the direction differs. docs/newton.md derives what follows.

- Primal: for two classes H = Xᵀ D X + Π is factored. For k > 2, H = blockdiag(A_c) - U Uᵀ with
  A_c = Xᵀ diag(w p_c) X + Π and the n columns U_c = Xᵀ diag(√w p_c): either H is factored whole, (k·q)², or the k
  blocks and the n×n matrix I - Uᵀ A⁻¹ U are (Woodbury's identity, as in Rasmussen, Williams 2006, algorithm 3.3).
- Dual, for fewer rows than columns: the rows' own coordinates, Π^-½ Xᵀ = Q R, turn the problem into one of n columns
  Rᵀ with penalty 1, which the primal form solves. Q is orthonormal whatever the rows, so nothing is approximated.

Every inverse is applied as Rᵀ R, so it is positive definite in any precision, and conjugate gradients on H itself make
up for its rounding and jitter: duplicated columns, weak penalties, the softmax's free constant. They take one or two
steps. Only the last column, the intercept's, may be unpenalised.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Float
from geneb_jax.solve.newton_cg import Problem, State, preconditioned_step
from geneb_jax.solve.precondition import inverse_factor
from geneb_kernels.gram import weighted_gram
from geneb_kernels.precision import HIGHEST
from geneb_kernels.products import times, times_transposed

Form = Literal["primal", "dual"]

FORCING = 1e-7
"""Fall of the preconditioned residual at which a direction counts as exact: its decrement is right to 1e-14."""

MAX_REFINEMENTS = 60
"""Steps of refinement after which a direction is taken as it is; only badly conditioned systems come near."""


def newton_form(n: int, q: int) -> Form:
    """Dual where the rows span less than the q columns, of which the last is the intercept's."""
    return "dual" if n < q - 1 else "primal"


def dense_flops(n: int, q: int, o: int) -> int:
    """Operations of a primal step with H whole: Gram blocks on and above the diagonal; factor and invert (o·q)²."""
    return n * q**2 * o * (o + 1) + (o * q) ** 3


def woodbury_flops(n: int, q: int, o: int) -> int:
    """Operations of a primal step by blocks: o Gram matrices and inverses of q, their n×n image, one inverse of n."""
    return o * (4 * n * q**2 + q**3 + 2 * n**2 * q) + n**3


def uses_woodbury(n: int, q: int, o: int) -> bool:
    """Whether a primal step couples the classes through n×n instead of factoring the whole Hessian."""
    return o > 1 and woodbury_flops(n, q, o) < dense_flops(n, q, o)


def inverse_root(M: Float[Array, "m m"]) -> Float[Array, "m m"]:
    """R with Rᵀ R = M⁻¹, taken after M's rows are brought to one size, so that jitter is small beside each of them."""
    size = jnp.diag(M)
    scale = jnp.where(size > 0, jax.lax.rsqrt(jnp.where(size > 0, size, 1)), 1)
    return inverse_factor(scale[:, None] * M * scale) * scale


def _apply_root(root: Float[Array, "m m"], V: Float[Array, "m o"]) -> Float[Array, "m o"]:
    return jnp.matmul(root.T, jnp.matmul(root, V, precision=HIGHEST), precision=HIGHEST)


def _zero_sum(V: Float[Array, "d o"]) -> Float[Array, "d o"]:
    """The part of V in the columns that sum to zero: H keeps it there, and the softmax's optimum lies there."""
    return V - jnp.mean(V, axis=1, keepdims=True)


def _binary_inverse(problem: Problem, P: Float[Array, "n 1"]) -> Callable[[Array], Array]:
    curvature = problem.weights * P[:, 0] * (1 - P[:, 0])
    root = inverse_root(weighted_gram(problem.X, curvature) + jnp.diag(problem.penalty))
    return lambda R: _apply_root(root, R)


def _dense_inverse(problem: Problem, P: Float[Array, "n k"]) -> Callable[[Array], Array]:
    """H⁻¹ for k > 2 from the factor of the whole Hessian."""
    q, k = problem.X.shape[1], P.shape[1]
    rows, columns = np.triu_indices(k)
    same = jnp.asarray(rows == columns, P.dtype)

    def block(item: tuple[Array, Array, Array]) -> Array:
        a, b, equal = item
        return weighted_gram(problem.X, problem.weights * a * (equal - b))

    # one after the other, so that the scratch is one block's
    upper = jax.lax.map(block, (P.T[rows], P.T[columns], same))
    place = np.zeros((k, k), np.int64)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    H = upper[place] + jnp.eye(k, dtype=P.dtype)[:, :, None, None] * jnp.diag(problem.penalty)
    # on columns equal in all classes H is Π alone, nothing for the intercept. No direction has such a part, so any
    # curvature may stand there: the size of the blocks' own
    H = H + jnp.diag(jnp.einsum("ccjj->j", H) / k**2)
    root = inverse_root(H.transpose(0, 2, 1, 3).reshape(k * q, k * q))

    def apply(R: Array) -> Array:
        flat = _apply_root(root, _zero_sum(R).T.reshape(k * q, 1))
        return _zero_sum(flat.reshape(k, q).T)

    return apply


def _woodbury_inverse(problem: Problem, P: Float[Array, "n k"]) -> Callable[[Array], Array]:
    """H⁻¹ = A⁻¹ + A⁻¹ U S⁻¹ Uᵀ A⁻¹ for k > 2, with S = I - Uᵀ A⁻¹ U."""
    X, w = problem.X, problem.weights
    n, dtype = X.shape[0], P.dtype
    thin = jnp.sqrt(w)[:, None] * P

    def add(image: Array, item: tuple[Array, Array]) -> tuple[Array, Array]:
        curvature, u = item
        root = inverse_root(weighted_gram(X, curvature) + jnp.diag(problem.penalty))
        T = jnp.matmul(root, (X * u[:, None]).T, precision=HIGHEST)
        return image + jnp.matmul(T.T, T, precision=HIGHEST), root

    image, roots = jax.lax.scan(add, jnp.zeros((n, n), dtype), ((w[:, None] * P).T, thin.T))
    # with a free intercept √w is S's null vector. It moves only the constant over classes, which is projected out, so
    # it may be given any curvature; the same goes for what a weak penalty leaves nearly null, whence the jitter
    null = jnp.sqrt(w)
    free = jnp.where(problem.penalty[-1] == 0, 1 / jnp.maximum(jnp.sum(w), np.finfo(dtype).tiny), 0)
    jitter = 8 * n * np.finfo(dtype).eps
    couple = inverse_root((1 + jitter) * jnp.eye(n, dtype=dtype) - image + free * jnp.outer(null, null))

    def blocks(R: Array) -> Array:
        half = jnp.einsum("kij,jk->ki", roots, R, precision=HIGHEST)
        return jnp.einsum("kij,ki->jk", roots, half, precision=HIGHEST)

    def apply(R: Array) -> Array:
        V = blocks(_zero_sum(R))
        s = _apply_root(couple, jnp.sum(thin * times(X, V), axis=1, keepdims=True))
        return _zero_sum(V + blocks(times_transposed(X, thin * s)))

    return apply


def _inverse(problem: Problem, P: Float[Array, "n o"]) -> Callable[[Array], Array]:
    """H⁻¹ at the probabilities P, applied to (q, o): exact up to rounding."""
    n, q, o = *problem.X.shape, P.shape[1]
    if o == 1:
        return _binary_inverse(problem, P)
    return _woodbury_inverse(problem, P) if uses_woodbury(n, q, o) else _dense_inverse(problem, P)


def newton_step(problem: Problem, state: State, tolerance: Float[Array, ""]) -> State:
    """One exact primal Newton step; sets ``running`` to 0 and the status when there is nothing left to do."""
    return preconditioned_step(problem, state, tolerance, partial(_inverse, problem), FORCING, MAX_REFINEMENTS)


def solve_exact(
    problem: Problem, state: State, *, tolerance: Float[Array, ""], max_steps: int, form: Form | None = None
) -> State:
    """Run Newton steps until the lane is done or has taken `max_steps` in all; `state` as in `newton_cg.solve`.

    `form` is chosen by the shapes unless given. The dual form needs W in the rows' span, where W = 0 and whatever it
    returns itself are; its ``grad_norm`` is that of the gradient in the span's coordinates.
    """

    def go(s: State) -> Array:
        return (s.running == 1) & (s.num_steps < max_steps)

    def run(problem: Problem, state: State) -> State:
        return jax.lax.while_loop(go, lambda s: newton_step(problem, s, tolerance), state)

    if (form or newton_form(*problem.X.shape)) == "primal":
        return run(problem, state)
    size = jax.lax.rsqrt(problem.penalty[:-1])[:, None]
    Q, R = jnp.linalg.qr(size * problem.X[:, :-1].T)
    inside = problem._replace(
        X=jnp.concatenate([R.T, problem.X[:, -1:]], axis=1),
        penalty=jnp.concatenate([jnp.ones(R.shape[0], R.dtype), problem.penalty[-1:]]),
    )
    V = jnp.matmul(Q.T, state.W[:-1] / size, precision=HIGHEST)
    solved = run(inside, state._replace(W=jnp.concatenate([V, state.W[-1:]])))
    W = size * jnp.matmul(Q, solved.W[:-1], precision=HIGHEST)
    return solved._replace(W=jnp.concatenate([W, solved.W[-1:]]))
