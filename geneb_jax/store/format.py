"""The format of an embedding store, in prose, and the records that pass through it.

A **store** is a Zarr v3 folder (conventionally ``NAME.zarr``). Any Zarr v3 reader can open it. Every
group and array of ours carries the attributes ``geneb_type`` and ``geneb_version`` (an integer, now 2; a
reader refuses a version it does not know). Version 2 added elements of lower precision; those of float32 are as in
version 1, and a part that was written with version 1 keeps that number. Nothing in it depends on a path, a clock, a
host or a user: two stores made by the same calls are equal byte for byte, whether or not one of them was interrupted.

::

    store.zarr/                      group, geneb_type "store"
      kmer-4-0a1b2c3d4e5f/           group, geneb_type "element": all vectors of one encoder
        embeddings/                  array, geneb_type "embeddings"
        digests/                     array, geneb_type "digests"
        splits/                      group, geneb_type "splits"
          mouse_0-train-89abcdef-1/  group, geneb_type "split-index"
            rows/  labels/           arrays, geneb_type "rows", "labels"

**Element.** One per encoder manifest. Its name is a short form of the encoder's name and the first 12 hex
digits of the manifest's digest. Attributes: ``kind`` ("per-sequence": one vector per sequence; other
kinds may follow), ``manifest`` (name, family, revision, width, settings, libraries) and
``manifest_digest``. The digest is SHA-256 over the manifest as JSON with sorted keys, no spaces and
without the name, so renaming an encoder loses nothing. The element's attributes are written after its
arrays: an element without them was never finished and holds no rows. ``measures``, when there, holds
figures by name that were measured when the vectors were made, such as ``drift`` of half precision.

**Precision.** Vectors are float32, or by the user's choice rounded (to nearest, ties to even) to float16 or bfloat16.
These are elements of their own: the manifest then holds ``dtype``, which counts in its digest, and its name ends in it,
so rounded vectors are never taken for the others. A number too large for the precision is refused when it is written.

**embeddings** is float32 or float16 (rows × width), or uint16 that holds the bits of bfloat16, for which Zarr v3 has no
type of its own; one row per distinct sequence, in shards of a fixed number of
rows and four chunks to a shard; each chunk ends in its CRC-32C, and so does the shard's index. By default
chunks are not compressed: vectors of neural encoders shrink by 7 % only, and reading is the limit of a
large grid; ``zstd`` is an option that pays for k-mer counts (6 to 60 times smaller). The fill value is
NaN (bfloat16: 0x7FC0), so a chunk that is not there can never be taken for a vector.

**digests** is uint8 (rows × 32): SHA-256 of each sequence in upper case. The store holds no sequences. It
is cut into chunks of as many rows as a shard, with CRC-32C. It may be longer than ``embeddings`` after a
kill; only as many rows as ``embeddings`` has count.

**Commits.** Rows are appended in commits and never change afterwards. The attributes of ``embeddings``
hold the journal ``commits``: a list in row order of ``{rows, vectors, digests, non_finite}``, where
``rows`` is the number of rows, ``vectors`` and ``digests`` are SHA-256 over the rows' bytes
(little-endian, row by row), and ``non_finite`` (left out when empty) lists ``[start, stop)`` ranges,
counted within the commit, of rows that hold NaN or infinities. A commit first writes and syncs its chunks
beyond the array's present end, and then replaces ``embeddings/zarr.json``, which holds the shape and the
journal, in one atomic rename. Before it the rows do not exist for any reader, after it they all do. A
process killed in between leaves chunks that nobody reads and that the next writer replaces.

**Split index.** One per (task, split): ``rows`` (int64, the row in ``embeddings`` of every sequence of
the split, in the data's order, so rows repeat where sequences do) and ``labels`` (int64). Attributes:
``task_id``, ``split``, ``kind``, ``category``, ``label``, ``num_classes``, ``data_digest``, ``suite``
(name, version, source), ``num_rows``, ``warnings``, ``generation``, ``rows_sha256``, ``labels_sha256``,
where they were counted ``letters`` (what the encoder does not read of the split's sequences, whole numbers by name:
`geneb_jax.run.reading`), and ``checksum`` (SHA-256 over the other attributes as JSON with sorted keys and no spaces).
The attributes are written last and are the finish marker: a folder without them is an index that was being
written. When the data of a task change, a new generation is written beside the old one, which is then
deleted; of two finished generations the higher counts.

**Repair** (`geneb verify --repair`) renumbers rows. It builds the element anew as ``.repair/KEY``, renames the old one
to ``.damaged/KEY-1`` and the new one to ``KEY``; split indexes it takes out go to ``.damaged`` too. ``.damaged`` is a
group with geneb_type "damaged"; no reader looks into it, and it may be deleted. ``.repair`` is there only while a
repair runs or after one was killed. The folders of an element stay the same (by inode) until it is replaced, which is
how an open reader notices.

**A copy** at an address (`geneb store copy`) is the same files and ``contents.json``: ``{"geneb_type": "contents",
"geneb_version": 1, "folders": {path: [names]}}``, the folders in each group, for protocols that cannot list. The first
writer of a copy in a local folder deletes it.

**Writers** hold an exclusive lock on ``embeddings/writer.lock`` of their element; ``writer.json`` beside
it names the process while it runs. Neither is part of the data. Only local folders are written to.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import StoreError
from geneb_jax.store.dtypes import check_dtype

VERSION: Final = 2
READABLE: Final = (1, 2)
PER_SEQUENCE: Final = "per-sequence"
DIGEST_BYTES: Final = 32
_KEY_DIGITS: Final = 12

Setting = str | int | float | bool | None


@dataclass(frozen=True, eq=False)
class Manifest:
    """What produced an element. Two manifests are equal when their digests are; the name does not count."""

    name: str
    family: str
    revision: str
    width: int
    settings: Mapping[str, Setting] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    kind: str = PER_SEQUENCE
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if isinstance(self.width, bool) or not isinstance(self.width, int) or self.width < 1:
            raise StoreError(f"a manifest's width must be a whole number of at least 1, not {self.width!r}")
        check_dtype(self.dtype)
        object.__setattr__(self, "settings", dict(sorted(self.settings.items())))
        object.__setattr__(self, "libraries", dict(sorted(self.libraries.items())))

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over all that decides a vector; for per-sequence kinds the encoder's own."""
        identity: dict[str, object] = {
            "family": self.family,
            "revision": self.revision,
            "width": self.width,
            "settings": self.settings,
            "libraries": self.libraries,
        }
        if self.kind != PER_SEQUENCE:
            identity["kind"] = self.kind
        if self.dtype != "float32":
            identity["dtype"] = self.dtype
        return sha256(canonical_json(identity, where=f"manifest of {self.name}"))

    @property
    def key(self) -> str:
        """Name of the element's folder."""
        return f"{slug(self.name)}-{self.digest[:_KEY_DIGITS]}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Manifest) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def stored_as(self, dtype: str) -> Manifest:
        """The manifest of the same vectors rounded to another precision: an element of its own, named for it."""
        if check_dtype(dtype) == self.dtype:
            return self
        name = self.name.removesuffix(f" {self.dtype}")
        return replace(self, name=name if dtype == "float32" else f"{name} {dtype}", dtype=dtype)

    def as_json(self) -> dict[str, Any]:
        """The ``manifest`` attribute of an element; its kind is an attribute of its own."""
        record = {
            "name": self.name,
            "family": self.family,
            "revision": self.revision,
            "width": self.width,
            "settings": dict(self.settings),
            "libraries": dict(self.libraries),
        }
        return record if self.dtype == "float32" else {**record, "dtype": self.dtype}

    @classmethod
    def from_json(cls, record: Mapping[str, Any], kind: str) -> Manifest:
        """Read the ``manifest`` attribute. Raises KeyError or TypeError when a part is missing."""
        return cls(
            name=str(record["name"]),
            family=str(record["family"]),
            revision=str(record["revision"]),
            width=record["width"],
            settings=record["settings"],
            libraries=record["libraries"],
            kind=kind,
            dtype=str(record.get("dtype", "float32")),
        )


