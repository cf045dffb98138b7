"""Reading a whole store against its checksums. Each thing wrong becomes a `Fault`; nothing is changed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import StoreError
from geneb_jax.store import arrays, dtypes, places, rowio, splits
from geneb_jax.store.element import EmbeddingStore
from geneb_jax.store.format import Commit, Fault
from geneb_jax.store.index import as_keys
from geneb_jax.store.places import Place

if TYPE_CHECKING:
    from geneb_jax.store.root import Store

REPAIR = ".repair"  # as in root, which imports this module
_SPLIT_CURE = "embed the task again: vectors are kept, and the index is written anew"


def verify_store(store: Store) -> list[Fault]:
    """Faults of every element of a store."""
    faults, keys = [], store.keys()
    for key in keys:
        faults += verify_element(store.path, key)
    return faults + interrupted_repairs(store.path)


def interrupted_repairs(root: Place) -> list[Fault]:
    """What a repair left that was killed."""
    return [
        Fault(
            f"{REPAIR}/{key}",
            "a repair of this element was interrupted" + ("" if is_there(root, key) else "; the element is set aside"),
            "run `geneb verify --repair` again: it finishes, or begins anew from what there was",
        )
        for key in places.folders(root / REPAIR)
    ]


def is_there(root: Place, key: str) -> bool:
    """Whether a store has a folder of this name."""
    return key in places.folders(root)


def verify_element(root: Place, key: str) -> list[Fault]:
    """Faults of one element: manifest, journal, every chunk, every commit, every split index."""
    try:
        element = EmbeddingStore(root, key)
    except StoreError as error:
        return [_fault(root, error)]
    faults = _verify_digests(element)
    faults += _verify_vectors(element)
    faults += _verify_splits(element)
    return faults


def _fault(root: Place, error: StoreError, cure: str | None = None) -> Fault:
    where = error.where or str(root)
    prefix = f"{root}/"
    return Fault(where.removeprefix(prefix), error.what, cure or error.cure or arrays.DAMAGED_CURE)


class _Commits:
    """Compares rows, fed in order, with the digests of the commits they belong to."""

    def __init__(self, commits: list[Commit], field: str) -> None:
        self._left = [(c.rows, getattr(c, field)) for c in commits]
        self._left.reverse()
        self._start = self._done = 0
        self._unreadable = False
        self._hash = hashlib.sha256()
        self.bad: list[tuple[int, int]] = []

    def feed(self, count: int, block: NDArray[np.generic] | None) -> None:
        """The next ``count`` rows; None when they cannot be read, which is a fault that was named already."""
        taken = 0
        while taken < count:
            rows, recorded = self._left[-1]
            step = min(count - taken, rows - self._done)
            if block is None:
                self._unreadable = True
            else:
                self._hash.update(np.ascontiguousarray(block[taken : taken + step]).data)
            self._done += step
            taken += step
            if self._done == rows:
                if not self._unreadable and self._hash.hexdigest() != recorded:
                    self.bad.append((self._start, self._start + rows))
                self._left.pop()
                self._start += rows
                self._done = 0
                self._unreadable = False
                self._hash = hashlib.sha256()


def _verify_digests(element: EmbeddingStore) -> list[Fault]:
    array = element._digests
    faults, blocks = _walk(element, array, "digests")
    digests = np.concatenate(blocks) if blocks else np.empty((0, array.shape[1]), np.uint8)
    if not faults:
        order = np.argsort(keys := as_keys(digests), kind="stable")
        same = np.flatnonzero(keys[order][1:] == keys[order][:-1])
        if len(same):
            first, second = sorted(int(r) for r in order[same[0] : same[0] + 2])
            faults.append(
                Fault(
                    array.path,
                    f"{len(same)} sequences have more than one row; the first are rows {first} and {second}",
                    arrays.DAMAGED_CURE,
                )
            )
    return faults


def _verify_vectors(element: EmbeddingStore) -> list[Fault]:
    array = element._vectors
    faults, blocks = _walk(element, array, "vectors", finite_only=True)
    if not faults:
        finite = np.concatenate(blocks) if blocks else np.empty(0, np.bool_)
        counted = element.non_finite_rows
        if not np.array_equal(np.flatnonzero(~finite), counted):
            faults.append(
                Fault(
                    f"{array.path}/zarr.json",
                    f"{int((~finite).sum())} rows hold NaN or infinities, the journal counts {len(counted)}",
                    arrays.DAMAGED_CURE,
                )
            )
    return faults


def _walk(
    element: EmbeddingStore, array: arrays.Array, field: str, *, finite_only: bool = False
) -> tuple[list[Fault], list[NDArray[np.generic]]]:
    """Read an array against its checksums and the journal; return its rows, or only which are finite."""
    faults: list[Fault] = []
    kept: list[NDArray[np.generic]] = []
    commits = _Commits(element._commits, field)
    size = array.layout.rows
    for start in range(0, element.num_rows, size):
        stop = min(start + size, element.num_rows)
        try:
            block = rowio.read_rows(element.root, array, start, stop)
        except StoreError as error:
            faults.append(_fault(element.root, error))
            commits.feed(stop - start, None)
            continue
        commits.feed(stop - start, block)
        kept.append(~dtypes.non_finite(block, element.dtype) if finite_only else block)
    for start, stop in commits.bad:
        shards = arrays.shards_of(array, start, stop)
        names = ", ".join(arrays.shard_key(array, s) for s in shards)
        faults.append(
            Fault(
                f"{array.path}/{names}",
                f"rows {start} to {stop - 1} are readable but are not the rows that were committed "
                "(a chunk was swapped, replaced or rewritten)",
                arrays.DAMAGED_CURE,
            )
        )
    return faults, kept


def _verify_splits(element: EmbeddingStore) -> list[Fault]:
    faults = []
    root, key = element.root, element.key
    for folder in splits.folders(root, key):
        try:
            entry = splits.open_entry(root, key, folder)
            if entry is None:
                continue
            index = splits.read(root, key, entry)
        except StoreError as error:
            faults.append(_fault(root, error, _SPLIT_CURE))
            continue
        outside = splits.out_of_range(index.rows, element.num_rows)
        if outside:
            faults.append(Fault(f"{key}/splits/{folder}/rows", outside, _SPLIT_CURE))
    return faults
