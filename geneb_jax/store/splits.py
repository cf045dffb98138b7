"""Split indexes: which rows of an element make up one split of one task. Format: `geneb_jax.store.format`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import GenebError, StoreError, unknown_name
from geneb_jax.store import arrays, files, places, rowio
from geneb_jax.store.format import VERSION, SplitIndex, canonical_json, sha256, split_folder
from geneb_jax.store.places import Place

_CURE = "embed the task again: vectors are kept, and the index is written anew"


@dataclass(frozen=True)
class Entry:
    """A finished split index as listed: its folder inside ``splits`` and its attributes."""

    folder: str
    attributes: Mapping[str, Any] = field(repr=False)

    @property
    def generation(self) -> int:
        """Counts how often the index of this split was replaced; the highest is in force."""
        return int(self.attributes["generation"])

    @property
    def name(self) -> tuple[str, str]:
        """Task id and split."""
        return str(self.attributes["task_id"]), str(self.attributes["split"])


def folders(root: Place, key: str) -> list[str]:
    """All folders of split indexes, finished or not."""
    return places.folders(root / key / "splits")


def scan(root: Place, key: str) -> dict[tuple[str, str], Entry]:
    """The finished indexes in force. A damaged one counts as absent here; `verify` names it."""
    found: dict[tuple[str, str], Entry] = {}
    for folder in folders(root, key):
        try:
            entry = open_entry(root, key, folder)
        except StoreError:
            continue
        if entry is None:
            continue
        rival = found.get(entry.name)
        if rival is None or entry.generation > rival.generation:
            found[entry.name] = entry
    return found


def open_entry(root: Place, key: str, folder: str) -> Entry | None:
    """One index's attributes; None when it was never finished. Raises StoreError when they are damaged."""
    name = f"{key}/splits/{folder}"
    try:
        attributes = dict(arrays.read_meta(root / name, "group")["attributes"])
    except FileNotFoundError:
        return None
    if "geneb_type" not in attributes:
        return None
    arrays.check_type(attributes, "split-index", root / name)
    recorded = attributes.pop("checksum", None)
    if recorded != sha256(canonical_json(attributes, where=name)):
        raise StoreError("the attributes differ from their checksum", where=str(root / name / "zarr.json"), cure=_CURE)
    return Entry(folder, attributes)


def find(entries: Mapping[tuple[str, str], Entry], task_id: str, split: str, where: Place) -> Entry:
    """The entry of one split. Raises UnknownNameError for an unknown task, StoreError for a missing split."""
    entry = entries.get((task_id, split))
    if entry is not None:
        return entry
    have = sorted(s for t, s in entries if t == task_id)
    if have:
        raise StoreError(
            f"task {task_id!r} has no split {split!r} in this store, only {', '.join(have)}",
            where=str(where),
            cure="run the same `geneb embed` again: it completes what is missing",
        )
    error = unknown_name("task in this store", task_id, {t for t, _ in entries})
    raise type(error)(error.what, where=str(where), cure=f"{error.cure} Or embed it first.")


def check(split: SplitIndex, num_rows: int, where: Place) -> None:
    """Raise StoreError unless rows and labels fit each other and the element."""
    for name, values in (("rows", split.rows), ("labels", split.labels)):
        if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
            raise StoreError(
                f"{name} of {split.task_id} {split.split} must be a one-dimensional integer array, "
                f"not {values.dtype} of shape {values.shape}",
                where=str(where),
            )
    if len(split.rows) != len(split.labels):
        raise StoreError(
            f"{split.task_id} {split.split} has {len(split.rows)} rows but {len(split.labels)} labels",
            where=str(where),
        )
    outside = out_of_range(split.rows, num_rows)
    if outside:
        raise StoreError(f"{split.task_id} {split.split}: {outside}", where=str(where))


def out_of_range(rows: NDArray[np.int64], num_rows: int) -> str | None:
    """What is wrong with row numbers, or None."""
    bad = np.flatnonzero((rows < 0) | (rows >= num_rows))
    if not len(bad):
        return None
    return (
        f"{len(bad)} row numbers lie outside the {num_rows} rows of the element; "
        f"the first is {int(rows[bad[0]])}, at position {int(bad[0])}"
    )


