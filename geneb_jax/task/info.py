"""The records of this layer: what is known of a task, its splits, and an ordered suite of tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import DataError, unknown_name
from geneb_jax.whole import whole_numbers

KINDS: Final = ("classification", "regression", "token")
SERVED_KINDS: Final = ("classification",)
SPLIT_NAMES: Final = ("train", "test", "dev")
UNCATEGORISED: Final = "uncategorised"

_DIGEST_MAGIC: Final = b"geneb_jax.split.v1\0"


@dataclass(frozen=True)
class UpstreamSizes:
    """Sizes of the collection a task was drawn from. They are not counted in the task's own files.

    ``len_nominal`` is the length the source states (or its median); every ``*_source`` says who stated it.
    """

    dataset: str | None = None
    num_classes: int | None = None
    n_train: int | None = None
    n_dev: int | None = None
    n_test: int | None = None
    len_min: int | None = None
    len_nominal: int | None = None
    len_max: int | None = None
    size_source: str | None = None
    class_source: str | None = None
    len_source: str | None = None


@dataclass(frozen=True)
class TaskInfo:
    """What is known of a task without reading its data; ``None`` means nobody has stated it.

    ``num_classes``, ``n_train`` and ``n_test`` are the task's own; figures of the collection behind it are in
    ``upstream`` and never mixed with these. ``hub_path`` is a folder inside the hub dataset.
    """

    id: str
    label: str
    category: str = UNCATEGORISED
    source_suite: str = ""
    kind: str = "classification"
    num_classes: int | None = None
    n_train: int | None = None
    n_test: int | None = None
    hub_path: str | None = None
    upstream: UpstreamSizes | None = None

    @property
    def likely_num_classes(self) -> int | None:
        """The task's own class count, else that of its upstream collection."""
        if self.num_classes is not None:
            return self.num_classes
        return self.upstream.num_classes if self.upstream else None


@dataclass(frozen=True, eq=False)
class Split:
    """One named part of a task: normalised sequences, int64 labels ``(n,)``, and the digest of both.

    Build it with `Split.make`, which computes the digest. ``place`` says where a row stands in its file.
    """

    name: str
    sequences: tuple[str, ...] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    digest: str
    place: Callable[[int], str] | None = field(default=None, repr=False)

    @classmethod
    def make(
        cls,
        name: str,
        sequences: Sequence[str],
        labels: NDArray[np.int64] | Sequence[int],
        *,
        place: Callable[[int], str] | None = None,
    ) -> Split:
        """A split over normalised ASCII sequences and labels that are whole numbers (1.0 is one, 1.7 is not).

        Raises DataError for other labels, for a sequence that is missing or not ASCII, and when the lengths differ.
        """
        array = whole_numbers(labels, where=f"split {name!r}")
        array.flags.writeable = False
        rows = tuple(sequences)
        if array.shape != (len(rows),):
            raise DataError(
                f"a split has {len(rows)} sequences but labels of shape {array.shape}",
                where=f"split {name!r}",
            )
        _refuse_other_than_text(name, rows)
        return cls(name, rows, array, split_digest(rows, array), place)

    def __len__(self) -> int:
        return len(self.sequences)

    def where(self, row: int) -> str:
        """Where a row stands: file, row and line where it was read from a file, else its number from 1."""
        return f"split {self.name}, row {row + 1}" if self.place is None else self.place(row)

    @property
    def classes(self) -> tuple[int, ...]:
        """The distinct labels, sorted."""
        return tuple(int(c) for c in np.unique(self.labels))

    @property
    def class_counts(self) -> dict[int, int]:
        """Rows per label, in the order of the labels."""
        values, counts = np.unique(self.labels, return_counts=True)
        return {int(v): int(n) for v, n in zip(values, counts, strict=True)}


def _refuse_other_than_text(name: str, rows: tuple[str, ...]) -> None:
    bad = next((i for i, s in enumerate(rows) if not isinstance(s, str) or not s.isascii() or not s), None)
    if bad is not None:
        found = rows[bad]
        missing = not found or not isinstance(found, str)
        raise DataError(
            f"a sequence is missing: {found!r} stands in its place"
            if missing
            else "a sequence holds letters past ASCII",
            where=f"split {name!r}, entry {bad} (from 0)",
            cure="fill it in, or leave the row out" if missing else "bring it into the normal form: normalise_sequence",
        )


