"""Rows that need not fit in memory: where they come from, and how they reach the device block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Bool, Float, Int, NumpyFloat, NumpyInt
from geneb_jax.probes.design import Design
from geneb_jax.probes.programs import program

IN_FLIGHT = 3
"""Raw blocks alive at once: one in a pass, one on the device waiting for it, one being read."""


@runtime_checkable
class Rows(Protocol):
    """Vectors (n, d) that are read a range at a time."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""

    @property
    def scratch_bytes(self) -> int:
        """Most memory that a read needs beside the rows it returns."""

    def read(self, start: int, stop: int) -> NumpyFloat:
        """Rows start … stop-1 as float32 (stop - start, d)."""

    def take(self, rows: NumpyInt) -> NumpyFloat:
        """The rows of these numbers, in their order, as float32."""


@dataclass(frozen=True)
class ArrayRows:
    """Rows of an array, which may be mapped from a file."""

    array: NumpyFloat
    scratch_bytes: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        n, d = self.array.shape
        return n, d

    def read(self, start: int, stop: int) -> NumpyFloat:
        """Rows start … stop-1."""
        return np.asarray(self.array[start:stop], np.float32)

    def take(self, rows: NumpyInt) -> NumpyFloat:
        """The rows of these numbers."""
        return np.asarray(self.array[rows], np.float32)


@dataclass(frozen=True)
class IndexedRows:
    """Some rows of something larger: `fetch` turns row numbers into vectors, as `EmbeddingStore.read` does."""

    fetch: Callable[[NumpyInt], NumpyFloat]
    index: NumpyInt
    width: int
    scratch_bytes: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return len(self.index), self.width

    def read(self, start: int, stop: int) -> NumpyFloat:
        """Rows start … stop-1 of the index."""
        return self.fetch(self.index[start:stop])

    def take(self, rows: NumpyInt) -> NumpyFloat:
        """The rows at these places of the index."""
        return self.fetch(self.index[rows])

    def select(self, rows: NumpyInt) -> IndexedRows:
        """Only the rows at these places, in their order."""
        return IndexedRows(self.fetch, self.index[rows], self.width, self.scratch_bytes)


def select(rows: NumpyFloat | Rows, places: NumpyInt) -> NumpyFloat | Rows:
    """Only the rows at these places, in their order."""
    if isinstance(rows, np.ndarray):
        return rows[places]
    if isinstance(rows, IndexedRows):
        return rows.select(places)
    return IndexedRows(rows.take, places, rows.shape[1], rows.scratch_bytes)


class Block(NamedTuple):
    """Rows start … stop-1 on the device, filled up with zeros to the common number of rows."""

    start: int
    stop: int
    raw: Float[Array, "b d"]


def stream(rows: Rows, size: int) -> Iterator[Block]:
    """The rows in blocks of `size`, each read and sent to the device while the one before it is used.

    Whatever stops the iteration, an interrupt too, also ends the reading.
    """
    n, _ = rows.shape

    def fetch(start: int) -> Block:
        stop = min(start + size, n)
        block = rows.read(start, stop)
        if len(block) < size:
            block = np.concatenate([block, np.zeros((size - len(block), block.shape[1]), block.dtype)])
        return Block(start, stop, jax.device_put(block))

    reader = ThreadPoolExecutor(1, "geneb-rows")
    try:
        coming = reader.submit(fetch, 0)
        for start in range(0, n, size):
            block = coming.result()
            if start + size < n:
                coming = reader.submit(fetch, start + size)
            yield block
            del block
    finally:
        reader.shutdown(wait=True, cancel_futures=True)


class Coordinates(NamedTuple):
    """Where the origin and the unit of each column lie, as in `Design`; `last` is the value of the last column."""

    shift: Float[Array, " d"]
    scale: Float[Array, " d"]
    constant: Bool[Array, " d"]
    last: Float[Array, ""]


def body(raw: Float[Array, "b d"], real: Bool[Array, " b"], coordinates: Coordinates) -> Float[Array, "b d"]:
    """The feature columns in solver coordinates, as `build_design` makes them; rows that are not real become zero."""
    X = (raw.astype(coordinates.shift.dtype) - coordinates.shift) / coordinates.scale
    return jnp.where(real[:, None] & ~coordinates.constant, X, 0)


@dataclass(frozen=True)
class Moments:
    """Mean (d,) and sum of squared deviations (d,) of n rows, float64; whether all of them are finite."""

    n: int
    mean: NumpyFloat
    squares: NumpyFloat
    finite: bool

    def design(self, dtype: np.dtype[Any], *, centre: bool, intercept: bool) -> tuple[Design, Coordinates]:
        """The design that `build_design` would make, without its rows."""
        d = len(self.mean)
        shift = (self.mean if centre else np.zeros(d)).astype(dtype)
        size = np.sqrt(self.squares / self.n + (self.mean - shift) ** 2)
        constant = size <= 4 * np.finfo(dtype).eps * np.abs(self.mean) if centre else size == 0
        scale = np.where(constant, 1, size).astype(dtype)
        last = np.asarray(1 if intercept else 0, dtype)
        coordinates = Coordinates(*jax.device_put((shift, scale, constant, last)))
        return Design(jax.device_put(np.zeros((0, d + 1), dtype)), *coordinates[:3], self.n), coordinates


@program
def _block_moments(
    raw: Float[Array, "b d"], count: Int[Array, ""], like: Float[Array, ""]
) -> tuple[Float[Array, " d"], Float[Array, " d"], Bool[Array, ""]]:
    X = raw.astype(like.dtype)
    real = (jnp.arange(X.shape[0]) < count)[:, None]
    mean = jnp.sum(X, axis=0) / count
    mean = mean + jnp.sum(jnp.where(real, X - mean, 0), axis=0) / count
    deviation = jnp.where(real, X - mean, 0)
    return mean, jnp.sum(deviation * deviation, axis=0), jnp.all(jnp.isfinite(raw))


def moments(rows: Rows, size: int, dtype: np.dtype[Any], tick: Callable[[], None]) -> Moments:
    """One pass over the rows: each block's own moments in `dtype`, merged in float64 (Chan, Golub and LeVeque 1983)."""
    n, d = rows.shape
    total, mean, squares, finite = 0, np.zeros(d), np.zeros(d), True
    for block in stream(rows, size):
        count = block.stop - block.start
        part_mean, part_squares, part_finite = _block_moments(block.raw, np.int32(count), jnp.zeros((), dtype))
        shift = np.asarray(part_mean, np.float64) - mean
        share = count / (total + count)
        squares += np.asarray(part_squares, np.float64) + shift * shift * (total * share)
        mean += shift * share
        total += count
        finite &= bool(part_finite)
        if not finite:
            break
    tick()
    return Moments(n, mean, squares, finite)


def all_finite(rows: Rows, size: int) -> bool:
    """Whether every number of every row is finite; one pass."""
    return all(bool(jnp.isfinite(block.raw).all()) for block in stream(rows, size))
