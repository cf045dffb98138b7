"""Which files hold a task, and reading them: the official layout, or whatever a suite file names.

The official layout of one task is a folder with ``train`` and ``test`` (perhaps ``dev``) as ``.csv``,
``.csv.gz`` or ``.parquet``, each with the columns ``text`` (``sequence`` is taken too) and ``label``; or a
single ``data`` file that also has a column ``split``. The folder stands in ``<root>/tasks/<task_id>/`` or
in ``<root>/<task_id>/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import DataError, MissingDataError
from geneb_jax.paths import confined
from geneb_jax.task.info import SPLIT_NAMES, Split, Task, TaskInfo

if TYPE_CHECKING:
    from geneb_jax.task.table import Table

SINGLE: Final = "data"
SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
_TEXT_NAMES: Final = ("text", "sequence")
# what the split column may call each split
_SPLIT_WORDS: Final[Mapping[str, str]] = {
    "train": "train", "training": "train", "test": "test",
    "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev",
}  # fmt: skip


@dataclass(frozen=True)
class TaskFiles:
    """The files of one task: one per split, or under the key ``data`` a single file with a split column.

    Without ``paths`` they are what ``folder`` holds in the official layout, looked up when the task is read.
    ``label_map`` turns class names into integers; rows whose label is in ``skip_labels`` are left out. A sequence that
    is one of ``missing_words``, in either case, is missing (None: `check.MISSING_WORDS`).
    """

    paths: Mapping[str, Path] = field(default_factory=dict)
    folder: Path | None = None
    text: tuple[str, ...] = _TEXT_NAMES
    label: str = "label"
    split: str = "split"
    label_map: Mapping[str, int] = field(default_factory=dict)
    skip_labels: tuple[str, ...] = ()
    missing_words: tuple[str, ...] | None = None

    def found(self) -> Mapping[str, Path]:
        """The paths, looked up in the folder if need be. Raises DataError when a split has two files."""
        return find_files(self.folder) if self.folder is not None and not self.paths else self.paths

    def present(self) -> bool:
        """Whether the named files exist, or the folder has any."""
        if self.folder is not None and not self.paths:
            return has_files(self.folder)
        return all(path.is_file() for path in self.paths.values())


def has_files(folder: Path) -> bool:
    """Whether a folder holds at least one data file of a task."""
    return any((folder / f"{name}{suffix}").is_file() for name in (*SPLIT_NAMES, SINGLE) for suffix in SUFFIXES)


def find_files(folder: Path) -> dict[str, Path]:
    """A task folder's data files by split name (or ``data``). Raises DataError when a split has two."""
    found: dict[str, Path] = {}
    for name in (*SPLIT_NAMES, SINGLE):
        hits = [path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file()]
        if len(hits) > 1:
            what = f"the split {name!r} has {len(hits)} files: {', '.join(path.name for path in hits)}"
            raise DataError(what, where=str(folder), cure="keep one of them")
        if hits:
            found[name] = hits[0]
    return found


def read_files(info: TaskInfo, files: TaskFiles, source: str) -> Task:
    """Read and check a task from its files. Raises DataError or MissingDataError, whose place names the task."""
    try:
        return _read_files(info, files, source)
    except (DataError, MissingDataError) as error:
        where = error.where or ""
        if info.id in where or info.id in error.what:
            raise
        raise type(error)(error.what, where=f"task {info.id}: {where}".rstrip(": "), cure=error.cure) from error


def _read_files(info: TaskInfo, files: TaskFiles, source: str) -> Task:
    from geneb_jax.task.check import checked_task

    paths = files.found()
    if SINGLE in paths:
        if len(paths) > 1:
            others = ", ".join(path.name for name, path in paths.items() if name != SINGLE)
            what = f"the task has {paths[SINGLE].name} with a split column and also {others}"
            raise DataError(what, where=str(paths[SINGLE].parent), cure="keep one or the other")
        splits = _read_single(paths[SINGLE], files)
        notes: list[str] = []
    else:
        missing = [name for name in ("train", "test") if name not in paths]
        if missing:
            have = ", ".join(path.name for path in paths.values()) or "no data file"
            folder = next((path.parent for path in paths.values()), files.folder)
            what = f"task {info.id!r} has no {' and no '.join(missing)} split"
            cure = f"add {missing[0]}.csv (or .csv.gz, .parquet) beside {have}"
            raise MissingDataError(what, where=str(folder) if folder else None, cure=cure)
        splits, notes = {}, []
        for name, path in paths.items():
            splits[name], found = _read_split(name, path, files)
            notes += found
    where = str(paths.get("train", paths.get(SINGLE)))
    return checked_task(info, splits, source, where, tuple(notes))


