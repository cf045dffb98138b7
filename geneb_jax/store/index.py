"""From a sequence's digest to its row."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from geneb_jax.store.format import DIGEST_BYTES

_MOST_PARTS: Final = 16


def as_keys(digests: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Each digest as one fixed-length byte string, which NumPy can sort and compare."""
    keys: NDArray[np.bytes_] = np.ascontiguousarray(digests).view(f"S{DIGEST_BYTES}").reshape(len(digests))
    return keys


def repeated(digests: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Numbers of the digests that occur before, in order."""
    _, first = np.unique(as_keys(digests), return_index=True)
    mask = np.ones(len(digests), np.bool_)
    mask[first] = False
    return np.flatnonzero(mask)


class _Part:
    """Rows in a row, sorted by the first eight bytes of their digests."""

    def __init__(self, digests: NDArray[np.uint8], start: int) -> None:
        self.digests = np.ascontiguousarray(digests)
        self.start = start
        prefixes = _prefixes(self.digests)
        self._order = np.argsort(prefixes, kind="stable")
        self._sorted = prefixes[self._order]

    def find(self, digests: NDArray[np.uint8], prefixes: NDArray[np.uint64], rows: NDArray[np.int64]) -> None:
        """Fill in the rows of the digests that are here."""
        left = np.searchsorted(self._sorted, prefixes)
        place = np.minimum(left, len(self._sorted) - 1)
        near = np.flatnonzero(self._sorted[place] == prefixes)
        found = self._order[place[near]]
        same = (self.digests[found] == digests[near]).all(axis=1)
        rows[near[same]] = found[same] + self.start
        for i in near[~same]:  # another digest with the same first eight bytes: one in 10^19 pairs
            at = int(place[i]) + 1
            while at < len(self._sorted) and self._sorted[at] == prefixes[i]:
                if (self.digests[self._order[at]] == digests[i]).all():
                    rows[i] = self._order[at] + self.start
                at += 1


class DigestIndex:
    """Rows by digest; new rows are added as parts, which are joined when there are many."""

    def __init__(self, digests: NDArray[np.uint8]) -> None:
        self._parts = [_Part(digests, 0)] if len(digests) else []

    def find(self, digests: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Row of each digest, -1 where there is none."""
        rows = np.full(len(digests), -1, np.int64)
        prefixes = _prefixes(digests)
        for part in self._parts:
            part.find(digests, prefixes, rows)
        return rows

    def add(self, digests: NDArray[np.uint8], start: int) -> None:
        """Take in the rows of a new commit, which follow those there are."""
        self._parts.append(_Part(digests, start))
        # the small ones at the end are joined first, so that each row is sorted a few times at most
        while len(self._parts) > _MOST_PARTS or (
            len(self._parts) > 1 and len(self._parts[-1].digests) >= len(self._parts[-2].digests)
        ):
            last, before = self._parts.pop(), self._parts.pop()
            self._parts.append(_Part(np.concatenate([before.digests, last.digests]), before.start))


def _prefixes(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(digests[:, :8]).view("<u8").reshape(-1)
