"""Copying a store to a folder or an address, from where it is read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from geneb_jax.errors import StoreError
from geneb_jax.paths import confined
from geneb_jax.store import files, places
from geneb_jax.store.places import LISTING, Place, Remote
from geneb_jax.store.root import open_store

_PARTIAL: Final = re.compile(r"(.+)\.[0-9a-f]{32}\.partial")
"""What `files.write_atomic` leaves when it is killed."""


def copy_store(store: str | os.PathLike[str], to: str | os.PathLike[str]) -> tuple[int, int]:
    """Copy a store to a place that holds none; returns how many files and bytes.

    Chunks come first and what says that they are there comes last, the root's own metadata as the very last: until
    then there is no store at the new place, and the same call goes on from what a killed one left there. Raises
    StoreError when there is a store already, or in the folder a file that no copy of this store leaves.
    """
    source = open_store(store)
    target = places.find_place(to)
    if _holds(target):
        raise StoreError(
            "there is a store at this place already", where=str(to), cure="choose a new place, or delete it"
        )
    listing: dict[str, list[str]] = {}
    names = _walk(source.path, "", listing)
    # deeper first and metadata after the chunks: a reader never finds what it is told of missing
    names.sort(key=lambda name: (name == "zarr.json", name.endswith("zarr.json"), -name.count("/"), name))
    text = json.dumps({"geneb_type": "contents", "geneb_version": 1, "folders": listing}, sort_keys=True).encode()
    if isinstance(target, Path):
        _take_over(target, {*names, LISTING})
    size = 0
    for name in names[:-1]:
        try:
            data = _at(source.path, name).read_bytes()
        except FileNotFoundError:
            where = str(_at(source.path, name))
            raise StoreError("a chunk is missing", where=where, cure="`geneb verify` lists all damage") from None
        _put(target, name, data)
        size += len(data)
    _put(target, LISTING, text)
    last = _at(source.path, names[-1]).read_bytes()
    _put(target, names[-1], last)
    return len(names), size + len(last)


def _take_over(folder: Path, names: Collection[str]) -> None:
    """Delete the temporary files of a copy that was killed; refuse a folder that holds anything else of its own."""
    left = []
    for path in sorted(p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()) if folder.is_dir() else ():
        name = path.relative_to(folder).as_posix()
        partial = _PARTIAL.fullmatch(name)
        if name not in names and (partial is None or partial.group(1) not in names):
            raise StoreError(
                f"the folder is not empty, and this is no file of the store: {name}",
                where=str(folder),
                cure="choose a new place, or empty this one if it was left by a copy of another store",
            )
        if partial is not None:
            left.append(path)
    with files.writing(folder):
        for path in left:
            path.unlink(missing_ok=True)


def _holds(place: Place) -> bool:
    return (place / "zarr.json").exists()


def _at(place: Place, name: str) -> Place:
    return place / name


def _walk(place: Place, below: str, listing: dict[str, list[str]]) -> list[str]:
    """All files of a store by what its metadata say: arrays hold chunks, groups hold folders."""
    here = _at(place, below) if below else place
    meta = json.loads((here / "zarr.json").read_bytes())
    names = [f"{below}/zarr.json".lstrip("/")]
    if meta["node_type"] == "array":
        shape, grid = meta["shape"], meta["chunk_grid"]["configuration"]["chunk_shape"]
        inner = "/0" * (len(shape) - 1)
        return names + [f"{below}/c/{i}{inner}" for i in range(max(-(-shape[0] // grid[0]), 0))]
    listing[below] = []
    for folder in places.folders(here):
        child = f"{below}/{folder}".lstrip("/")
        if not (_at(place, child) / "zarr.json").exists():
            continue  # never finished, so never there
        listing[below].append(folder)
        names += _walk(place, child, listing)
    return names


def _put(place: Place, name: str, data: bytes) -> None:
    if isinstance(place, Remote):
        (place / name).write_bytes(data)
        return
    path = confined(Path(place), name, what="name of a file in a store", error=StoreError)
    with files.writing(path.parent, len(data)):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(path, [data])
