"""Rows of an array in any order, for several readers at once: each chunk is read, and proved, once for all of them."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geneb_jax.store import chunks
from geneb_jax.store.arrays import Array, shard_key
from geneb_jax.store.places import Place
from geneb_jax.store.rowio import in_parallel, named, room, units

_WORTH_RUN: Final = 64 << 10  # bytes in a row from which reading in place beats copying out of a chunk
Rows = NDArray[Any]


def gather_rows(root: Place, array: Array, parts: Sequence[Rows]) -> list[NDArray[Any]]:
    """The rows of each part, in their order. Raises StoreError naming a bad chunk."""
    return _Gather(root, array, parts).run()


class _Gather:
    """The plan: distinct rows as they lie in the store, and the place where each is wanted first.

    A place counts through all parts, one behind the other; ``begins`` are the places where parts begin.
    """

    def __init__(self, root: Place, array: Array, parts: Sequence[Rows]) -> None:
        self.root, self.array = root, array
        self.outs = [chunks.empty((len(p), *array.shape[1:]), array.dtype) for p in parts]
        self.bytes = [chunks.as_bytes(out) for out in self.outs]
        self.begins = list(itertools.accumulate((len(p) for p in parts), initial=0))
        self.of_chunk: dict[int, list[list[int]]] = {}
        wanted = np.concatenate(parts)
        order = np.argsort(wanted, kind="stable") if (np.diff(wanted) < 0).any() else np.arange(len(wanted))
        ordered = wanted[order]
        fresh = np.diff(ordered, prepend=-1) != 0
        self.rows, self.places = ordered[fresh], order[fresh]
        self.again_rows, self.again_places = ordered[~fresh], order[~fresh]

    def run(self) -> list[NDArray[Any]]:
        """Read everything."""
        rows, places, size = self.rows, self.places, self.array.layout.chunk
        # runs that are wanted as they lie, within one chunk and one part
        cut = (np.diff(rows, prepend=-2) != 1) | (np.diff(places, prepend=-2) != 1) | (rows % size == 0)
        if len(self.outs) > 1:
            cut |= np.isin(places, self.begins)
        first = np.flatnonzero(cut)
        self.runs = np.stack([rows[first], places[first], np.diff(np.append(first, len(rows)))], axis=1)
        numbers = self.runs[:, 0] // size
        todo = units(self.array, numbers[np.diff(numbers, prepend=-1) != 0])
        total = sum(out.nbytes for out in self.outs)
        work = self._by_copy
        if len(self.runs) * _WORTH_RUN <= total:
            work = self._in_place
            for run in self.runs.tolist():
                self.of_chunk.setdefault(run[0] // size, []).append(run)
        in_parallel(work, todo, total, self.root)
        self._repeat()
        return self.outs

    def _in_place(self, numbers: list[int]) -> None:
        """Long runs go from the disk to where they are wanted."""
        array, size, row_bytes = self.array, self.array.layout.chunk, self.array.layout.row_bytes
        todo = []
        for number in numbers:
            at, pieces = number * size, []
            for row, place, count in self.of_chunk[number]:
                # an empty part begins where the next one does, and the last of them holds the place
                part = bisect.bisect_right(self.begins, place) - 1
                start = (place - self.begins[part]) * row_bytes
                pieces += [room(array, row - at), self.bytes[part][start : start + count * row_bytes]]
                at = row + count
            todo.append((number % array.layout.chunks, [*pieces, room(array, (number + 1) * size - at)]))
        path = self.root / array.path / shard_key(array, numbers[0] // array.layout.chunks)
        with named(path):
            chunks.decode(array.layout, path, todo)

    def _by_copy(self, numbers: list[int]) -> None:
        """Scattered rows are copied out of some hundred kilobytes at a time, in the processor's cache."""
        array = self.array
        shard = numbers[0] // array.layout.chunks

        def take(first: int, data: chunks.Bytes) -> None:
            first += shard * array.layout.rows
            count = len(data) // array.layout.row_bytes
            a, b = np.searchsorted(self.rows, (first, first + count))
            if a < b:
                block = data.view(array.dtype).reshape(count, *array.shape[1:])
                self._put(self.places[a:b], block, self.rows[a:b] - first)

        path = self.root / array.path / shard_key(array, shard)
        with named(path):
            chunks.stream(array.layout, path, [n % array.layout.chunks for n in numbers], take)

    def _put(self, places: Rows, block: NDArray[Any], rows: Rows) -> None:
        for out, begin in zip(self.outs, self.begins, strict=False):
            mine = slice(None) if len(self.outs) == 1 else (places >= begin) & (places < begin + len(out))
            out[places[mine] - begin] = block[rows[mine]]

    def _repeat(self) -> None:
        """Rows that are wanted more than once are copied from where they were read to."""
        if not len(self.again_rows):
            return
        source = self.places[np.searchsorted(self.rows, self.again_rows)]
        for out, begin in zip(self.outs, self.begins, strict=False):
            mine = (source >= begin) & (source < begin + len(out))
            if mine.any():
                self._put(self.again_places[mine], out, source[mine] - begin)
