"""Zarr as this store uses it: arrays whose new rows appear all at once, and errors that name the chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.array_spec import ArrayConfigParams
from zarr.errors import ContainsGroupError
from zarr.storage import LocalStore

from geneb_jax.errors import StoreError
from geneb_jax.store.format import DIGEST_BYTES, VERSION

Array = zarr.Array[Any]
Compression = Literal["none", "zstd"]

# chunks are always written, so that a missing one is a fault and never a block of fill values
_CONFIG: Final[ArrayConfigParams] = {"write_empty_chunks": True}
_SHARD_BYTES: Final = 16 << 20
_CHUNKS_PER_SHARD: Final = 4
DAMAGED_CURE: Final = (
    "`geneb verify` lists all damage; restore the folder from a copy, or delete this element's folder and embed again"
)


def default_rows(width: int) -> int:
    """Rows of a shard, also of a commit of the embed loop: a power of two, about 16 MiB, 256 to 4,096."""
    wanted = _SHARD_BYTES // (4 * width)
    return max(256, min(4096, 1 << max(wanted, 1).bit_length() - 1))


def create_embeddings(root: Path, key: str, width: int, rows: int, compression: Compression) -> None:
    """An empty array of vectors.

    Everything of an element is created in a Zarr store of its own: Zarr writes missing parents too, and the
    root belongs to all writers.
    """
    chunk = rows // _CHUNKS_PER_SHARD if rows % _CHUNKS_PER_SHARD == 0 else rows
    checks = (Crc32cCodec(),) if compression == "none" else (ZstdCodec(level=1), Crc32cCodec())
    zarr.create_array(
        LocalStore(root / key),
        name="embeddings",
        shape=(0, width),
        shards=(rows, width),
        chunks=(chunk, width),
        dtype="float32",
        compressors=checks,
        fill_value=np.nan,
        attributes={"geneb_type": "embeddings", "geneb_version": VERSION, "commits": []},
        overwrite=False,
    )


def create_digests(root: Path, key: str, rows: int) -> None:
    """An empty array of sequence digests."""
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
    zarr.create_array(
        LocalStore(element),
        name=name,
        data=np.ascontiguousarray(values, dtype="<i8"),
        chunks=(max(len(values), 1),),
        compressors=(Crc32cCodec(),),
        fill_value=-1,
        attributes={"geneb_type": geneb_type, "geneb_version": VERSION},
        overwrite=True,
        config=_CONFIG,
    )


def create_root(root: Path) -> None:
    """The group that holds all elements; another process may have made it a moment ago."""
    try:
        zarr.create_group(LocalStore(root), attributes={"geneb_type": "store", "geneb_version": VERSION})
    except ContainsGroupError:
        return


def put_attributes(element: Path, name: str, attributes: dict[str, Any]) -> None:
    """Write the attributes of an element's group at one instant, creating the group when it is not there."""
    group = zarr.open_group(LocalStore(element), path=name, mode="a")
    group.update_attributes(attributes)


def group_attributes(root: Path, key: str) -> dict[str, Any]:
    """A group's attributes. Raises StoreError when there is no group or its metadata cannot be read."""
    try:
        group = zarr.open_group(LocalStore(root, read_only=True), path=key, mode="r")
    except FileNotFoundError as error:
        raise StoreError(
            "there is no Zarr group here", where=str(root / key), cure="check the path; " + DAMAGED_CURE
        ) from error
    except Exception as error:  # a damaged zarr.json fails in Zarr's parser in many ways
        raise StoreError(
            f"the group's metadata cannot be read: {error}",
            where=str(root / key / "zarr.json"),
            cure=DAMAGED_CURE,
        ) from error
    return dict(group.attrs.asdict())


