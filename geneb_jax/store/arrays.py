"""The Zarr arrays and groups of a store: made with Zarr, opened from their metadata, read and written by `chunks`.

New rows appear all at once, and errors name the chunk.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import StoreError
from geneb_jax.store import chunks, dtypes, files, places
from geneb_jax.store.format import DIGEST_BYTES, READABLE, VERSION
from geneb_jax.store.places import Place

Compression = Literal["none", "zstd"]

_SHARD_BYTES: Final = 16 << 20
_CHUNKS_PER_SHARD: Final = 4
DAMAGED_CURE: Final = (
    "`geneb verify` lists all damage and `geneb verify --repair` sets it aside, so that `geneb embed` can fill the gap"
)


@dataclass(frozen=True)
class Array:
    """An array of a store as its ``zarr.json`` says."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    layout: chunks.Layout
    fill: float | int
    attributes: dict[str, Any] = field(repr=False)
    meta: dict[str, Any] = field(repr=False)

    @property
    def rows(self) -> int:
        """Length of the first axis."""
        return self.shape[0]


def default_rows(width: int) -> int:
    """Rows of a shard, also of a commit of the embed loop: a power of two, about 16 MiB, 256 to 4,096."""
    wanted = _SHARD_BYTES // (4 * width)
    return max(256, min(4096, 1 << max(wanted, 1).bit_length() - 1))


def create_embeddings(root: Path, key: str, width: int, rows: int, compression: Compression, dtype: str) -> None:
    """An empty array of vectors.

    Everything of an element is created in a Zarr store of its own: Zarr writes missing parents too, and the
    root belongs to all writers.
    """
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec
    from zarr.storage import LocalStore

    chunk = rows // _CHUNKS_PER_SHARD if rows % _CHUNKS_PER_SHARD == 0 else rows
    checks = (Crc32cCodec(),) if compression == "none" else (ZstdCodec(level=1), Crc32cCodec())
    zarr.create_array(
        LocalStore(root / key),
        name="embeddings",
        shape=(0, width),
        shards=(rows, width),
        chunks=(chunk, width),
        dtype=dtypes.STORED[dtype],
        compressors=checks,
        fill_value=dtypes.FILL[dtype],
        attributes={"geneb_type": "embeddings", "geneb_version": VERSION, "commits": []},
        overwrite=False,
    )


def create_digests(root: Path, key: str, rows: int) -> None:
    """An empty array of sequence digests."""
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import LocalStore

    zarr.create_array(
        LocalStore(root / key),
        name="digests",
        shape=(0, DIGEST_BYTES),
        chunks=(rows, DIGEST_BYTES),
        dtype="uint8",
        compressors=(Crc32cCodec(),),
        fill_value=0,
        attributes={"geneb_type": "digests", "geneb_version": VERSION},
        overwrite=False,
    )


def create_ints(element: Path, name: str, values: NDArray[np.int64], geneb_type: str) -> None:
    """A one-chunk array of int64, replacing whatever an interrupted writer left in its place."""
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import LocalStore

    zarr.create_array(
        LocalStore(element),
        name=name,
        data=np.ascontiguousarray(values, dtype="<i8"),
        chunks=(max(len(values), 1),),
        compressors=(Crc32cCodec(),),
        fill_value=-1,
        attributes={"geneb_type": geneb_type, "geneb_version": VERSION},
        overwrite=True,
        config={"write_empty_chunks": True},  # a missing chunk is a fault and never a block of fill values
    )


def create_root(root: Path) -> None:
    """The group that holds all elements; another process may have made it a moment ago."""
    import zarr
    from zarr.errors import ContainsGroupError
    from zarr.storage import LocalStore

    try:
        zarr.create_group(LocalStore(root), attributes={"geneb_type": "store", "geneb_version": VERSION})
    except ContainsGroupError:
        return


def put_attributes(element: Path, name: str, attributes: dict[str, Any]) -> None:
    """Write the attributes of an element's group at one instant, creating the group when it is not there."""
    import zarr
    from zarr.storage import LocalStore

    group = zarr.open_group(LocalStore(element), path=name, mode="a")
    group.update_attributes(attributes)


def read_meta(place: Place, node: str) -> dict[str, Any]:
    """The ``zarr.json`` of a group or array. Raises FileNotFoundError, or StoreError when it cannot be read."""
    path = place / "zarr.json"
    try:
        meta = json.loads(places.read_bytes(path))
        if meta["zarr_format"] != 3 or meta["node_type"] != node or not isinstance(meta["attributes"], dict):
            raise ValueError(f"no Zarr v3 {node}")
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(str(path)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"the {node}'s metadata cannot be read: {error!r}", where=str(path), cure=DAMAGED_CURE
        ) from error
    return dict(meta)


