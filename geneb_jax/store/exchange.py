"""Export of one element to a file that other programs read, and its exact way back.

Every file carries the same record beside the vectors: the manifest with its digest, the precision, the split indexes
and `content_digest`, which import recomputes before it writes anything. Vectors are those of the store bit for bit;
where a format has no bfloat16 (Parquet) or few readers of half precision (AnnData), they are widened to float32 and
narrowed again, both exact.

- **safetensors**, one file: tensors ``embeddings`` (rows × width; F32, F16 or BF16), ``digests`` (rows × 32, U8) and
  for the i-th split ``split-i/rows`` and ``split-i/labels`` (I64); the record is the metadata entry ``geneb``.
- **parquet**, a folder: ``embeddings.parquet`` with columns ``digest`` (32 bytes) and ``embedding`` (a list of width
  numbers), and ``splits.parquet`` with columns ``split`` (its number in the record), ``row`` and ``label``; the record
  is the schema's metadata entry ``geneb``.
- **h5ad**, one file: an AnnData with X the vectors (float32), ``obs_names`` the digests in hex, ``uns["geneb"]`` the
  record and ``uns["geneb_splits"]`` the arrays. AnnData is written from memory: the element must fit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import StoreError, UsageError
from geneb_jax.store import files
from geneb_jax.store.arrays import Compression
from geneb_jax.store.element import EmbeddingStore
from geneb_jax.store.format import READABLE, VERSION, Manifest, SplitIndex
from geneb_jax.store.merge import Merged, Policy, merge_element
from geneb_jax.store.root import open_store
from geneb_jax.store.sources import ElementSource, Source, content_digest, describe, restore

Format = Literal["safetensors", "parquet", "h5ad"]
FORMATS: Final[tuple[Format, ...]] = ("safetensors", "parquet", "h5ad")
TYPE: Final = "embeddings-export"


@dataclass(frozen=True)
class FileSource:
    """An exported file as a source; ``read`` gives rows as stored."""

    where: str
    manifest: Manifest
    num_rows: int
    commit_rows: int
    compression: Compression
    recorded: str
    _measures: dict[str, Any] = field(repr=False)
    _digests: NDArray[np.uint8] = field(repr=False)
    _splits: list[SplitIndex] = field(repr=False)
    _read: Callable[[int, int], NDArray[Any]] = field(repr=False)

    def digests(self) -> NDArray[np.uint8]:
        """SHA-256 of every sequence."""
        return self._digests

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Rows as stored."""
        return self._read(start, stop)

    def splits(self) -> list[SplitIndex]:
        """All split indexes."""
        return self._splits

    def measures(self) -> dict[str, dict[str, str | int | float]]:
        """What was measured when the vectors were made."""
        return self._measures


def export_element(element: EmbeddingStore, format: Format, out: str | os.PathLike[str]) -> str:  # noqa: A002
    """Write an element to a file (Parquet: a folder) and return its content digest. Raises StoreError."""
    target = Path(out)
    if target.exists():
        raise StoreError("there is something at this path already", where=str(out), cure="choose a new path for --out")
    module = _module(format)
    source = ElementSource(element)
    content = content_digest(source)
    splits = source.splits()
    record = {
        "geneb_type": TYPE,
        "geneb_version": VERSION,
        "kind": source.manifest.kind,
        "manifest": source.manifest.as_json(),
        "manifest_digest": source.manifest.digest,
        "rows": source.num_rows,
        "commit_rows": source.commit_rows,
        "compression": source.compression,
        "content_digest": content,
        "measures": source.measures(),
        "splits": [describe(split) for split in splits],
    }
    partial = target.with_name(f".{target.name}.partial")
    with files.writing(target):
        files.remove(partial)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            module.write(partial, source, splits, json.dumps(record, sort_keys=True))
            os.replace(partial, target)
        finally:
            files.remove(partial)
    return content


def import_file(
    path: str | os.PathLike[str], into: str | os.PathLike[str], *, conflicts: Policy = "refuse", wait: float = 0.0
) -> Merged:
    """Bring an exported file into a store, as `merge` would. Raises StoreError when it is not what was exported."""
    source = open_file(path)
    try:
        found = content_digest(source)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"this file cannot be read to its end: {error}", where=str(path), cure="export it again"
        ) from error
    if found != source.recorded:
        raise StoreError(
            f"what this file holds is not what was exported: its content digest is {found[:12]}, "
            f"recorded is {source.recorded[:12]}",
            where=str(path),
            cure="the file was changed or damaged; export it again. Nothing was imported",
        )
    with open_store(into, "a", wait=wait) as store:
        return merge_element([source], store, conflicts)


def open_file(path: str | os.PathLike[str]) -> FileSource:
    """An exported file, its record checked. Raises StoreError."""
    place = Path(path)
    if not place.exists():
        raise StoreError("there is no such file", where=str(path), cure="check the path")
    name: Format = "parquet" if place.is_dir() else "h5ad" if place.suffix == ".h5ad" else "safetensors"
    try:
        text, arrays = _module(name).read(place)
        record = json.loads(text)
        if record["geneb_type"] != TYPE:
            raise ValueError(f"its geneb_type is {record['geneb_type']!r}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise StoreError(
            f"this is no file that `geneb store export` wrote, or it is damaged: {error}", where=str(path)
        ) from error
    if record["geneb_version"] not in READABLE:
        raise StoreError(
            f"this file has format version {record['geneb_version']!r}, and this package reads 1 to {VERSION}",
            where=str(path),
            cure="install a newer version of geneb_jax",
        )
    manifest = Manifest.from_json(record["manifest"], record["kind"])
    rows, digests, splits, read = record["rows"], arrays.digests, arrays.splits, arrays.read
    if (
        manifest.digest != record["manifest_digest"]
        or digests.shape != (rows, 32)
        or arrays.shape
        != (
            rows,
            manifest.width,
        )
    ):
        raise StoreError(
            "the manifest and the arrays of this file do not belong together", where=str(path), cure="export it again"
        )
    if len(splits) != len(record["splits"]) or any(
        len(s[0]) and not 0 <= s[0].min() <= s[0].max() < rows for s in splits
    ):
        raise StoreError("the split indexes of this file are damaged", where=str(path), cure="export it again")
    return FileSource(
        where=str(path),
        manifest=manifest,
        num_rows=rows,
        commit_rows=record["commit_rows"],
        compression=record["compression"],
        recorded=record["content_digest"],
        _measures=record["measures"],
        _digests=digests,
        _splits=[restore(d, *s) for d, s in zip(record["splits"], splits, strict=True)],
        _read=lambda start, stop: read(start, stop, manifest.dtype),
    )


def _module(format: Format) -> Any:  # noqa: A002
    if format not in FORMATS:
        raise UsageError(f"there is no format {format!r}", cure=f"choose one of {', '.join(FORMATS)}")
    import importlib

    return importlib.import_module(f"geneb_jax.store.exchange_{format}")


__all__ = ["FORMATS", "FileSource", "Format", "Source", "export_element", "import_file", "open_file"]
