"""The design matrix on device: centred, scaled, with a column of ones, padded to a few row counts."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Bool, Float, Int, NumpyBool, NumpyFloat
from geneb_jax.probes.programs import program

ALIGNMENT = 64
"""Bytes; an array that begins at a multiple is taken over by the CPU device as it is."""

BLOCK_NUMBERS = 1 << 17
"""Numbers of X that are worked on at a time, half a megabyte in float32."""


class Design(NamedTuple):
    """X̃ = [(X - shift) / scale, 1] in the coordinates of `geneb_jax.linear.objective`.

    X (n, q), q = d + 1; the last column is zero where there is no intercept. `rows` counts the real rows, the rest
    are zero. shift (d,) and scale (d,) lead back to raw coefficients; `constant` (d,) marks columns that do not vary.
    """

    X: Float[Array, "n q"]
    shift: Float[Array, " d"]
    scale: Float[Array, " d"]
    constant: Bool[Array, " d"]
    rows: int

    @property
    def body(self) -> Float[Array, "n d"]:
        """The columns that stand for features."""
        return self.X[:, :-1]


def padded_rows(n: int) -> int:
    """The next of the row counts 8, 9, … 15 times a power of two, so that few shapes are ever compiled."""
    if n <= 8:
        return 8
    step = 1 << max(0, (n - 1).bit_length() - 4)
    return -(-n // step) * step


def pad(A: NumpyFloat, rows: int) -> NumpyFloat:
    """A (n, …) with zero rows appended up to `rows`."""
    if len(A) == rows:
        return A
    return np.concatenate([A, np.zeros((rows - len(A), *A.shape[1:]), A.dtype)])


@partial(program, static_argnames=("centre", "intercept"))
def _transform(
    X: Float[Array, "n d"], rows: Int[Array, ""], centre: bool, intercept: bool
) -> tuple[Float[Array, "n q"], Float[Array, " d"], Float[Array, " d"], Bool[Array, " d"]]:
    real = (jnp.arange(X.shape[0]) < rows)[:, None]
    count = rows.astype(X.dtype)
    mean = jnp.sum(X, axis=0) / count
    # the second pass corrects what the first one rounded, which matters where a mean is far larger than its spread
    mean = mean + jnp.sum(jnp.where(real, X - mean, 0), axis=0) / count
    shift = mean if centre else jnp.zeros_like(mean)
    body = jnp.where(real, X - shift, 0)
    size = jnp.sqrt(jnp.sum(body * body, axis=0) / count)
    constant = size <= 4 * np.finfo(X.dtype).eps * jnp.abs(mean) if centre else size == 0
    scale = jnp.where(constant, 1, size)
    body = jnp.where(constant, 0, body / scale)
    last = real.astype(X.dtype) if intercept else jnp.zeros((X.shape[0], 1), X.dtype)
    return jnp.concatenate([body, last], axis=1), shift, scale, constant


def build_design(X: NumpyFloat, dtype: np.dtype[Any], *, centre: bool, intercept: bool) -> Design:
    """Put X (n, d) on the device in solver coordinates. A column that does not vary becomes zero.

    Centring is exact with an intercept, which absorbs the shift, and changes the problem without one.
    """
    rows = len(X)
    if jax.default_backend() == "cpu":
        transformed = host_transform(X, padded_rows(rows), dtype, centre=centre, intercept=intercept)
        Xh, shift, scale, constant = jax.device_put(transformed)
        return Design(Xh, shift, scale, constant, rows)
    padded = jax.device_put(pad(np.asarray(X, dtype), padded_rows(rows)))
    Xt, moved, spread, constant_columns = _transform(padded, jax.device_put(np.asarray(rows)), centre, intercept)
    return Design(Xt, moved, spread, constant_columns, rows)


def aligned(rows: int, columns: int, dtype: np.dtype[Any]) -> NumpyFloat:
    """An array, not yet filled, that the CPU device takes over without a copy."""
    size = rows * columns * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(rows, columns)


def host_transform(
    X: NumpyFloat, padded: int, dtype: np.dtype[Any], *, centre: bool, intercept: bool
) -> tuple[NumpyFloat, NumpyFloat, NumpyFloat, NumpyBool]:
    """`_transform` in NumPy, for the CPU device: X̃ (padded, q), shift, scale, constant.

    Blocks that stay in cache, one array beside X itself, sums of blocks in float64, and nothing to compile.
    """
    n, d = X.shape
    out = aligned(padded, d + 1, dtype)
    step = max(16, BLOCK_NUMBERS // (d + 1))
    blocks = [slice(i, min(i + step, n)) for i in range(0, n, step)]
    with np.errstate(all="ignore"):  # what overflows or is no number ends as a status
        total = np.zeros(d)
        for block in blocks:
            total += np.asarray(X[block], dtype).sum(axis=0)
        mean = (total / n).astype(dtype)
        shift = mean if centre else np.zeros_like(mean)
        left, squares = np.zeros(d), np.zeros(d)
        for block in blocks:
            body = out[block, :d]
            np.subtract(X[block], shift, out=body, casting="same_kind")
            left += body.sum(axis=0)
            squares += np.einsum("nd,nd->d", body, body)
        # what the first pass rounded off the mean, which matters where a mean is far larger than its spread
        rest = left / n if centre else np.zeros(d)
        moved = (shift + rest).astype(dtype)
        size = np.sqrt(np.maximum(squares / n - rest**2, 0)).astype(dtype)
        constant = size <= 4 * np.finfo(dtype).eps * np.abs(mean) if centre else size == 0
        scale = np.where(constant, 1, size).astype(dtype)
        rest = (moved - shift).astype(dtype)
        for block in blocks:
            body = out[block, :d]
            np.subtract(body, rest, out=body)
            np.divide(body, scale, out=body)
            if constant.any():
                body[:, constant] = 0
    out[:n, d] = intercept
    out[n:] = 0
    return out, moved, scale, constant


def transform_rows(design: Design, X: NumpyFloat) -> Float[Array, "m q"]:
    """Further rows (m, d), such as the test split, in the design's coordinates, padded likewise; last column ones."""
    if jax.default_backend() == "cpu":
        return jax.device_put(_host_apply(design, X, padded_rows(len(X))))
    padded = jax.device_put(pad(np.asarray(X, design.X.dtype), padded_rows(len(X))))
    return _apply(padded, design.shift, design.scale, design.constant)


