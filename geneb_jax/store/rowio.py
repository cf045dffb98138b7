"""Rows of an array, read with every checksum compared, and written so that each shard appears at one instant."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import StoreError
from geneb_jax.store import chunks, files
from geneb_jax.store.arrays import DAMAGED_CURE, Array, shard_key, shard_path, shards_of
from geneb_jax.store.places import Place

_THREADS: Final = max(2, min(4, os.cpu_count() or 1))
_REMOTE_THREADS: Final = 8
_WORTH_THREADS: Final = 4 << 20
_UNIT: Final = 4 << 20


def write_rows(root: Path, array: Array, start: int, block: NDArray[Any]) -> None:
    """Write and sync rows from ``start`` on, as the last of the array; each shard appears at one instant.

    Shards that already hold committed rows are written anew with them. Raises StoreError when those cannot be read.
    """
    size, written = array.layout.rows, []
    for shard in shards_of(array, start, start + len(block)):
        first = shard * size
        part = block[max(first - start, 0) : first + size - start]
        if first < start:
            part = np.concatenate([read_rows(root, array, first, start), part])
        path = shard_path(root, array, shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(path, chunks.encode(array.layout, part, np.array([array.fill], array.dtype)))
        written.append(path.parent)
    files.sync_files(written)


def read_rows(root: Place, array: Array, start: int, stop: int) -> NDArray[Any]:
    """Rows ``start`` to ``stop``, every checksum compared. Raises StoreError naming the bad chunk."""
    out = chunks.empty((max(stop - start, 0), *array.shape[1:]), array.dtype)
    target, size = chunks.as_bytes(out), array.layout.chunk

    def read(numbers: list[int]) -> None:
        wanted = []
        for number in numbers:
            first = number * size
            a, b = max(start, first), min(stop, first + size)
            part = target[(a - start) * array.layout.row_bytes : (b - start) * array.layout.row_bytes]
            wanted.append((number % array.layout.chunks, [room(array, a - first), part, room(array, first + size - b)]))
        path = root / array.path / shard_key(array, numbers[0] // array.layout.chunks)
        with named(path):
            chunks.decode(array.layout, path, wanted)

    if stop > start:
        in_parallel(read, units(array, np.arange(start // size, -(-stop // size))), out.nbytes, root)
    return out


def room(array: Array, count: int) -> chunks.Bytes:
    """Room for rows that are read for their checksum only."""
    return np.empty(count * array.layout.row_bytes, np.uint8)


def units(array: Array, numbers: NDArray[np.int64]) -> list[list[int]]:
    """Chunks, numbered over the array, in groups of one stored object and a few megabytes: work for one thread."""
    most = max(1, _UNIT // (array.layout.chunk * array.layout.row_bytes))
    found: list[list[int]] = []
    for number in numbers.tolist():
        last = found[-1] if found else []
        if last and len(last) < most and last[0] // array.layout.chunks == number // array.layout.chunks:
            last.append(number)
        else:
            found.append([number])
    return found


@contextlib.contextmanager
def named(path: Place) -> Iterator[None]:
    """Turn what is wrong with a stored object into a StoreError that names it."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError("a chunk is missing", where=str(path), cure=DAMAGED_CURE) from None
    except chunks.DamagedError as error:
        what = "empty" if str(error) == "empty" else f"truncated or altered): {error}"
        raise StoreError(
            f"a chunk is damaged ({what}" + (")" if what == "empty" else ""), where=str(path), cure=DAMAGED_CURE
        ) from error
    except OSError as error:
        raise StoreError(f"a chunk cannot be read: {error}", where=str(path), cure="check the disk") from error


def in_parallel(work: Callable[[Any], None], items: Iterable[Any], size: int, root: Place) -> None:
    """Do all the work, in threads where that pays; an error ends it."""
    todo = list(items)
    local = isinstance(root, Path)
    if len(todo) < 2 or (local and size < _WORTH_THREADS):
        for item in todo:
            work(item)
        return
    if not local:
        with ThreadPoolExecutor(min(len(todo), _REMOTE_THREADS)) as pool:
            list(pool.map(work, todo))
        return
    # the calling thread works too, so that nothing is lost where the other processors are busy
    rest = [_helpers().submit(_each, work, todo) for _ in range(_THREADS - 1)]
    try:
        _each(work, todo)
    finally:
        todo.clear()
        errors = [e for helper in rest if not helper.cancel() and (e := helper.exception())]
    if errors:
        raise errors[0]


def _each(work: Callable[[Any], None], todo: list[Any]) -> None:
    while True:
        try:
            item = todo.pop()
        except IndexError:
            return
        work(item)


def _helpers() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(_THREADS - 1, "geneb-store")
    return _pool


def _forget_helpers() -> None:
    """Threads do not survive a fork."""
    global _pool
    _pool = None


_pool: ThreadPoolExecutor | None = None
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)