def check_type(attributes: dict[str, Any], geneb_type: str, where: Path) -> None:
    """Raise StoreError unless something is what it should be, in a version this package reads."""
    found = attributes.get("geneb_type")
    if found != geneb_type:
        raise StoreError(
            f"this is not a geneb_jax {geneb_type} (its geneb_type is {found!r})",
            where=str(where),
            cure="check the path; a store is made by `geneb embed … --store PATH`",
        )
    version = attributes.get("geneb_version")
    if version != VERSION:
        raise StoreError(
            f"this {geneb_type} has format version {version!r}, and this package reads version {VERSION}",
            where=str(where),
            cure="install the version of geneb_jax that wrote it, or a newer one; otherwise embed again",
        )


def open_array(root: Path, key: str, geneb_type: str, *, writable: bool) -> Array:
    """Open one of our arrays and check its type. Raises StoreError."""
    try:
        opened = zarr.open_array(
            LocalStore(root, read_only=not writable), path=key, mode="r+" if writable else "r"
        ).with_config(_CONFIG)
    except FileNotFoundError as error:
        raise StoreError("an array is missing", where=str(root / key), cure=DAMAGED_CURE) from error
    except Exception as error:  # a damaged zarr.json fails in Zarr's parser in many ways
        raise StoreError(
            f"the array's metadata cannot be read: {error}",
            where=str(root / key / "zarr.json"),
            cure=DAMAGED_CURE,
        ) from error
    check_type(dict(opened.attrs.asdict()), geneb_type, root / key)
    return opened


def grown(array: Array, rows: int, attributes: dict[str, Any] | None = None) -> Array:
    """The same array with more rows and other attributes, in memory only: `publish` makes it so on disk."""
    metadata = array.metadata.update_shape((rows, *array.shape[1:]))
    metadata = metadata.update_attributes({**array.attrs.asdict(), **(attributes or {})})
    return zarr.Array(zarr.AsyncArray(metadata, array.store_path, array.config))


def publish(array: Array) -> None:
    """Replace ``zarr.json``, shape and attributes together, in one atomic rename."""
    array.update_attributes({})


def shard_rows(array: Array) -> int:
    """Rows of one stored object of an array."""
    shards = array.shards
    return int((shards or array.chunks)[0])


def shard_key(array: Array, shard: int) -> str:
    """Where one stored object of an array lies, relative to the array."""
    return str(array.metadata.encode_chunk_key((shard,) + (0,) * (array.ndim - 1)))


def shard_path(root: Path, array: Array, shard: int) -> Path:
    """The file that holds one stored object of an array."""
    return root / array.path / shard_key(array, shard)


def shards_of(array: Array, start: int, stop: int) -> range:
    """The stored objects that hold rows ``start`` to ``stop``."""
    size = shard_rows(array)
    return range(start // size, -(-stop // size))


def read_rows(root: Path, array: Array, start: int, stop: int) -> NDArray[Any]:
    """Rows ``start`` to ``stop``, every checksum compared. Raises StoreError naming the bad chunk."""
    if stop <= start:
        return np.empty((0, *array.shape[1:]), array.dtype)
    for shard in shards_of(array, start, stop):
        path = shard_path(root, array, shard)
        # Zarr takes a missing object, and within shards an empty one, for fill values
        if not path.is_file():
            raise StoreError("a chunk is missing", where=str(path), cure=DAMAGED_CURE)
        if not path.stat().st_size:
            raise StoreError("a chunk is damaged (empty)", where=str(path), cure=DAMAGED_CURE)
    try:
        return np.asarray(array[start:stop])
    except Exception as error:  # a truncated or altered chunk fails in any codec of the chain
        size = shard_rows(array)
        for shard in shards_of(array, start, stop):
            try:
                array[max(start, shard * size) : min(stop, (shard + 1) * size)]
            except Exception as inner:
                raise StoreError(
                    f"a chunk is damaged (truncated or altered): {inner}",
                    where=str(shard_path(root, array, shard)),
                    cure=DAMAGED_CURE,
                ) from inner
        raise StoreError(f"reading failed: {error}", where=str(root / array.path), cure=DAMAGED_CURE) from error
