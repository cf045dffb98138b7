"""From a sequence's digest to its row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geneb_jax.store.format import DIGEST_BYTES


def as_keys(digests: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Each digest as one fixed-length byte string, which NumPy can sort and compare."""
    keys: NDArray[np.bytes_] = np.ascontiguousarray(digests).view(f"S{DIGEST_BYTES}").reshape(len(digests))
    return keys


class DigestIndex:
    """Rows by digest: a sorted array for what was there at opening, a dictionary for what came since."""

    def __init__(self, digests: NDArray[np.uint8]) -> None:
        keys = as_keys(digests)
        self._order = np.argsort(keys, kind="stable").astype(np.int64)
        self._sorted = keys[self._order]
        self._recent: dict[bytes, int] = {}

    def find(self, digests: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Row of each digest, -1 where there is none."""
        keys = as_keys(digests)
        rows = np.full(len(keys), -1, np.int64)
        if len(self._sorted):
            place = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
            hit = self._sorted[place] == keys
            rows[hit] = self._order[place[hit]]
        if self._recent:
            for i in np.flatnonzero(rows < 0):
                rows[i] = self._recent.get(digests[i].tobytes(), -1)
        return rows

    def add(self, digests: NDArray[np.uint8], start: int) -> None:
        """Take in the rows of a new commit."""
        for i, digest in enumerate(digests):
            self._recent[digest.tobytes()] = start + i