def split_digest(sequences: Sequence[str], labels: NDArray[np.int64]) -> str:
    """SHA-256 (hex) over rows in their order: magic, row count, every length, all letters, all labels.

    Integers are little-endian 64-bit, so no two different splits are framed alike. The name is left out.
    """
    lengths = np.fromiter(map(len, sequences), dtype="<i8", count=len(sequences))
    digest = hashlib.sha256(_DIGEST_MAGIC)
    digest.update(len(sequences).to_bytes(8, "little"))
    digest.update(lengths.tobytes())
    digest.update("".join(sequences).encode("ascii"))
    digest.update(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Task:
    """A task that has been read and checked.

    ``splits`` always has ``train`` and ``test``, perhaps ``dev``. ``source`` says where the data came from
    (without a path). ``warnings`` are whole sentences about things that are odd but can be used.
    """

    info: TaskInfo
    splits: Mapping[str, Split]
    source: str
    warnings: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The task's id."""
        return self.info.id

    @property
    def train(self) -> Split:
        """The training rows."""
        return self.splits["train"]

    @property
    def test(self) -> Split:
        """The test rows."""
        return self.splits["test"]

    @property
    def classes(self) -> tuple[int, ...]:
        """The distinct labels over all splits, sorted."""
        return tuple(sorted({c for split in self.splits.values() for c in split.classes}))


class Reader(Protocol):
    """Where a suite's data comes from. Holds no data itself."""

    @property
    def source(self) -> str:
        """Where the data comes from, in a few words and without a path."""
        ...

    def present(self, info: TaskInfo) -> bool | None:
        """Whether the task's files lie on this machine; None when only reading can tell."""
        ...

    def read(self, info: TaskInfo) -> Task:
        """Read and check one task. Raises DataError or MissingDataError."""
        ...


@dataclass(frozen=True)
class Suite:
    """An ordered, versioned set of tasks and the reader that fetches their data on demand."""

    name: str
    version: str
    source: str
    tasks: tuple[TaskInfo, ...] = field(repr=False)
    reader: Reader = field(repr=False, compare=False)

    @property
    def ids(self) -> tuple[str, ...]:
        """Task ids, in the suite's order."""
        return tuple(info.id for info in self.tasks)

    def info(self, task_id: str) -> TaskInfo:
        """What is known of one task. Raises UnknownNameError with the near names."""
        for info in self.tasks:
            if info.id == task_id:
                return info
        raise unknown_name(f"task in suite {self.name!r}", task_id, self.ids, listing=self._listing)

    def select(self, patterns: Sequence[str]) -> Suite:
        """The tasks whose id matches any glob (``*``, ``?``, ``[…]``; case counts), in the suite's order.

        No pattern selects all. A pattern that matches nothing raises UnknownNameError with the near names.
        """
        if not patterns:
            return self
        chosen: set[str] = set()
        for pattern in patterns:
            hits = {i for i in self.ids if i == pattern or fnmatchcase(i, pattern)}
            if not hits:
                raise unknown_name(f"task in suite {self.name!r}", pattern, self.ids, listing=self._listing)
            chosen |= hits
        return replace(self, tasks=tuple(info for info in self.tasks if info.id in chosen))

    def present(self) -> dict[str, bool | None]:
        """Per task id whether its files lie on this machine (None: only reading can tell). Reads no data."""
        return {info.id: self.reader.present(info) for info in self.tasks}

    def load(self, task_id: str) -> Task:
        """Read and check one task. Raises UnknownNameError, DataError or MissingDataError."""
        info = self.info(task_id)
        if info.kind not in SERVED_KINDS:
            raise kind_not_served(info.kind, f"task {info.id!r}", "it is declared so")
        return self.reader.read(info)

    @property
    def _listing(self) -> str:
        return f"geneb tasks --suite {self.name}" if self.name in ("geneb", "quickstart") else "geneb tasks --suite …"


_KIND_WORDS: Final[Mapping[str, str]] = {
    "classification": "a classification task (one integer class per row)",
    "regression": "a regression task (a number to predict per row)",
    "token": "a token-level task (one label per letter of the sequence)",
}


def kind_not_served(kind: str, where: str, reason: str) -> DataError:
    """The error for a task of a kind that no probe serves yet."""
    return DataError(
        f"this is {_KIND_WORDS.get(kind, kind)}, a kind that is not served yet: {reason}",
        where=where,
        cure="leave it out with --tasks; only classification (integer labels 0, 1, 2 …) is served so far",
    )
