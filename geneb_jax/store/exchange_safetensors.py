"""An element as one safetensors file, written in a stream: no more than a few megabytes are held at a time."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np

from geneb_jax.errors import StoreError
from geneb_jax.store.exchange_arrays import FileArrays
from geneb_jax.store.format import SplitIndex
from geneb_jax.store.sources import Source, blocks

_NAMES: Final = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_TYPES: Final = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "u1", "I64": "<i8"}
_LARGEST_HEADER: Final = 1 << 30


def write(path: Path, source: Source, splits: list[SplitIndex], record: str) -> None:
    """Write the file: eight bytes of length, the header in JSON, the tensors one after the other."""
    digests = source.digests()
    item = 4 if source.manifest.dtype == "float32" else 2
    header: dict[str, Any] = {"__metadata__": {"geneb": record}}
    at = 0

    def place(name: str, kind: str, shape: list[int], size: int) -> None:
        nonlocal at
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
        at += size

    shape = [source.num_rows, source.manifest.width]
    place("embeddings", _NAMES[source.manifest.dtype], shape, shape[0] * shape[1] * item)
    for i, split in enumerate(splits):
        place(f"split-{i}/rows", "I64", [len(split)], 8 * len(split))
        place(f"split-{i}/labels", "I64", [len(split)], 8 * len(split))
    place("digests", "U8", list(digests.shape), digests.size)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for start, stop in blocks(source):
            out.write(np.ascontiguousarray(source.stored(start, stop)).data.cast("B"))
        for split in splits:
            out.write(np.ascontiguousarray(split.rows, dtype="<i8").tobytes())
            out.write(np.ascontiguousarray(split.labels, dtype="<i8").tobytes())
        out.write(digests.tobytes())
        out.flush()
        os.fsync(out.fileno())


def read(path: Path) -> tuple[str, FileArrays]:
    """The record and the arrays, mapped and not loaded. Raises ValueError for a file of another kind."""
    # mapped by hand: the library's NumPy reader knows no bfloat16 and copies every slice
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        size = path.stat().st_size
        if not 2 <= length <= min(size - 8, _LARGEST_HEADER):
            raise ValueError(f"a header of {length} bytes in a file of {size}")
        header = json.loads(file.read(length))

    def tensor(name: str) -> np.memmap[Any, Any]:
        entry = header[name]
        dtype, (start, stop) = np.dtype(_TYPES[entry["dtype"]]), entry["data_offsets"]
        shape = tuple(int(n) for n in entry["shape"])
        count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if start < 0 or stop - start != count or 8 + length + stop > size:
            raise ValueError(f"tensor {name} lies outside the file")
        if not count:
            return np.empty(shape, dtype)  # type: ignore[return-value]
        return np.memmap(path, dtype, "r", 8 + length + start, shape)

    vectors = tensor("embeddings")

    def rows(start: int, stop: int, dtype: str) -> np.ndarray[Any, Any]:
        if _NAMES[dtype] != header["embeddings"]["dtype"]:
            raise StoreError(f"the vectors of this file are not {dtype}", where=str(path), cure="export it again")
        return np.array(vectors[start:stop])

    count = sum(name.endswith("/rows") for name in header)
    splits = [(np.array(tensor(f"split-{i}/rows")), np.array(tensor(f"split-{i}/labels"))) for i in range(count)]
    text = str(header["__metadata__"]["geneb"])
    return text, FileArrays(tuple(vectors.shape), np.array(tensor("digests")), splits, rows)