@dataclass(frozen=True, eq=False)
class SplitIndex:
    """Which rows of an element make up one split of one task, in the data's order, with their labels.

    ``data_digest`` is over the split's sequences and labels; ``label`` and ``category`` are the task's.
    """

    task_id: str
    split: str
    rows: NDArray[np.int64] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    data_digest: str = ""
    kind: str = "classification"
    category: str = ""
    label: str = ""
    num_classes: int | None = None
    suite_name: str = ""
    suite_version: str = ""
    suite_source: str = ""
    warnings: tuple[str, ...] = ()
    letters: Mapping[str, int] | None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a store: ``key`` names the folder or chunk inside it."""

    key: str
    what: str
    cure: str


@dataclass(frozen=True)
class Commit:
    """One entry of the journal: a block of rows that became readable at one instant."""

    rows: int
    vectors: str
    digests: str
    non_finite: tuple[tuple[int, int], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The journal entry as it is stored."""
        entry: dict[str, Any] = {"rows": self.rows, "vectors": self.vectors, "digests": self.digests}
        if self.non_finite:
            entry["non_finite"] = [list(r) for r in self.non_finite]
        return entry

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Commit:
        """Read a journal entry. Raises KeyError, TypeError or ValueError when it is malformed."""
        ranges = tuple((int(a), int(b)) for a, b in entry.get("non_finite", ()))
        return cls(int(entry["rows"]), str(entry["vectors"]), str(entry["digests"]), ranges)


def canonical_json(value: object, *, where: str) -> bytes:
    """JSON with sorted keys, no spaces and ASCII only: the form that digests are taken of."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"this cannot be written as JSON: {error}",
            where=where,
            cure="use text, finite numbers, booleans or None only",
        ) from error


def sha256(data: bytes | NDArray[Any]) -> str:
    """SHA-256 (hex) of bytes or of a contiguous array's bytes."""
    return hashlib.sha256(data if isinstance(data, bytes) else data.data).hexdigest()


def normalise(sequence: str) -> str:
    """The form in which a sequence is identified and embedded: upper case."""
    return sequence.upper()


def digest_sequences(sequences: Sequence[str]) -> NDArray[np.uint8]:
    """SHA-256 of each normalised sequence, (n, 32) uint8."""
    hashed = hashlib.sha256
    joined = b"".join([hashed(s.upper().encode()).digest() for s in sequences])
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(sequences), DIGEST_BYTES)


def slug(name: str, limit: int = 40) -> str:
    """A short folder name: lower-case letters, digits, dots, dashes and underscores."""
    text = re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-._")
    return text[:limit].rstrip("-._") or "unnamed"


def split_folder(task_id: str, split: str, generation: int) -> str:
    """Folder of a split index; the hash keeps apart ids that have the same slug."""
    code = sha256(f"{task_id}\0{split}".encode())[:8]
    return f"{slug(task_id, 60)}-{slug(split, 20)}-{code}-{generation}"


def to_ranges(mask: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """The runs of True in a mask as [start, stop) pairs."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return tuple((int(a), int(b)) for a, b in edges.reshape(-1, 2))


def from_ranges(ranges: Iterable[tuple[int, int]], offset: int = 0) -> NDArray[np.int64]:
    """The inverse of `to_ranges`: row numbers, shifted by ``offset``."""
    parts = [np.arange(a, b, dtype=np.int64) + offset for a, b in ranges]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