def _host_apply(design: Design, X: NumpyFloat, padded: int) -> NumpyFloat:
    m, d = X.shape
    dtype = np.dtype(design.X.dtype)
    shift, scale, constant = (np.asarray(a) for a in (design.shift, design.scale, design.constant))
    out = aligned(padded, d + 1, dtype)
    step = max(16, BLOCK_NUMBERS // (d + 1))
    with np.errstate(all="ignore"):
        for start in range(0, m, step):
            body = out[start : min(start + step, m), :d]
            np.subtract(X[start : start + step], shift, out=body, casting="same_kind")
            np.divide(body, scale, out=body)
            if constant.any():
                body[:, constant] = 0
    out[m:, :d] = 0
    out[:, d] = 1
    return out


@program
def _apply(
    X: Float[Array, "m d"], shift: Float[Array, " d"], scale: Float[Array, " d"], constant: Bool[Array, " d"]
) -> Float[Array, "m q"]:
    body = jnp.where(constant, 0, (X - shift) / scale)
    return jnp.concatenate([body, jnp.ones((X.shape[0], 1), X.dtype)], axis=1)


def raw_coefficients(W: NumpyFloat, shift: NumpyFloat, scale: NumpyFloat) -> tuple[NumpyFloat, NumpyFloat]:
    """Coefficients (d, o) and intercept (o,) on raw features, in float64, from solver coordinates W (q, o)."""
    W = np.asarray(W, np.float64)
    coef = W[:-1] / np.asarray(scale, np.float64)[:, None]
    return coef, W[-1] - np.asarray(shift, np.float64) @ coef
