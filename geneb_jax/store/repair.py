"""Repair: what cannot be proved sound is taken out of a store, and is set aside, never deleted.

A commit of rows stays only if all of it is readable and both its SHA-256 match the journal. The others are dropped:
their sequences are missing again, and `geneb embed` computes them anew. A split index stays only if it is sound and all
its rows stay.

Where rows are dropped the element is built anew under ``.repair``, then the old one is renamed into ``.damaged`` and
the new one takes its name. Killed at any moment, either the old element is in place, or the new one is complete under
``.repair``, where `geneb verify` names it and the next repair puts it in place.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import StoreError
from geneb_jax.store import arrays, files, places, rowio, splits
from geneb_jax.store.element import EmbeddingStore
from geneb_jax.store.format import DIGEST_BYTES, READABLE, VERSION, Commit, Fault, Manifest, SplitIndex, sha256
from geneb_jax.store.index import DigestIndex, repeated
from geneb_jax.store.journal import check_shapes, read_commits, read_manifest
from geneb_jax.store.measures import put_measure
from geneb_jax.store.root import DAMAGED, REPAIR, create_element, is_unfinished
from geneb_jax.store.verify import verify_element


@dataclass(frozen=True)
class Repaired:
    """What was done about the faults of one element, in numbers and in a sentence."""

    key: str
    faults: tuple[Fault, ...]
    what: str
    kept: int = 0
    dropped: int = 0
    splits: tuple[str, ...] = ()
    set_aside: str | None = None


def repair_store(path: str | os.PathLike[str], *, wait: float = 0.0) -> list[Repaired]:
    """Repair every element that has faults; an empty list when the store is sound. Raises StoreError."""
    root = places.require_local(places.find_place(path), "repair")
    if not root.is_dir():
        raise StoreError("there is no store here", where=str(root), cure="check the path")
    for name in ("zarr.json", REPAIR, DAMAGED, *places.folders(root)):
        places.refuse_links(root, name)
    done = _repair_root(root)
    with files.writing(root):
        done += _finish(root, wait)
        for key in places.folders(root):
            if is_unfinished(root, key):
                continue
            faults = verify_element(root, key)
            if faults:
                lock = files.WriterLock(root / key / "embeddings", wait=wait)
                try:
                    done.append(_repair_element(root, key, lock))
                finally:
                    lock.release()
    return done


def _repair_root(root: Path) -> list[Repaired]:
    """A store whose own few bytes of metadata are damaged, but which holds elements."""
    try:
        arrays.check_type(arrays.group_attributes(root, ""), "store", root)
        return []
    except StoreError as error:
        with contextlib.suppress(OSError, ValueError, KeyError):
            json.loads((root / "zarr.json").read_text())["node_type"]
            raise  # readable, but something else: not ours to change
        if not any((root / key / "embeddings").is_dir() for key in places.folders(root)):
            raise
        (root / "zarr.json").unlink(missing_ok=True)
        arrays.create_root(root)
        return [Repaired(".", (Fault("zarr.json", error.what, ""),), "the store's own metadata were written anew")]


def _finish(root: Path, wait: float) -> list[Repaired]:
    """Put in place, or throw away, what an interrupted repair left."""
    done = []
    for key in places.folders(root / REPAIR):
        fault = Fault(f"{REPAIR}/{key}", "a repair of this element was interrupted", "")
        if (root / key).exists():
            # the old element is in place: begin anew, once whoever is repairing has finished
            files.WriterLock(root / key / "embeddings", wait=wait).release()
            files.remove(root / REPAIR / key)
            what = "the unfinished repair was thrown away"
        else:
            os.rename(root / REPAIR / key, root / key)
            files.sync_files([root / key])
            what = "the interrupted repair was finished: what it had built is in place"
        done.append(Repaired(key, (fault,), what))
    with contextlib.suppress(OSError):
        (root / REPAIR).rmdir()
    return done


def _repair_element(root: Path, key: str, lock: files.WriterLock) -> Repaired:
    faults = tuple(verify_element(root, key))  # again, now that nobody else writes
    if not faults:
        return Repaired(key, (), "nothing to repair: another process has done it")
    version = _newer(root, key)
    if version is not None:
        return Repaired(key, faults, f"left alone: it is of format version {version}, which this package cannot read")
    try:
        manifest = read_manifest(root, key)
        vectors = arrays.open_array(root, f"{key}/embeddings", "embeddings")
        commits = read_commits(vectors, root / key)
        check_shapes(manifest, vectors, _digest_array(root, key, vectors), root / key)
    except StoreError as error:
        aside = _set_aside(root, key, lock)
        return Repaired(
            key,
            faults,
            f"the whole element was set aside, because what says which rows it holds is damaged ({error.what}); "
            "`geneb embed` makes it anew",
            set_aside=aside,
        )
    digests = _digest_array(root, key, vectors)
    kept = _sound_rows(root, vectors, digests, commits)
    good, bad = _sound_splits(root, key, manifest, kept)
    dropped = vectors.rows - int(kept.sum())
    if not dropped and not any(f.key.startswith((f"{key}/embeddings", f"{key}/digests")) for f in faults):
        aside = _set_aside_splits(root, key, good)
        return Repaired(key, faults, "damaged split indexes were set aside", vectors.rows, 0, bad, aside)
    _rebuild(root, key, manifest, vectors, digests, commits, kept, good)
    aside = _set_aside(root, key, lock)
    os.rename(root / REPAIR / key, root / key)
    files.sync_files([root / key])
    with contextlib.suppress(OSError):
        (root / REPAIR).rmdir()
    return Repaired(
        key, faults, "the element was built anew without what is damaged", int(kept.sum()), dropped, bad, aside
    )


def _newer(root: Path, key: str) -> object:
    """The format version of a part that this package cannot read, else None."""
    for part, node in (("", "group"), ("embeddings", "array"), ("digests", "array")):
        with contextlib.suppress(StoreError, OSError):
            version = arrays.read_meta(root / key / part, node)["attributes"].get("geneb_version")
            if isinstance(version, int) and version not in READABLE:
                return version
    return None


def _digest_array(root: Path, key: str, vectors: arrays.Array) -> arrays.Array:
    """The array of digests, also where its metadata are damaged: they follow from those of the vectors."""
    try:
        found = arrays.open_array(root, f"{key}/digests", "digests")
        if found.rows >= vectors.rows and found.shape[1:] == (DIGEST_BYTES,):
            return found
    except StoreError:
        pass
    files.remove(root / REPAIR / key)
    arrays.create_digests(root / REPAIR, key, vectors.layout.rows)
    made = arrays.open_array(root / REPAIR, f"{key}/digests", "digests")
    files.remove(root / REPAIR / key)
    return arrays.grown(made, vectors.rows)


def _sound_rows(root: Path, vectors: arrays.Array, digests: arrays.Array, commits: list[Commit]) -> NDArray[np.bool_]:
    """Which rows are proved by the journal, the first of rows for one sequence only."""
    kept = np.zeros(vectors.rows, np.bool_)
    seen, start = DigestIndex(np.empty((0, DIGEST_BYTES), np.uint8)), 0
    for commit in commits:
        stop = start + commit.rows
        try:
            names = rowio.read_rows(root, digests, start, stop)
            block = rowio.read_rows(root, vectors, start, stop)
        except StoreError:
            start = stop
            continue
        if sha256(names) == commit.digests and sha256(block) == commit.vectors:
            kept[start:stop] = seen.find(names) < 0
            kept[start + repeated(names)] = False
            seen.add(names, start)
        start = stop
    return kept


def _sound_splits(
    root: Path, key: str, manifest: Manifest, kept: NDArray[np.bool_]
) -> tuple[dict[str, SplitIndex], tuple[str, ...]]:
    """The split indexes that stay, by folder, and the folders of those that do not."""
    good: dict[str, SplitIndex] = {}
    bad = []
    for folder in splits.folders(root, key):
        try:
            entry = splits.open_entry(root, key, folder)
            if entry is None:
                continue  # never finished, so never there
            index = splits.read(root, key, entry)
        except StoreError:
            bad.append(folder)
            continue
        if splits.out_of_range(index.rows, len(kept)) or not kept[index.rows].all():
            bad.append(folder)
        else:
            good[folder] = index
    return good, tuple(bad)


def _rebuild(
    root: Path,
    key: str,
    manifest: Manifest,
    vectors: arrays.Array,
    digests: arrays.Array,
    commits: list[Commit],
    kept: NDArray[np.bool_],
    good: dict[str, SplitIndex],
) -> None:
    below = root / REPAIR
    files.remove(below / key)
    create_element(below, key, manifest, vectors.layout.rows, "zstd" if vectors.layout.zstd else "none")
    new_row = np.cumsum(kept) - 1
    lock = files.WriterLock(below / key / "embeddings")
    measures = arrays.group_attributes(root, key).get("measures", {})
    with EmbeddingStore(below, key, lock=lock) as element:
        for name, figures in measures.items():
            put_measure(element, name, figures)
        start = 0
        for commit in commits:
            stop = start + commit.rows
            some = kept[start:stop]
            if some.any():
                names = rowio.read_rows(root, digests, start, stop)[some]
                element.append_stored(names, rowio.read_rows(root, vectors, start, stop)[some])
            start = stop
        for index in good.values():
            element.write_split(replace(index, rows=new_row[index.rows]))
    if int(kept.sum()) != element.num_rows:
        raise StoreError("the rows changed while they were copied", where=str(root / key), cure="repair again")


def _set_aside(root: Path, key: str, lock: files.WriterLock) -> str:
    folder = _aside(root, key)
    os.rename(root / key, folder)
    files.sync_files([folder, root])
    return str(folder.relative_to(root))


def _set_aside_splits(root: Path, key: str, good: dict[str, Any]) -> str:
    folder = _aside(root, key)
    folder.mkdir()
    for name in splits.folders(root, key):
        if name not in good:
            os.rename(root / key / "splits" / name, folder / name)
    files.sync_files([folder, root / key / "splits"])
    return str(folder.relative_to(root))


def _aside(root: Path, key: str) -> Path:
    """A name below ``.damaged`` that is free; the folder is a Zarr group, so that readers of Zarr are not puzzled."""
    parent = root / DAMAGED
    parent.mkdir(exist_ok=True)
    if not (parent / "zarr.json").exists():
        meta = {
            "attributes": {"geneb_type": "damaged", "geneb_version": VERSION},
            "zarr_format": 3,
            "node_type": "group",
        }
        files.write_atomic(parent / "zarr.json", [json.dumps(meta, indent=2).encode()])
    number = 1
    while (parent / f"{key}-{number}").exists():
        number += 1
    return parent / f"{key}-{number}"
