"""The bytes of one stored object (a Zarr shard, or a chunk where there are no shards), read and written directly.

The same bytes that Zarr's codecs ``sharding_indexed``, ``bytes``, ``zstd`` and ``crc32c`` read and write, without
their copies: rows go from the disk into the caller's array, and each chunk is compared with its CRC-32C there, while
it is in the processor's cache.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geneb_jax.store.places import Remote

_ABSENT: Final = 2**64 - 1
_CRC: Final = 4
_PAGE: Final = 4096
_PIECE: Final = 1 << 18
Bytes = NDArray[np.uint8]


class DamagedError(Exception):
    """A stored object that is not what was written; the text says how it shows."""


@dataclass(frozen=True)
class Layout:
    """How rows are cut: ``rows`` to a stored object, ``chunk`` rows to a checksum; ``row_bytes`` of one row."""

    rows: int
    chunk: int
    row_bytes: int
    sharded: bool
    zstd: bool

    @property
    def chunks(self) -> int:
        """Chunks in a full object."""
        return self.rows // self.chunk

    @property
    def index_bytes(self) -> int:
        """Size of the index at the end of a shard."""
        return 16 * self.chunks + _CRC if self.sharded else 0


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array that begins on a page.

    NumPy begins large ones 16 bytes after a page, and copying file pages there takes three times as long on some
    processors: each store then seems to depend on the load 16 bytes before it.
    """
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    room = np.empty(size + _PAGE, np.uint8)
    start = -room.ctypes.data % _PAGE
    return room[start : start + size].view(dtype).reshape(shape)


def crc(*parts: Bytes | bytes, value: int = 0) -> int:
    """CRC-32C over parts, as if they were one; ``value`` is that of what came before."""
    import google_crc32c

    for part in parts:
        if len(part):
            value = google_crc32c.extend(value, part)
    return int(value)


def encode(layout: Layout, block: NDArray[Any], fill: NDArray[Any]) -> list[Bytes | bytes]:
    """The object that holds ``block`` as its first rows, as a list of buffers; the last chunk is filled up."""
    data = _bytes(block)
    parts: list[Bytes | bytes] = []
    places: list[tuple[int, int]] = []
    at, size = 0, layout.chunk * layout.row_bytes
    for start in range(0, len(data), size):
        piece: list[Bytes | bytes] = [data[start : start + size]]
        if len(piece[0]) < size:
            piece.append(np.tile(_bytes(fill), (size - len(piece[0])) // fill.nbytes))
        if layout.zstd:
            from numcodecs.zstd import Zstd

            piece = [Zstd(level=1).encode(np.concatenate([np.frombuffer(p, np.uint8) for p in piece]))]
        piece.append(struct.pack("<I", crc(*piece)))
        places.append((at, sum(len(p) for p in piece)))
        at += places[-1][1]
        parts += piece
    if layout.sharded:
        places += [(_ABSENT, _ABSENT)] * (layout.chunks - len(places))
        index = struct.pack(f"<{2 * layout.chunks}Q", *(n for place in places for n in place))
        parts += [index, struct.pack("<I", crc(index))]
    return parts


def decode(layout: Layout, place: Path | Remote, start: int, out: NDArray[Any]) -> None:
    """Fill ``out`` with rows ``start`` and following of one object.

    Raises FileNotFoundError when there is none and DamagedError when it is not what was written.
    """
    target = _bytes(out)
    with _Source(place) as source:
        index = _index(layout, source)
        first, last = start // layout.chunk, (start + len(out) - 1) // layout.chunk
        for number in range(first, last + 1):
            begin = max(start, number * layout.chunk)
            end = min(start + len(out), (number + 1) * layout.chunk)
            part = target[(begin - start) * layout.row_bytes : (end - start) * layout.row_bytes]
            before = (begin - number * layout.chunk) * layout.row_bytes
            _chunk(layout, source, *index[number], before, part)


def walk(layout: Layout, place: Path | Remote, numbers: Sequence[int]) -> Iterator[Bytes]:
    """The bytes of some chunks of one object, each valid until the next is asked for. Raises as `decode` does."""
    scratch = empty((layout.chunk * layout.row_bytes,), np.dtype(np.uint8))
    with _Source(place) as source:
        index = _index(layout, source)
        for number in numbers:
            _chunk(layout, source, *index[number], 0, scratch)
            yield scratch


def _index(layout: Layout, source: _Source) -> list[tuple[int, int]]:
    if not source.size:
        raise DamagedError("empty")
    if not layout.sharded:
        return [(0, source.size)]
    tail = np.empty(layout.index_bytes, np.uint8)
    source.read(source.size - len(tail), tail)
    if crc(tail[:-_CRC]) != int(tail[-_CRC:].view("<u4")[0]):
        raise DamagedError("the index of its parts does not match its checksum")
    numbers = tail[:-_CRC].view("<u8").tolist()
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _chunk(layout: Layout, source: _Source, offset: int, size: int, before: int, part: Bytes) -> None:
    """One chunk, of which ``part`` takes the bytes from ``before`` on; the rest is read for the checksum only."""
    whole = layout.chunk * layout.row_bytes
    if offset == _ABSENT:
        raise DamagedError("a part of it was never written")
    if not layout.zstd:
        if size != whole + _CRC:
            raise DamagedError(f"a part has {size} bytes instead of {whole + _CRC}")
        value = 0
        for piece in (np.empty(before, np.uint8), part, np.empty(whole - before - len(part), np.uint8)):
            for at in range(0, len(piece), _PIECE):  # compared while it is in the processor's cache
                some = piece[at : at + _PIECE]
                source.read(offset, some)
                value = crc(some, value=value)
                offset += len(some)
        check = np.empty(_CRC, np.uint8)
        source.read(offset, check)
        if value != int(check.view("<u4")[0]):
            raise DamagedError("a part does not match its checksum")
        return
    from numcodecs.zstd import Zstd

    if size <= _CRC or size > source.size:
        raise DamagedError(f"a part has {size} bytes")
    packed = np.empty(size, np.uint8)
    source.read(offset, packed)
    if crc(packed[:-_CRC]) != int(packed[-_CRC:].view("<u4")[0]):
        raise DamagedError("a part does not match its checksum")
    data = np.frombuffer(Zstd().decode(packed[:-_CRC]), np.uint8)
    if len(data) != whole:
        raise DamagedError(f"a part unpacks to {len(data)} bytes instead of {whole}")
    part[:] = data[before : before + len(part)]


class _Source:
    """Scattered reading from an open local file, or from a remote object that is fetched whole."""

    def __init__(self, place: Path | Remote) -> None:
        self._handle = -1
        self._data = b""
        if isinstance(place, Path):
            self._handle = os.open(place, os.O_RDONLY)
            self.size = os.fstat(self._handle).st_size
        else:
            self._data = place.read_bytes()
            self.size = len(self._data)

    def __enter__(self) -> _Source:
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle >= 0:
            os.close(self._handle)

    def read(self, offset: int, into: Bytes) -> None:
        """Fill a buffer. Raises DamagedError when the object ends before it is full."""
        if offset < 0 or offset + len(into) > self.size:
            raise DamagedError("it is too short")
        if self._handle < 0:
            into[:] = np.frombuffer(self._data, np.uint8, len(into), offset)
            return
        while len(into):
            got = os.preadv(self._handle, [into.data], offset)
            if not got:
                raise DamagedError("it is too short")
            into, offset = into[got:], offset + got


def _bytes(block: NDArray[Any]) -> Bytes:
    return block.reshape(-1).view(np.uint8)