def _read_split(name: str, path: Path, files: TaskFiles) -> tuple[Split, list[str]]:
    """One file that is one split, and a note when its split column disagrees with its name."""
    import pyarrow.compute as pc

    from geneb_jax.task.table import read_table

    table = read_table(path, text=files.text, label=files.label, split=files.split)
    notes = []
    if "split" in table.columns:
        counts = pc.value_counts(pc.utf8_lower(pc.utf8_trim_whitespace(table.columns["split"]))).to_pylist()
        strangers = {c["values"]: c["counts"] for c in counts if c["values"] and _SPLIT_WORDS.get(c["values"]) != name}
        if strangers:
            words = ", ".join(f"{word!r} ({count} rows)" for word, count in strangers.items())
            notes.append(f"{path.name} is read as the {name} split, yet its column {files.split!r} says {words}.")
    return _split(name, table, np.arange(table.num_rows), files), notes


def _read_single(path: Path, files: TaskFiles) -> dict[str, Split]:
    """The splits of a single file with a split column."""
    import pyarrow.compute as pc

    from geneb_jax.task.table import read_table

    table = read_table(path, text=files.text, label=files.label, split=files.split)
    if "split" not in table.columns:
        what = f"a single file for all splits needs a column {files.split!r} that says train, test or dev"
        raise DataError(what, where=str(path), cure="add the column, or give one file per split")
    words = pc.utf8_lower(pc.utf8_trim_whitespace(table.columns["split"])).to_pylist()
    names = np.array([_SPLIT_WORDS.get(word, "") for word in words])
    strange = np.flatnonzero(names == "")
    if strange.size:
        row = int(strange[0])
        what = f"the column {files.split!r} says {words[row]!r}"
        raise DataError(what, where=table.place(row), cure="write train, test or dev")
    absent = [name for name in ("train", "test") if name not in names]
    if absent:
        what = f"no row belongs to the {absent[0]} split"
        raise DataError(what, where=str(path), cure=f"mark rows with {absent[0]} in the column {files.split!r}")
    present = [name for name in SPLIT_NAMES if name in names]
    return {name: _split(name, table, np.flatnonzero(names == name), files) for name in present}


def _split(name: str, table: Table, rows: NDArray[np.int64], files: TaskFiles) -> Split:
    """The checked split over some rows of a table, less those with a label to skip."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from geneb_jax.task.check import MISSING_WORDS, checked_split

    if files.skip_labels:
        column = pc.utf8_trim_whitespace(table.columns["label"])
        skipped = pc.is_in(column, value_set=pa.array(list(files.skip_labels), type=column.type))
        rows = rows[~np.asarray(skipped.to_numpy(), dtype=bool)[rows]]
        if not rows.size:
            what = f"every row of the {name} split has a label that is skipped"
            raise DataError(what, where=str(table.path), cure="shorten skip_labels")
    words = MISSING_WORDS if files.missing_words is None else [word.strip().lower() for word in files.missing_words]
    return checked_split(name, table, rows, files.label_map, words)


@dataclass(frozen=True)
class FolderReader:
    """Tasks in the official layout under one root; ``cure`` is what to do when a task is not there."""

    root: Path
    source: str
    cure: str | None = None

    def folder(self, task_id: str) -> Path | None:
        """The folder that holds the task's files, if any."""
        for base in (self.root / "tasks", self.root):
            folder = confined(base, task_id, what="task's id", links=True)
            if has_files(folder):
                return folder
        return None

    def present(self, info: TaskInfo) -> bool:
        """Whether the task has a folder with data files in it."""
        return self.folder(info.id) is not None

    def read(self, info: TaskInfo) -> Task:
        """Read one task. Raises DataError or MissingDataError."""
        folder = self.folder(info.id)
        if folder is None:
            what = f"the data folder has no files for task {info.id!r}"
            expected = self.root / "tasks" / info.id / "{train,test}.csv"
            raise MissingDataError(what, where=f"looked for {expected}", cure=self.cure)
        return read_files(info, TaskFiles(folder=folder), self.source)


@dataclass(frozen=True)
class FilesReader:
    """Tasks whose files were named one by one in a suite file."""

    files: Mapping[str, TaskFiles]
    source: str

    def present(self, info: TaskInfo) -> bool:
        """Whether the task's files are there."""
        return self.files[info.id].present()

    def read(self, info: TaskInfo) -> Task:
        """Read one task. Raises DataError or MissingDataError."""
        return read_files(info, self.files[info.id], self.source)


def task_folders(root: Path) -> dict[str, Path]:
    """Task id to folder, sorted, for every folder with data files in ``root/tasks``, else in ``root``."""
    for base in (root / "tasks", root):
        if base.is_dir():
            names = sorted(path for path in base.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
            found = {path.name: path for path in names if has_files(path)}
            if found:
                return found
    return {}
