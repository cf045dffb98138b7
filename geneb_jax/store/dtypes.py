"""How vectors are stored: float32, or rounded to float16 or bfloat16 by the user's choice."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geneb_jax.errors import StoreError, UsageError

StoreDtype = Literal["float32", "float16", "bfloat16"]
STORED: Final[dict[str, np.dtype[Any]]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    # Zarr v3 has no bfloat16 in its core: the sixteen bits are stored as an unsigned number
    "bfloat16": np.dtype("<u2"),
}
FILL: Final[dict[str, float | int]] = {"float32": np.nan, "float16": np.nan, "bfloat16": 0x7FC0}
_LARGEST: Final = {"float16": 65504.0, "bfloat16": 3.3895e38}


def check_dtype(dtype: str) -> str:
    """The name if it is one of the three. Raises UsageError."""
    if dtype not in STORED:
        raise UsageError(f"vectors cannot be stored as {dtype!r}", cure=f"choose one of {', '.join(STORED)}")
    return dtype


def check_vectors(vectors: ArrayLike, shape: tuple[int, int], dtype: str, where: str) -> NDArray[Any]:
    """What an encoder returned, as it is stored. Raises StoreError for another shape or for whole numbers."""
    array = np.asarray(vectors)
    if not np.issubdtype(array.dtype, np.floating):
        raise StoreError(f"vectors must be floating point numbers, not {array.dtype}", where=where)
    if array.shape != shape:
        raise StoreError(
            f"{shape[0]} sequences need vectors of shape {shape}, not {array.shape}",
            where=where,
            cure="the encoder returned another width or number of rows than its manifest declares",
        )
    return to_stored(array, dtype, where)


def to_stored(vectors: NDArray[Any], dtype: str, where: str) -> NDArray[Any]:
    """Vectors as they are stored, rounded to nearest even. Raises StoreError where a number is too large for it."""
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit float32 is counted as infinite
        block = np.ascontiguousarray(vectors, dtype="<f4")
        if dtype == "float32":
            return block
        if dtype == "float16":
            half: NDArray[Any] = block.astype("<f2")
            lost = np.isinf(half) & np.isfinite(block)
            half[np.isnan(half)] = np.nan  # one NaN only, so that equal rows are equal bytes
        else:
            import ml_dtypes

            rounded = block.astype(ml_dtypes.bfloat16)
            lost = np.isinf(rounded) & np.isfinite(block)
            half = rounded.view("<u2")
            half[np.isnan(block)] = FILL[dtype]
    if lost.any():
        row, column = (int(i[0]) for i in np.nonzero(lost))
        raise StoreError(
            f"{block[row, column]:.6g} in row {row} of this append does not fit {dtype}, "
            f"whose largest number is {_LARGEST[dtype]:g}",
            where=where,
            cure="store as bfloat16 or float32" if dtype == "float16" else "store as float32",
        )
    return half


def from_stored(block: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """The float32 values of stored vectors; exact."""
    if dtype == "bfloat16":
        return (block.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return block.astype(np.float32, copy=False)


def non_finite(block: NDArray[Any], dtype: str) -> NDArray[np.bool_]:
    """Which stored rows hold NaN or infinities."""
    values = from_stored(block, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        # a sum is finite only if all terms are: one quick pass, and a second look at few rows
        doubtful = np.flatnonzero(~np.isfinite(values.sum(axis=1)))
    mask = np.zeros(len(values), np.bool_)
    mask[doubtful] = ~np.isfinite(values[doubtful]).all(axis=1)
    return mask
