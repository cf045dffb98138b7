"""Entry points of the products with X; under vmap, lanes that share X become columns of one product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from geneb_kernels.precision import HIGHEST
from geneb_kernels.products import xla

_Product = Callable[[jax.Array, jax.Array], jax.Array]


def _with_lanes_as_columns(product: _Product, plain: _Product) -> _Product:
    """`product` (X, A) of matrices, with a batching rule for a shared X; `plain` serves lanes with X of their own."""
    wrapped = jax.custom_batching.custom_vmap(product)

    @wrapped.def_vmap
    def rule(size: int, batched: list[bool], X: jax.Array, A: jax.Array) -> tuple[Any, bool]:
        shared, each = not batched[0], batched[1]
        if not shared:
            return jax.vmap(plain, in_axes=(0, 0 if each else None))(X, A), True
        if not each:
            return wrapped(X, A), False
        columns = jnp.moveaxis(A, 0, 1).reshape(A.shape[1], -1)
        out = wrapped(X, columns)
        return jnp.moveaxis(out.reshape(out.shape[0], size, -1), 1, 0), True

    return wrapped


def _plain_transposed(X: jax.Array, R: jax.Array) -> jax.Array:
    return jnp.matmul(R.T, X, precision=HIGHEST).T


_times = _with_lanes_as_columns(xla.times, xla.times)
_times_transposed = _with_lanes_as_columns(xla.times_transposed, _plain_transposed)


def times(X: jax.Array, V: jax.Array) -> jax.Array:
    """X V, (n, c), of X (n, d) and V (d, c)."""
    return _times(X, V)


def times_transposed(X: jax.Array, R: jax.Array) -> jax.Array:
    """Xᵀ R, (d, c), of X (n, d) and R (n, c), from row-major X."""
    return _times_transposed(X, R)
