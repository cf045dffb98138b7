"""Resample weights on the host: NumPy's generators and BLAS, on all cores.

n draws with replacement from n items are independent Poisson(1) counts, given that they add up to n. So counts come
from a table look-up of 16 random bits, and a row whose total is off by e, typically √n, is mended by e uniform draws
that are added, or by e of its items that are removed at random. Counting n random integers takes twice as long.
The table rounds Poisson probabilities to 2⁻¹⁶, which moves the variance of a count by less than 1e-4 of itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import exp, factorial

import numpy as np
from numpy.typing import NDArray

CHUNK_NUMBERS = 4_000_000
"""Weights held at a time by one worker."""

_BITS = 16


def poisson_ends() -> list[int]:
    """Where the cumulative Poisson(1) distribution of 0, 1, … 8 ends, in units of 2⁻¹⁶; from the last on it is 9."""
    cumulative = np.cumsum([exp(-1) / factorial(k) for k in range(9)])
    return [round(end) for end in (cumulative * (1 << _BITS)).tolist()]


def _table() -> NDArray[np.float32]:
    """Poisson(1) counts by 16 random bits."""
    return np.repeat(np.arange(10), np.diff([0, *poisson_ends(), 1 << _BITS])).astype(np.float32)


_POISSON = _table()


def resample_weights(generator: np.random.Generator, b: int, n: int) -> NDArray[np.float32]:
    """(b, n): how often each of n items occurs in each of b resamples of n draws with replacement."""
    words = np.frombuffer(generator.bytes(2 * b * n), np.uint16).reshape(b, n)
    weights = np.empty((b, n), np.float32)
    np.take(_POISSON, words, out=weights, mode="clip")
    excess = weights.sum(axis=1, dtype=np.float64).astype(np.int64) - n
    for row, off in zip(weights, excess.tolist(), strict=True):
        if off < 0:
            np.add.at(row, generator.integers(0, n, -off), 1)
        elif off > 0:
            # of the row's n + off drawn items, `off` at random
            drawn = np.repeat(np.arange(n), row.astype(np.int64))
            np.subtract.at(row, generator.choice(drawn, off, replace=False, shuffle=False), 1)
    return weights


def resampled_sums(key: tuple[int, ...], columns: NDArray[np.float32], b: int) -> NDArray[np.float32]:
    """(b, c): each column of `columns` (n, c) summed over each of b resamples of its n rows.

    Resamples depend on `key`, n and b alone: tables of other columns with the same key share them.
    """
    n = len(columns)
    out = np.empty((b, columns.shape[1]), np.float32)
    step = max(1, min(b, CHUNK_NUMBERS // n))

    def work(i: int, start: int) -> None:
        generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence(key, spawn_key=(n, i))))
        stop = min(b, start + step)
        np.matmul(resample_weights(generator, stop - start, n), columns, out=out[start:stop])

    parts = list(enumerate(range(0, b, step)))
    with ThreadPoolExecutor(max_workers=min(len(parts), os.cpu_count() or 1)) as pool:
        _drain(pool.map(work, *zip(*parts, strict=True)))
    return out


def _drain(results: Iterator[None]) -> None:
    """Wait for all, and raise what one raised."""
    for _ in results:
        pass
