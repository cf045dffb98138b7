"""What the Mosaic GPU kernels share: tiles in shared memory, and float32 products on bfloat16 tensor cores.

Hopper's matrix unit takes no float32: it would round operands to tf32 (11 significant bits) without a word. So a
float32 operand is written as a sum of three bfloat16 numbers of 8 bits each, x = x₁ + x₂ + x₃, exact but for the last
bit, and a product is the sum of the six partial products that exceed 2⁻²⁴ of it: x₁y₁ + x₁y₂ + x₂y₁ + x₂y₂ + x₁y₃ +
x₃y₁, the smallest first, accumulated in float32. bfloat16 has float32's range, so no scale overflows. An operand that
is stored as bfloat16 is one part. A product of two bfloat16 numbers has 16 bits and is exact in float32; what the
simulator cannot show is how the tensor cores round while they accumulate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import jax
import jax.numpy as jnp
from jax.experimental.pallas import mosaic_gpu as plgpu

TILE: Final = 64
"""Rows of one matrix instruction, and columns of a bfloat16 tile of 128 bytes."""

MAX_COLUMNS: Final = 256
"""Columns of one accumulator at most: what the matrix instruction takes, half of a thread's registers."""

SWIZZLE: Final = 128

ROW: Final = plgpu.Layout.WGMMA.reduce(1)
"""A vector with one entry for each row of an accumulator."""

COLUMN: Final = plgpu.Layout.WGMMA.reduce(0)
"""A vector with one entry for each column of an accumulator."""


def transforms(dtype: Any, columns: int) -> tuple[Any, ...]:
    """How a matrix of `columns` columns lies in shared memory for the matrix unit and the copy engine."""
    bits = jnp.dtype(dtype).itemsize * 8
    swizzle = plgpu.find_swizzle(columns * bits)
    return plgpu.TilingTransform((8, 8 * swizzle // bits)), plgpu.SwizzleTransform(swizzle)


def shared(rows: int, columns: int, dtype: Any) -> Any:
    """A matrix in shared memory."""
    return plgpu.SMEM((rows, columns), dtype, transforms=transforms(dtype, columns))


def block(rows: int, columns: int, dtype: Any, index_map: Callable[..., tuple[Any, ...]]) -> plgpu.BlockSpec:
    """A block of a matrix that a pipeline brings to shared memory."""
    return plgpu.BlockSpec((rows, columns), index_map, transforms=transforms(dtype, columns))


def array(shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
    """An output of a kernel."""
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]


def accumulator(rows: int, columns: int) -> Any:
    """Float32 registers that the matrix unit adds to, zero at first."""
    return plgpu.WGMMAAccumulatorRef((rows, columns), jnp.float32)


def parts_of(dtype: Any) -> int:
    """bfloat16 numbers that hold one of `dtype`. Raises NotImplementedError."""
    if jnp.dtype(dtype) == jnp.float32:
        return 3
    if jnp.dtype(dtype) == jnp.bfloat16:
        return 1
    raise NotImplementedError(f"operands are float32 or bfloat16, not {jnp.dtype(dtype).name}")


def split(x: jax.Array, parts: int = 3) -> list[jax.Array]:
    """Summands of float32 x in bfloat16, the largest first."""
    out = []
    for _ in range(parts):
        part = x.astype(jnp.bfloat16)
        out.append(part)
        x = x - part.astype(jnp.float32)
    return out


def multiply(accumulator: Any, left: Sequence[Any], right: Sequence[Any]) -> None:
    """Add the product of two operands, each given by its parts, to an accumulator, and wait for it."""
    kept = max(len(left), len(right)) - 1
    pairs = [(i, j) for i in range(len(left)) for j in range(len(right)) if i + j <= kept]
    for i, j in sorted(pairs, key=sum, reverse=True):
        plgpu.wgmma(accumulator, left[i], right[j])
    plgpu.wgmma_wait(0)


def store_parts(refs: Iterable[Any], x: jax.Array) -> None:
    """Write float32 x (or bfloat16 x, where one part is asked for) to its parts in shared memory."""
    refs = list(refs)
    for ref, part in zip(refs, split(x, len(refs)), strict=True):
        ref[...] = part
    plgpu.commit_smem()  # type: ignore[no-untyped-call]


def write(*pairs: tuple[Any, Any]) -> None:
    """Copy from shared memory to a kernel's outputs, and wait until shared memory may be used again."""
    plgpu.commit_smem()  # type: ignore[no-untyped-call]
    for source, target in pairs:
        plgpu.copy_smem_to_gmem(source, target)
    plgpu.wait_smem_to_gmem(0)


def along_rows(vector: jax.Array, columns: int) -> jax.Array:
    """(r,) as (r, columns): entry i in row i."""
    return jax.lax.broadcast_in_dim(vector, (*vector.shape, columns), (0,))


def along_columns(vector: jax.Array, rows: int) -> jax.Array:
    """(c,) as (rows, c): entry j in column j."""
    return jax.lax.broadcast_in_dim(vector, (rows, *vector.shape), (1,))


def iota(rows: int, columns: int, dimension: int, dtype: Any = jnp.int32) -> jax.Array:
    """Row (0) or column (1) numbers of an accumulator-shaped array."""
    return plgpu.broadcasted_iota(dtype, (rows, columns), dimension, layout=plgpu.Layout.WGMMA)


def padded(x: jax.Array, *multiples: int, value: float = 0) -> jax.Array:
    """x with every axis filled up to a multiple; x itself where nothing is to fill."""
    widths = [(0, -size % multiple) for size, multiple in zip(x.shape, multiples, strict=True)]
    return jnp.pad(x, widths, constant_values=value) if any(after for _, after in widths) else x
