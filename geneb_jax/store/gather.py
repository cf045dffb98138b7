"""Rows of an array in any order, for several readers at once: each chunk is read, and proved, once for all of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geneb_jax.store import chunks
from geneb_jax.store.arrays import Array, shard_key
from geneb_jax.store.places import Place
from geneb_jax.store.rowio import in_parallel, named, room, units

_WORTH_RUN: Final = 8 << 10  # bytes in a row from which reading in place beats copying out of a chunk
Rows = NDArray[Any]


def gather_rows(root: Place, array: Array, parts: Sequence[Rows]) -> list[NDArray[Any]]:
    """The rows of each part, in their order. Raises StoreError naming a bad chunk."""
    return _Gather(root, array, parts).run()


class _Gather:
    """The plan: runs of rows that are wanted as they lie in the store, and the place where each is wanted first.

    A place counts through all parts, one behind the other; ``begins`` are the places where parts begin. ``runs`` are
    (first row, place, rows) in the order of rows: each within one part, no row in two of them.
    """

    def __init__(self, root: Place, array: Array, parts: Sequence[Rows]) -> None:
        self.root, self.array = root, array
        self.outs = [chunks.empty((len(p), *array.shape[1:]), array.dtype) for p in parts]
        self.bytes = [chunks.as_bytes(out) for out in self.outs]
        self.begins = np.array([0, *itertools.accumulate(len(p) for p in parts)])
        self.again_rows = self.again_places = np.empty(0, np.int64)
        wanted = np.concatenate(parts)
        self.runs = self._cut(wanted, np.arange(len(wanted)))
        # sorting the runs is enough, unless some overlap: then rows are wanted more than once
        self.runs = self.runs[np.argsort(self.runs[:, 0], kind="stable")]
        if (self.runs[1:, 0] < (self.runs[:, 0] + self.runs[:, 2])[:-1]).any():
            order = np.argsort(wanted, kind="stable")
            ordered = wanted[order]
            fresh = np.diff(ordered, prepend=-1) != 0
            self.again_rows, self.again_places = ordered[~fresh], order[~fresh]
            self.runs = self._cut(ordered[fresh], order[fresh])

    def _cut(self, rows: Rows, places: Rows) -> Rows:
        head = np.zeros(self.begins[-1] + 1, bool)
        head[self.begins] = True
        first = np.flatnonzero((np.diff(rows, prepend=-2) != 1) | (np.diff(places, prepend=-2) != 1) | head[places])
        return np.stack([rows[first], places[first], np.diff(first, append=len(rows))], axis=1)

    def run(self) -> list[NDArray[Any]]:
        """Read everything."""
        row, place, count = _within_chunks(self.runs, self.array.layout.chunk)
        number = row // self.array.layout.chunk
        begins = np.flatnonzero(np.diff(number, prepend=-1))
        total = sum(out.nbytes for out in self.outs)
        if len(row) * _WORTH_RUN <= total:
            # an empty part begins where the next one does, and the last of them holds the place
            part = np.searchsorted(self.begins, place, side="right") - 1
            start = place - self.begins[part]
            plan = np.stack([row, row + count, part, start, start + count], axis=1).tolist()
            ends = [*begins[1:].tolist(), len(plan)]
            chunks_of = zip(number[begins].tolist(), begins.tolist(), ends, strict=True)
            self.of_chunk = {n: plan[a:b] for n, a, b in chunks_of}
            work = self._in_place
        else:
            inside = _counted(count)
            self.rows, self.places = np.repeat(row, count) + inside, np.repeat(place, count) + inside
            work = self._by_copy
        in_parallel(work, units(self.array, number[begins]), total, self.root)
        self._repeat()
        return self.outs

    def _in_place(self, numbers: list[int]) -> None:
        """Long runs go from the disk to where they are wanted."""
        array, size, row_bytes = self.array, self.array.layout.chunk, self.array.layout.row_bytes
        todo = []
        for number in numbers:
            at, pieces = number * size, []
            for row, end, part, start, stop in self.of_chunk[number]:
                if row > at:
                    pieces.append(room(array, row - at))
                pieces.append(self.bytes[part][start * row_bytes : stop * row_bytes])
                at = end
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
                block, rows = data.view(array.dtype).reshape(count, *array.shape[1:]), self.rows[a:b] - first
                gaps = rows[-1] - rows[0] >= len(rows)
                self._put(self.places[a:b], block[rows] if gaps else block[rows[0] : rows[-1] + 1])

        path = self.root / array.path / shard_key(array, shard)
        with named(path):
            chunks.stream(array.layout, path, [n % array.layout.chunks for n in numbers], take)

    def _put(self, places: Rows, block: NDArray[Any]) -> None:
        for out, begin in zip(self.outs, self.begins, strict=False):
            mine = slice(None) if len(self.outs) == 1 else (places >= begin) & (places < begin + len(out))
            out[places[mine] - begin] = block[mine]

    def _repeat(self) -> None:
        """Rows that are wanted more than once are copied from where they were read to."""
        if not len(self.again_rows):
            return
        row, place, _ = self.runs[np.searchsorted(self.runs[:, 0], self.again_rows, side="right") - 1].T
        source = place + self.again_rows - row
        for out, begin in zip(self.outs, self.begins, strict=False):
            mine = (source >= begin) & (source < begin + len(out))
            if mine.any():
                self._put(self.again_places[mine], out[source[mine] - begin])


def _within_chunks(runs: Rows, size: int) -> Rows:
    """Runs cut where a chunk of `size` rows ends, transposed: first rows, places, counts."""
    row, place, count = runs.T
    first, last = row // size, (row + count - 1) // size
    pieces = last - first + 1
    number = np.repeat(first, pieces) + _counted(pieces)
    row, place, stop = (np.repeat(values, pieces) for values in (row, place, row + count))
    begin = np.maximum(row, number * size)
    return np.stack([begin, place + begin - row, np.minimum(stop, (number + 1) * size) - begin])


def _counted(counts: Rows) -> Rows:
    """0, 1, … up to each count, one behind the other."""
    places: Rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return places