def group_attributes(root: Place, key: str) -> dict[str, Any]:
    """A group's attributes. Raises StoreError when there is no group or its metadata cannot be read."""
    place = root / key if key else root
    try:
        return dict(read_meta(place, "group")["attributes"])
    except FileNotFoundError as error:
        raise StoreError(
            "there is no Zarr group here", where=str(place), cure="check the path; " + DAMAGED_CURE
        ) from error


def check_type(attributes: dict[str, Any], geneb_type: str, where: Place) -> None:
    """Raise StoreError unless something is what it should be, in a version this package reads."""
    found = attributes.get("geneb_type")
    if found != geneb_type:
        raise StoreError(
            f"this is not a geneb_jax {geneb_type} (its geneb_type is {found!r})",
            where=str(where),
            cure="check the path; a store is made by `geneb embed … --store PATH`",
        )
    version = attributes.get("geneb_version")
    if version not in READABLE:
        raise StoreError(
            f"this {geneb_type} has format version {version!r}, and this package reads versions 1 to {VERSION}",
            where=str(where),
            cure="install the version of geneb_jax that wrote it, or a newer one; otherwise embed again",
        )


def open_array(root: Place, key: str, geneb_type: str) -> Array:
    """Open one of our arrays and check its type. Raises StoreError."""
    place = root / key
    try:
        meta = read_meta(place, "array")
    except FileNotFoundError as error:
        raise StoreError("an array is missing", where=str(place), cure=DAMAGED_CURE) from error
    check_type(meta["attributes"], geneb_type, place)
    try:
        return _parse(key, meta)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StoreError(
            f"the array's metadata is not as a store writes it: {error!r}",
            where=str(place / "zarr.json"),
            cure=DAMAGED_CURE,
        ) from error


def _parse(key: str, meta: dict[str, Any]) -> Array:
    shape = tuple(int(n) for n in meta["shape"])
    dtype = np.dtype(str(meta["data_type"])).newbyteorder("<")
    grid = [int(n) for n in meta["chunk_grid"]["configuration"]["chunk_shape"]]
    codecs, chunk = list(meta["codecs"]), grid[0]
    sharded = codecs[0]["name"] == "sharding_indexed"
    if sharded:
        inner = codecs[0]["configuration"]
        if len(codecs) != 1 or inner.get("index_location", "end") != "end":
            raise ValueError("shards of another kind")
        if [c["name"] for c in inner["index_codecs"]] != ["bytes", "crc32c"]:
            raise ValueError("shards with another index")
        codecs, chunk = list(inner["codecs"]), int(inner["chunk_shape"][0])
        if [chunk, *grid[1:]] != [int(n) for n in inner["chunk_shape"]]:
            raise ValueError("chunks that are narrower than the array")
    names = [c["name"] for c in codecs]
    if names not in (["bytes", "crc32c"], ["bytes", "zstd", "crc32c"]):
        raise ValueError(f"codecs {names}")
    if codecs[0].get("configuration", {}).get("endian", "little") != "little":
        raise ValueError("big-endian numbers")
    if (
        grid[1:] != list(shape[1:])
        or min(grid) < 1
        or grid[0] % chunk
        or min(shape, default=-1) < 0
        or meta["chunk_key_encoding"] != {"name": "default", "configuration": {"separator": "/"}}
    ):
        raise ValueError("chunks of another shape")
    row_bytes = math.prod(shape[1:]) * dtype.itemsize
    layout = chunks.Layout(grid[0], chunk, row_bytes, sharded, "zstd" in names)
    fill = np.nan if meta["fill_value"] == "NaN" else meta["fill_value"]
    return Array(key, shape, dtype, layout, fill, dict(meta["attributes"]), meta)


def grown(array: Array, rows: int, attributes: dict[str, Any] | None = None) -> Array:
    """The same array with more rows and other attributes, in memory only: `publish` makes it so on disk."""
    shape = (rows, *array.shape[1:])
    attributes = {**array.attributes, **(attributes or {})}
    meta = {**array.meta, "shape": list(shape), "attributes": attributes}
    return replace(array, shape=shape, attributes=attributes, meta=meta)


def publish(root: Path, array: Array) -> None:
    """Replace ``zarr.json``, shape and attributes together, in one atomic rename."""
    files.write_atomic(root / array.path / "zarr.json", [json.dumps(array.meta, indent=2).encode()])
    files.sync_files([root / array.path])


def shard_key(array: Array, shard: int) -> str:
    """Where one stored object of an array lies, relative to the array."""
    return "/".join(["c", str(shard), *("0" for _ in array.shape[1:])])


def shard_path(root: Path, array: Array, shard: int) -> Path:
    """The file that holds one stored object of an array."""
    return root / array.path / shard_key(array, shard)


def shards_of(array: Array, start: int, stop: int) -> range:
    """The stored objects that hold rows ``start`` to ``stop``."""
    size = array.layout.rows
    return range(start // size, -(-stop // size))
