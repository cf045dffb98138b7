"""What the readers of exported files have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneb_jax.store import dtypes

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class FileArrays:
    """The arrays of an exported file; ``read(start, stop, dtype)`` gives rows as a store of that dtype holds them."""

    shape: tuple[int, ...]
    digests: NDArray[np.uint8]
    splits: list[tuple[Ints, Ints]]
    read: Callable[[int, int, str], NDArray[Any]]


def narrowed(values: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """Rows as stored from rows that were widened to float32; exact."""
    if dtype == "bfloat16":
        return (np.ascontiguousarray(values).view(np.uint32) >> np.uint32(16)).astype("<u2")
    return np.ascontiguousarray(values).astype(dtypes.STORED[dtype], copy=False)
