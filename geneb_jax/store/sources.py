"""Where rows come from when they are copied whole: an element of a store, or a file that was exported from one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from geneb_jax.store.arrays import Compression
from geneb_jax.store.element import EmbeddingStore
from geneb_jax.store.format import Manifest, SplitIndex, canonical_json, sha256
from geneb_jax.store.index import as_keys
from geneb_jax.store.measures import read_measures

_BLOCK_BYTES: Final = 16 << 20


class Source(Protocol):
    """Vectors as they are stored, with the digests of their sequences and the split indexes over them."""

    @property
    def where(self) -> str:
        """How messages name it."""

    @property
    def manifest(self) -> Manifest:
        """What produced the vectors."""

    @property
    def num_rows(self) -> int:
        """Distinct sequences."""

    @property
    def commit_rows(self) -> int:
        """Rows of a shard in the store it comes from."""

    @property
    def compression(self) -> Compression:
        """Compression in the store it comes from."""

    def digests(self) -> NDArray[np.uint8]:
        """SHA-256 of every sequence, (num_rows, 32)."""

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Rows as stored."""

    def splits(self) -> list[SplitIndex]:
        """All split indexes, their rows counted within this source."""

    def measures(self) -> dict[str, dict[str, str | int | float]]:
        """What was measured when the vectors were made."""


@dataclass(frozen=True)
class ElementSource:
    """An element of a store as a source."""

    element: EmbeddingStore = field(repr=False)

    @property
    def where(self) -> str:
        """The element's folder or address."""
        return str(self.element.path)

    @property
    def manifest(self) -> Manifest:
        """What produced the vectors."""
        return self.element.manifest

    @property
    def num_rows(self) -> int:
        """Distinct sequences."""
        return self.element.num_rows

    @property
    def commit_rows(self) -> int:
        """Rows of a shard."""
        return self.element.commit_rows

    @property
    def compression(self) -> Compression:
        """How chunks are compressed."""
        return self.element.compression

    def digests(self) -> NDArray[np.uint8]:
        """SHA-256 of every sequence."""
        return self._digests

    @cached_property
    def _digests(self) -> NDArray[np.uint8]:
        return self.element.digests()

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Rows as stored."""
        return self.element.stored(start, stop)

    def splits(self) -> list[SplitIndex]:
        """All split indexes."""
        names = [(task, split) for task in self.element.tasks() for split in self.element.split_names(task)]
        return [self.element.split(task, split) for task, split in names]

    def measures(self) -> dict[str, dict[str, str | int | float]]:
        """What was measured when the vectors were made."""
        return read_measures(self.element)

    @cached_property
    def order(self) -> str:
        """A digest of what it holds, in its order, taken from the journal without reading the vectors."""
        commits = [(c.rows, c.vectors, c.digests) for c in self.element.commits]
        splits = [
            describe(split) | {"rows": sha256(split.rows), "labels": sha256(split.labels)} for split in self.splits()
        ]
        shape = [self.measures(), self.manifest.name, self.commit_rows, self.compression]
        return sha256(canonical_json([commits, splits, shape], where=self.where))


def blocks(source: Source) -> Iterator[tuple[int, int]]:
    """The rows of a source in pieces of some megabytes, a whole number of shards where that is possible."""
    row = max(1, source.manifest.width * 4)
    step = max(source.commit_rows, _BLOCK_BYTES // row // source.commit_rows * source.commit_rows)
    for start in range(0, source.num_rows, step):
        yield start, min(start + step, source.num_rows)


def describe(split: SplitIndex) -> dict[str, Any]:
    """All of a split index but its arrays."""
    plain = {f.name: getattr(split, f.name) for f in fields(split) if f.name not in ("rows", "labels")}
    counted = {} if split.letters is None else {"letters": dict(split.letters)}
    del plain["letters"]
    return {**plain, "warnings": list(split.warnings), **counted}


def restore(record: dict[str, Any], rows: NDArray[np.int64], labels: NDArray[np.int64]) -> SplitIndex:
    """The inverse of `describe`. Raises KeyError or TypeError for a record of another form."""
    return SplitIndex(**{**record, "warnings": tuple(record["warnings"])}, rows=rows, labels=labels)


def content_digest(source: Source) -> str:
    """SHA-256 over what a source holds, whatever the order of its rows: manifest, every vector, every split.

    Equal for two elements that hold the same vectors for the same sequences and the same splits over them.
    """
    digests = source.digests()
    rows = np.empty((source.num_rows, 32), np.uint8)
    for start, stop in blocks(source):
        for i, row in enumerate(source.stored(start, stop), start):
            hashed = hashlib.sha256(digests[i])
            hashed.update(row)
            rows[i] = np.frombuffer(hashed.digest(), np.uint8)
    order = np.argsort(as_keys(digests), kind="stable")
    total = hashlib.sha256(source.manifest.digest.encode())
    total.update(np.ascontiguousarray(rows[order]).data)
    for split in sorted(source.splits(), key=lambda s: (s.task_id, s.split)):
        total.update(canonical_json(describe(split), where=source.where))
        total.update(np.ascontiguousarray(digests[split.rows]).data)
        total.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
    return total.hexdigest()
