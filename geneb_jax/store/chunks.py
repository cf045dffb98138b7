"""The bytes of one stored object (a Zarr shard, or a chunk where there are no shards), read and written directly.

The same bytes that Zarr's codecs ``sharding_indexed``, ``bytes``, ``zstd`` and ``crc32c`` read and write, without
their copies: rows go from the disk into the caller's array, and each chunk is compared with its CRC-32C there, while
it is in the processor's cache.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geneb_jax.store.places import Remote

_ABSENT: Final = 2**64 - 1
_CRC: Final = 4
_PAGE: Final = 4096
_PIECE: Final = 1 << 19
_MOST_BUFFERS: Final = 256  # of one system call
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
    size = math.prod(shape) * dtype.itemsize
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
    data = as_bytes(block)
    parts: list[Bytes | bytes] = []
    places: list[tuple[int, int]] = []
    at, size = 0, layout.chunk * layout.row_bytes
    for start in range(0, len(data), size):
        piece: list[Bytes | bytes] = [data[start : start + size]]
        if len(piece[0]) < size:
            piece.append(np.tile(as_bytes(fill), (size - len(piece[0])) // fill.nbytes))
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


def decode(layout: Layout, place: Path | Remote, wanted: Sequence[tuple[int, Sequence[Bytes]]]) -> None:
    """For each numbered chunk of one object, fill its pieces, in order and to the last byte.

    Raises FileNotFoundError when there is no object and DamagedError when it is not what was written.
    """
    with _Source(place) as source:
        index = _index(layout, source)
        for number, pieces in wanted:
            offset = _locate(layout, *index[number])
            if layout.zstd:
                data, at = _unpack(layout, source, *index[number]), 0
                for piece in pieces:
                    piece[:] = data[at : at + len(piece)]
                    at += len(piece)
                continue
            value, check = 0, np.empty(_CRC, np.uint8)
            batches = list(_batches(pieces))
            for batch in batches:  # compared while it is in the processor's cache
                offset += source.read(offset, [*batch, check] if batch is batches[-1] else batch)
                value = crc(*batch, value=value)
            _compare(check, value)


def stream(layout: Layout, place: Path | Remote, numbers: Sequence[int], take: Callable[[int, Bytes], None]) -> None:
    """Hand out numbered chunks of one object, some rows at a time, each with the number of its first row in the object.

    The bytes are valid during the call only, and are proved when all calls are done. Raises as `decode` does.
    """
    step = max(1, _PIECE // layout.row_bytes)
    scratch = np.empty(0, np.uint8) if layout.zstd else empty((step * layout.row_bytes,), np.dtype(np.uint8))
    with _Source(place) as source:
        index = _index(layout, source)
        for number in numbers:
            offset, value = _locate(layout, *index[number]), 0
            if layout.zstd:
                take(number * layout.chunk, _unpack(layout, source, *index[number]))
                continue
            for first in range(0, layout.chunk, step):
                part = scratch[: min(step, layout.chunk - first) * layout.row_bytes]
                offset += source.read(offset, [part])
                value = crc(part, value=value)
                take(number * layout.chunk + first, part)
            check = np.empty(_CRC, np.uint8)
            source.read(offset, [check])
            _compare(check, value)


def _locate(layout: Layout, offset: int, size: int) -> int:
    if offset == _ABSENT:
        raise DamagedError("a part of it was never written")
    whole = layout.chunk * layout.row_bytes
    if not layout.zstd and size != whole + _CRC:
        raise DamagedError(f"a part has {size} bytes instead of {whole + _CRC}")
    return offset


def _compare(check: Bytes, value: int) -> None:
    if value != int(check.view("<u4")[0]):
        raise DamagedError("a part does not match its checksum")


def _batches(pieces: Sequence[Bytes]) -> Iterator[list[Bytes]]:
    """The pieces, cut where they are long, in groups of some hundred kilobytes."""
    batch: list[Bytes] = []
    room = _PIECE
    for piece in pieces:
        rest, size = piece, len(piece)
        while size > room:
            yield [*batch, rest[:room]]
            rest, size = rest[room:], size - room
            batch, room = [], _PIECE
        if size:
            batch.append(rest)
            room -= size
        if not room or len(batch) == _MOST_BUFFERS:
            yield batch
            batch, room = [], _PIECE
    if batch:
        yield batch


def _unpack(layout: Layout, source: _Source, offset: int, size: int) -> Bytes:
    from numcodecs.zstd import Zstd

    if size <= _CRC or size > source.size:
        raise DamagedError(f"a part has {size} bytes")
    packed = np.empty(size, np.uint8)
    source.read(offset, [packed])
    if crc(packed[:-_CRC]) != int(packed[-_CRC:].view("<u4")[0]):
        raise DamagedError("a part does not match its checksum")
    data = np.frombuffer(Zstd().decode(packed[:-_CRC]), np.uint8)
    if len(data) != layout.chunk * layout.row_bytes:
        raise DamagedError(f"a part unpacks to {len(data)} bytes instead of {layout.chunk * layout.row_bytes}")
    return data


def _index(layout: Layout, source: _Source) -> list[tuple[int, int]]:
    if not source.size:
        raise DamagedError("empty")
    if not layout.sharded:
        return [(0, source.size)]
    tail = np.empty(layout.index_bytes, np.uint8)
    source.read(source.size - len(tail), [tail])
    if crc(tail[:-_CRC]) != int(tail[-_CRC:].view("<u4")[0]):
        raise DamagedError("the index of its parts does not match its checksum")
    numbers = tail[:-_CRC].view("<u8").tolist()
    return list(zip(numbers[::2], numbers[1::2], strict=True))


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

    def read(self, offset: int, into: Sequence[Bytes]) -> int:
        """Fill buffers one after the other; how many bytes. Raises DamagedError when the object ends before that."""
        wanted = sum(map(len, into))
        if offset < 0 or offset + wanted > self.size:
            raise DamagedError("it is too short")
        if self._handle >= 0 and os.preadv(self._handle, into, offset) == wanted:  # type: ignore[arg-type]
            return wanted
        for buffer in into:  # a remote object, or the system read less than it was asked for
            if self._handle < 0:
                buffer[:] = np.frombuffer(self._data, np.uint8, len(buffer), offset)
            else:
                self._fill(offset, buffer)
            offset += len(buffer)
        return wanted

    def _fill(self, offset: int, buffer: Bytes) -> None:
        while len(buffer):
            got = os.preadv(self._handle, [buffer.data], offset)
            if not got:
                raise DamagedError("it is too short")
            buffer, offset = buffer[got:], offset + got


def as_bytes(block: NDArray[Any]) -> Bytes:
    """A contiguous array as bytes, not copied."""
    return block.reshape(-1).view(np.uint8)
