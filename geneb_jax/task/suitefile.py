"""Suites of your own: a folder in the official layout, or a small TOML file.

The TOML file (``suite.toml``, or any name)::

    name = "my-suite"            # required
    version = "1"                # optional; shown beside every result
    category = "Enhancers"       # optional: the category of tasks that name none

    [[task]]
    id = "my_task"               # required: letters, digits, and . _ + - inside
    label = "My task"            # optional: the short name in tables (the id, if missing)
    category = "Promoters"       # optional
    kind = "classification"      # optional; "regression" and "token" can be declared but are not served yet
    train = "my_task/train.csv"  # beside the TOML file or below, or a full path; .csv, .csv.gz or .parquet
    test = "my_task/test.csv"
    dev = "my_task/dev.csv"      # optional; read and audited, never used for fitting
    n_train = 800                # optional: what the files should hold; a warning if they do not
    n_test = 200
    text_column = "seq"          # optional: the column of sequences ("text" or "sequence", if missing)
    label_column = "y"           # optional ("label")
    missing_words = ["none"]     # optional: words that stand for a missing sequence, in either case, in place of the
                                 # usual ones (NA, NaN, null …); [] where each of those is a sequence itself

A task may instead keep all splits in one file with a column that says ``train``, ``test`` or ``dev``::

    [[task]]
    id = "donors"
    file = "splice.csv.gz"
    split_column = "split"       # optional ("split")
    skip_labels = ["IE"]         # optional: rows with these labels are left out
    [task.labels]                # optional: class names to integers; without it labels must be integers
    EI = 1
    N = 0

A task that names no file is looked for in the official layout beside the TOML file. A folder may hold a
``suite.toml`` of this form to give its tasks an order, categories and labels; its other tasks follow by
name, with the category ``uncategorised``.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from geneb_jax.errors import DataError, MissingDataError
from geneb_jax.paths import confined
from geneb_jax.plain import require_file
from geneb_jax.task.files import SINGLE, FilesReader, TaskFiles, task_folders
from geneb_jax.task.info import UNCATEGORISED, Suite, TaskInfo

SUITE_FILE: Final = "suite.toml"

_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
_Id = Annotated[str, StringConstraints(pattern=_ID, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _TaskEntry(_Strict):
    id: _Id
    label: _Name | None = None
    category: _Name | None = None
    source: str = ""
    kind: Literal["classification", "regression", "token"] = "classification"
    n_train: int | None = None
    n_test: int | None = None
    train: _Name | None = None
    test: _Name | None = None
    dev: _Name | None = None
    file: _Name | None = None
    text_column: _Name | None = None
    label_column: _Name = "label"
    split_column: _Name = "split"
    labels: dict[str, int] = Field(default_factory=dict)
    skip_labels: list[str] = Field(default_factory=list)
    missing_words: list[str] | None = None

    @model_validator(mode="after")
    def _one_way_to_name_files(self) -> _TaskEntry:
        named = [key for key in ("train", "test", "dev") if getattr(self, key) is not None]
        if self.file is not None and named:
            raise ValueError(
                f"names both file and {named[0]}: give one file with a split column, or one file per split"
            )
        if named and not (self.train and self.test):
            raise ValueError(f"names {named[0]} without {'test' if self.train else 'train'}: give both")
        return self


class _SuiteEntry(_Strict):
    name: _Name
    version: _Name = "unversioned"
    category: _Name = UNCATEGORISED
    source: str = ""
    task: list[_TaskEntry] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_differ(self) -> _SuiteEntry:
        ids = [entry.id for entry in self.task]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"two tasks have the id {twice[0]!r}")
        return self


def suite_from_toml(path: Path) -> Suite:
    """The suite that a TOML file lists. Raises DataError naming the key that is wrong."""
    entry = _read(path)
    infos, files = _entries(entry, path.parent, {})
    source = entry.source or f"suite file {path.name}"
    return Suite(entry.name, entry.version, source, tuple(infos), FilesReader(files, source))


def suite_from_folder(root: Path) -> Suite:
    """Every task of a folder in the official layout. Raises DataError or MissingDataError."""
    root = root.resolve()
    found = task_folders(root)
    for task_id, folder in found.items():
        if not re.fullmatch(_ID, task_id):
            what = f"the folder name {task_id!r} cannot be a task id"
            raise DataError(
                what,
                where=str(folder),
                cure="use letters, digits and . _ + - and begin with a letter or digit",
            )
    infos: list[TaskInfo] = []
    files: dict[str, TaskFiles] = {}
    name, version, source = root.name, "unversioned", f"folder {root.name}"
    if (root / SUITE_FILE).is_file():
        entry = _read(root / SUITE_FILE)
        infos, files = _entries(entry, root, found)
        name, version, source = entry.name, entry.version, entry.source or source
    elif not found:
        what = "the folder holds no task in the official layout"
        cure = "it needs tasks/<task_id>/train.csv and test.csv (also .csv.gz, .parquet), or a suite.toml"
        raise MissingDataError(what, where=str(root), cure=cure)
    for task_id, folder in found.items():
        if task_id not in files:
            infos.append(TaskInfo(task_id, task_id))
            files[task_id] = TaskFiles(folder=folder)
    return Suite(name, version, source, tuple(infos), FilesReader(files, source))


def _read(path: Path) -> _SuiteEntry:
    require_file(path)
    try:
        with path.open("rb") as handle:
            raw: dict[str, Any] = tomllib.load(handle)
    except FileNotFoundError as error:
        raise MissingDataError("the suite file does not exist", where=str(path), cure="check the path") from error
    except OSError as error:
        raise DataError(f"the suite file cannot be read: {error.strerror}", where=str(path), cure="check it") from error
    except UnicodeDecodeError as error:
        raise DataError("the suite file is not UTF-8", where=str(path), cure="save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        cure = "correct the syntax; docs: python -m pydoc geneb_jax.task.suitefile"
        raise DataError(f"the suite file is not TOML: {error}", where=str(path), cure=cure) from error
    try:
        return _SuiteEntry.model_validate(raw)
    except ValidationError as error:
        raise _invalid(path, raw, error) from error


def _invalid(path: Path, raw: dict[str, Any], error: ValidationError) -> DataError:
    """The first fault in words, with the key as one would look for it in the file."""
    fault = error.errors(include_url=False)[0]
    key = ""
    for part in fault["loc"]:
        key += f"[{part + 1}]" if isinstance(part, int) else ("." if key else "") + part
    entry = fault["loc"][1] if len(fault["loc"]) > 1 and fault["loc"][0] == "task" else None
    if isinstance(entry, int):
        task_id = raw["task"][entry].get("id") if isinstance(raw["task"][entry], dict) else None
        key += f" (task {task_id!r})" if isinstance(task_id, str) else ""
    message = {
        "missing": "is required and missing",
        "extra_forbidden": "is not a key that a suite file has",
        "string_pattern_mismatch": f"is {fault['input']!r}; use letters, digits and . _ + - only",
    }.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    where = f"{path}, key {key}" if key else str(path)
    cure = "the keys are explained by `python -m pydoc geneb_jax.task.suitefile`"
    if fault["type"] == "extra_forbidden":
        known = (_TaskEntry if isinstance(entry, int) else _SuiteEntry).model_fields
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, cutoff=0.5)
        cure = f"did you mean {', '.join(near)}? {cure}" if near else cure
    subject = "the suite file" if not key else f"the key {key}"
    return DataError(f"{subject}: {message}{more}", where=where, cure=cure)


def _place(base: Path, path: str) -> Path:
    """A file that a suite file names: beside it or below, or where a full path says. Raises DataError."""
    if Path(path).is_absolute() and "\0" not in path:
        return Path(path)
    return confined(base, path.removeprefix("./"), what="file of a task", links=True)


def _entries(entry: _SuiteEntry, base: Path, found: dict[str, Path]) -> tuple[list[TaskInfo], dict[str, TaskFiles]]:
    """Task records and their files; a task without paths takes its folder under ``base``."""
    infos, files = [], {}
    for task in entry.task:
        folder = None
        paths: dict[str, Path] = {}
        if task.file is not None:
            paths = {SINGLE: _place(base, task.file)}
        elif task.train is not None:
            named = {"train": task.train, "test": task.test, "dev": task.dev}
            paths = {name: _place(base, path) for name, path in named.items() if path is not None}
        else:
            folder = found.get(task.id) or task_folders(base).get(task.id)
            if folder is None:
                what = f"task {task.id!r} names no file, and tasks/{task.id}/ is not beside the suite file"
                raise MissingDataError(what, where=str(base), cure="name train and test, or put the folder there")
        files[task.id] = TaskFiles(
            paths,
            folder=folder,
            text=(task.text_column,) if task.text_column else ("text", "sequence"),
            label=task.label_column,
            split=task.split_column,
            label_map=task.labels,
            skip_labels=tuple(task.skip_labels),
            missing_words=None if task.missing_words is None else tuple(task.missing_words),
        )
        category = task.category or entry.category
        num_classes = len(set(task.labels.values())) or None
        infos.append(
            TaskInfo(
                id=task.id,
                label=task.label or task.id,
                category=category,
                source_suite=task.source,
                kind=task.kind,
                num_classes=num_classes,
                n_train=task.n_train,
                n_test=task.n_test,
            )
        )
    return infos, files