def write(root: Path, key: str, split: SplitIndex, entries: Mapping[tuple[str, str], Entry]) -> tuple[bool, Entry]:
    """Write an index unless the same one is there and readable; returns whether, and the one in force.

    The attributes, written last, finish it.
    """
    old = entries.get((split.task_id, split.split))
    rows = np.ascontiguousarray(split.rows, dtype="<i8")
    labels = np.ascontiguousarray(split.labels, dtype="<i8")
    attributes = _attributes(split, rows, labels)
    if old is not None and {**old.attributes, "generation": 0} == {**attributes, "generation": 0}:
        try:
            read(root, key, old)
            return False, old
        except StoreError:
            pass  # the same index, damaged since: a new generation heals it
    attributes["generation"] = old.generation + 1 if old else 1
    checksum = sha256(canonical_json(attributes, where=split.task_id))
    folder = split_folder(split.task_id, split.split, attributes["generation"])
    name = f"splits/{folder}"
    element = root / key
    path = element / name
    if path.exists():
        remove(path)  # never finished, or damaged beyond listing
    arrays.create_ints(element, f"{name}/rows", rows, "rows")
    arrays.create_ints(element, f"{name}/labels", labels, "labels")
    files.sync_files(sorted(p for p in path.rglob("*") if p.is_file()))
    arrays.put_attributes(element, name, {**attributes, "checksum": checksum})
    files.sync_files([path / "zarr.json", path])
    if old is not None:
        remove(root / key / "splits" / old.folder)
    return True, Entry(folder, attributes)


def read(root: Place, key: str, entry: Entry) -> SplitIndex:
    """Read an index and compare it with its checksums. Raises StoreError."""
    name = f"{key}/splits/{entry.folder}"
    attributes = entry.attributes
    values = {}
    for part in ("rows", "labels"):
        array = arrays.open_array(root, f"{name}/{part}", part)
        if array.shape != (attributes["num_rows"],) or array.dtype != np.int64:
            raise StoreError(
                f"{attributes['num_rows']} int64 values are recorded, "
                f"the array is {array.dtype} of shape {array.shape}",
                where=str(root / name / part),
                cure=_CURE,
            )
        values[part] = rowio.read_rows(root, array, 0, array.shape[0])
        if sha256(np.ascontiguousarray(values[part])) != attributes[f"{part}_sha256"]:
            raise StoreError(
                f"the {part} are intact in themselves but are not those that were recorded",
                where=str(root / name / part),
                cure=_CURE,
            )
    suite = attributes["suite"]
    return SplitIndex(
        task_id=attributes["task_id"],
        split=attributes["split"],
        rows=values["rows"],
        labels=values["labels"],
        data_digest=attributes["data_digest"],
        kind=attributes["kind"],
        category=attributes["category"],
        label=attributes["label"],
        num_classes=attributes["num_classes"],
        suite_name=suite["name"],
        suite_version=suite["version"],
        suite_source=suite["source"],
        warnings=tuple(attributes["warnings"]),
        letters=attributes.get("letters"),
    )


def recover(root: Path, key: str) -> None:
    """Delete unfinished indexes and generations no longer in force. Only for the lock's holder."""
    in_force = scan(root, key)
    kept = {entry.folder for entry in in_force.values()}
    for folder in folders(root, key):
        try:
            entry = open_entry(root, key, folder)
        except GenebError:
            continue  # damage is left for `verify` to name
        if entry is None or folder not in kept:
            remove(root / key / "splits" / folder)


def remove(folder: Path) -> None:
    """Delete an index, its finish marker first, so that a kill cannot leave half of it in force."""
    (folder / "zarr.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _attributes(split: SplitIndex, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, Any]:
    return {
        "geneb_type": "split-index",
        "geneb_version": VERSION,
        "generation": 1,
        "task_id": split.task_id,
        "split": split.split,
        "kind": split.kind,
        "category": split.category,
        "label": split.label,
        "num_classes": split.num_classes,
        "data_digest": split.data_digest,
        "suite": {"name": split.suite_name, "version": split.suite_version, "source": split.suite_source},
        "num_rows": len(rows),
        "warnings": list(split.warnings),
        "rows_sha256": sha256(rows),
        "labels_sha256": sha256(labels),
        # left out where nobody counted, as in stores from before
        **({} if split.letters is None else {"letters": dict(split.letters)}),
    }
