"""One encoder's vectors: look up, read, append. The format is described in `geneb_jax.store.format`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geneb_jax.errors import StoreError
from geneb_jax.store import arrays, files, splits
from geneb_jax.store.format import (
    DIGEST_BYTES,
    Commit,
    Fault,
    Manifest,
    SplitIndex,
    digest_sequences,
    from_ranges,
    normalise,
    sha256,
    to_ranges,
)
from geneb_jax.store.index import DigestIndex


class EmbeddingStore:
    """The vectors of one encoder, and which of them make up each split of each task.

    Opened through a `geneb_jax.store.Store`. A reader sees the rows that were committed when it opened.
    A writer holds the element's lock until `close`.
    """

    def __init__(self, root: Path, key: str, *, lock: files.WriterLock | None = None) -> None:
        self.root = root
        self.key = key
        self._lock = lock
        self.manifest = read_manifest(root, key)
        self._vectors = arrays.open_array(root, f"{key}/embeddings", "embeddings", writable=lock is not None)
        self._digests = arrays.open_array(root, f"{key}/digests", "digests", writable=lock is not None)
        self._commits = read_commits(self._vectors, root / key)
        self._check_shapes()
        self._splits: dict[tuple[str, str], splits.Entry] | None = None
        if lock is not None:
            self._recover()

    # what it is

    @property
    def path(self) -> Path:
        """The element's folder."""
        return self.root / self.key

    @property
    def width(self) -> int:
        """Columns of a vector."""
        return self.manifest.width

    @property
    def num_rows(self) -> int:
        """Committed rows: distinct sequences."""
        return int(self._vectors.shape[0])

    @property
    def commit_rows(self) -> int:
        """Rows of a shard. Commits that end on a multiple of it write every shard once."""
        return arrays.shard_rows(self._vectors)

    @property
    def non_finite_rows(self) -> NDArray[np.int64]:
        """Rows that hold NaN or infinities, as counted when they were appended."""
        parts, start = [], 0
        for commit in self._commits:
            parts.append(from_ranges(commit.non_finite, start))
            start += commit.rows
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    @property
    def writable(self) -> bool:
        """Whether this object holds the element's lock."""
        return self._lock is not None and self._lock.held

    def __repr__(self) -> str:
        return f"EmbeddingStore({self.key!r}, {self.num_rows} rows of {self.width})"

    # sequences and rows

    def missing(self, sequences: Iterable[str]) -> list[str]:
        """The distinct sequences, in upper case and first-seen order, that have no row yet."""
        distinct = list(dict.fromkeys(normalise(s) for s in sequences))
        rows = self._index.find(digest_sequences(distinct))
        return [s for s, row in zip(distinct, rows, strict=True) if row < 0]

    def lookup(self, sequences: Sequence[str]) -> NDArray[np.int64]:
        """Row number of every sequence. Raises StoreError when one has no row."""
        rows = self._index.find(digest_sequences(sequences))
        absent = np.flatnonzero(rows < 0)
        if len(absent):
            first = normalise(sequences[int(absent[0])])
            raise StoreError(
                f"{len(absent)} of {len(sequences)} sequences are not in this store; the first is "
                f"number {int(absent[0])}, {first[:40]}{'…' if len(first) > 40 else ''}",
                where=str(self.path),
                cure="embed the task with this encoder first (`geneb embed`)",
            )
        return rows

    def read(self, rows: ArrayLike | None = None) -> NDArray[np.float32]:
        """The vectors of ``rows`` in their order, (len(rows), width) float32; all rows by default.

        Every chunk that is read is compared with its checksum. Raises StoreError for a damaged or missing
        chunk and for row numbers that do not exist.
        """
        if rows is None:
            return self._block(0, self.num_rows)
        wanted = np.asarray(rows)
        if wanted.ndim != 1 or (wanted.size and not np.issubdtype(wanted.dtype, np.integer)):
            raise StoreError(
                f"row numbers must be a one-dimensional array of integers, not {wanted.dtype} of shape {wanted.shape}",
                where=str(self.path),
            )
        if not wanted.size:
            return np.empty((0, self.width), np.float32)
        low, high = int(wanted.min()), int(wanted.max())
        if low < 0 or high >= self.num_rows:
            raise StoreError(
                f"row {low if low < 0 else high} does not exist: this element has {self.num_rows} rows",
                where=str(self.path),
                cure="the index belongs to another store or is damaged; `geneb verify` says which",
            )
        if high - low + 1 == len(wanted) and bool((np.diff(wanted) == 1).all()):
            return self._block(low, high + 1)
        return self._gather(wanted)

    def _gather(self, wanted: NDArray[Any]) -> NDArray[np.float32]:
        order = np.argsort(wanted, kind="stable")
        ordered = wanted[order]
        out = np.empty((len(wanted), self.width), np.float32)
        # rows that lie near each other are read in one go, but never more than one shard at a time
        gap = int(self._vectors.chunks[0])
        cut = (np.diff(ordered) > gap) | (np.diff(ordered // self.commit_rows) != 0)
        bounds = [0, *(np.flatnonzero(cut) + 1).tolist(), len(ordered)]
        for a, b in itertools.pairwise(bounds):
            first = int(ordered[a])
            out[order[a:b]] = self._block(first, int(ordered[b - 1]) + 1)[ordered[a:b] - first]
        return out

    def _block(self, start: int, stop: int) -> NDArray[np.float32]:
        block: NDArray[np.float32] = arrays.read_rows(self.root, self._vectors, start, stop)
        return block

    @cached_property
    def _index(self) -> DigestIndex:
        return DigestIndex(arrays.read_rows(self.root, self._digests, 0, self.num_rows))

    # writing

    def append(self, sequences: Sequence[str], vectors: ArrayLike) -> None:
        """Add one vector per sequence, all at once: after a kill either all rows are there or none.

        NaN and infinities are kept and counted (`non_finite_rows`). Raises StoreError for a wrong shape, a
        repeated or stored sequence, a full disk, or a store opened for reading; nothing is added then.
        """
        self._require_writer()
        block = self._checked(sequences, vectors)
        if not len(block):
            return
        digests = digest_sequences(sequences)
        self._refuse_repeats(sequences, digests)
        start, stop = self.num_rows, self.num_rows + len(block)
        commit = Commit(
            rows=len(block),
            vectors=sha256(block),
            digests=sha256(digests),
            non_finite=to_ranges(np.logical_not(np.isfinite(block).all(axis=1))),
        )
        commits = [*self._commits, commit]
        # shards that already hold committed rows are rewritten with them: refuse if they cannot be read
        boundary = start - start % self.commit_rows
        arrays.read_rows(self.root, self._vectors, boundary, start)
        arrays.read_rows(self.root, self._digests, boundary, start)
        more_digests = arrays.grown(self._digests, stop)
        more_vectors = arrays.grown(self._vectors, stop, {"commits": [c.as_json() for c in commits]})
        with files.interrupt_later(), files.writing(self.path, block.nbytes + digests.nbytes):
            self._put(more_digests, start, digests)
            arrays.publish(more_digests)
            self._put(more_vectors, start, block)
            arrays.publish(more_vectors)  # the instant of the commit
            files.sync_files([self.path / "embeddings" / "zarr.json", self.path / "digests" / "zarr.json"])
            self._digests, self._vectors, self._commits = more_digests, more_vectors, commits
            self._index.add(digests, start)

    def _put(self, array: arrays.Array, start: int, block: NDArray[Any]) -> None:
        stop = start + len(block)
        array[start:stop] = block
        files.sync_files([arrays.shard_path(self.root, array, s) for s in arrays.shards_of(array, start, stop)])

    def write_split(self, split: SplitIndex) -> bool:
        """Record which rows make up a split. Returns False when exactly this was recorded already.

        A split of the same name over other data is replaced; its vectors stay. Raises StoreError for rows
        that do not exist, and as `append` does.
        """
        self._require_writer()
        splits.check(split, self.num_rows, self.path)
        with files.interrupt_later(), files.writing(self.path, 16 * len(split)):
            wrote, entry = splits.write(self.root, self.key, split, self._entries())
            self._entries()[entry.name] = entry
        return wrote

    def close(self) -> None:
        """Let the next writer in. A reader needs no closing."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> EmbeddingStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # splits

    def split(self, task_id: str, split: str) -> SplitIndex:
        """The index of one split. Raises StoreError when damaged or absent, UnknownNameError for its task."""
        return splits.read(self.root, self.key, splits.find(self._entries(), task_id, split, self.path))

    def split_names(self, task_id: str) -> list[str]:
        """Names of the finished splits of a task; empty when it has none."""
        return sorted(s for t, s in self._entries() if t == task_id)

    def tasks(self) -> list[str]:
        """Ids of the tasks with at least one finished split, sorted."""
        return sorted({t for t, _ in self._entries()})

    def data_digest(self, task_id: str, split: str) -> str:
        """Digest of the data that a split's index was made from. Raises as `split` does."""
        return str(splits.find(self._entries(), task_id, split, self.path).attributes["data_digest"])

    def verify(self) -> list[Fault]:
        """Read everything and compare it with its checksums; empty when the element is sound."""
        from geneb_jax.store.verify import verify_element

        return verify_element(self.root, self.key)

    # internals

    def _entries(self) -> dict[tuple[str, str], splits.Entry]:
        if self._splits is None:
            self._splits = splits.scan(self.root, self.key)
        return self._splits

    def _require_writer(self) -> None:
        if not self.writable:
            raise StoreError(
                "this element is not open for writing",
                where=str(self.path),
                cure='open the store with mode "a"',
            )

    def _checked(self, sequences: Sequence[str], vectors: ArrayLike) -> NDArray[np.float32]:
        array = np.asarray(vectors)
        if not np.issubdtype(array.dtype, np.floating):
            raise StoreError(f"vectors must be floating point numbers, not {array.dtype}", where=str(self.path))
        if array.shape != (len(sequences), self.width):
            raise StoreError(
                f"{len(sequences)} sequences need vectors of shape {(len(sequences), self.width)}, not {array.shape}",
                where=str(self.path),
                cure="the encoder returned another width or number of rows than its manifest declares",
            )
        with np.errstate(over="ignore"):  # what does not fit float32 is counted as infinite
            return np.ascontiguousarray(array, dtype="<f4")

    def _refuse_repeats(self, sequences: Sequence[str], digests: NDArray[np.uint8]) -> None:
        seen = {d.tobytes(): i for i, d in enumerate(digests)}
        if len(seen) != len(digests):
            first = next(i for i, d in enumerate(digests) if seen[d.tobytes()] != i)
            raise StoreError(
                f"sequence {first} of this append occurs in it twice: {sequences[first][:40]}",
                where=str(self.path),
                cure="append distinct sequences; `missing` returns them",
            )
        stored = np.flatnonzero(self._index.find(digests) >= 0)
        if len(stored):
            raise StoreError(
                f"{len(stored)} of these sequences have a row already, the first is number {int(stored[0])}",
                where=str(self.path),
                cure="append only what `missing` returns",
            )

    def _check_shapes(self) -> None:
        rows = self._vectors.shape[0]
        if self._vectors.shape[1:] != (self.width,) or self._vectors.dtype != np.float32:
            raise StoreError(
                f"the vectors are {self._vectors.dtype} of shape {self._vectors.shape}, but the manifest "
                f"says float32 of width {self.width}",
                where=str(self.path / "embeddings"),
                cure=arrays.DAMAGED_CURE,
            )
        if self._digests.shape[0] < rows or self._digests.shape[1:] != (DIGEST_BYTES,):
            raise StoreError(
                f"there are {rows} vectors but digests of shape {self._digests.shape}",
                where=str(self.path / "digests"),
                cure=arrays.DAMAGED_CURE,
            )

    def _recover(self) -> None:
        """Clear what a killed writer left: temporary files and chunks beyond the last commit."""
        with files.writing(self.path):
            files.sweep_partial(self.path)
            splits.recover(self.root, self.key)
            for array in (self._vectors, self._digests):
                shard = -(-self.num_rows // arrays.shard_rows(array))
                # a killed writer leaves an unbroken run of chunks; whatever it left is not committed
                while (path := arrays.shard_path(self.root, array, shard)).exists():
                    path.unlink()
                    shard += 1


def read_manifest(root: Path, key: str) -> Manifest:
    """An element's manifest, compared with its recorded digest and the folder's name. Raises StoreError."""
    attributes = arrays.group_attributes(root, key)
    where = root / key
    arrays.check_type(attributes, "element", where)
    try:
        manifest = Manifest.from_json(attributes["manifest"], str(attributes["kind"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"the manifest is incomplete or malformed: {error!r}", where=str(where), cure=arrays.DAMAGED_CURE
        ) from error
    recorded = attributes.get("manifest_digest")
    if recorded != manifest.digest or not key.endswith(f"-{manifest.digest[:12]}"):
        raise StoreError(
            "the manifest is not the one this element was made with: its digest is "
            f"{manifest.digest[:12]}, recorded are {str(recorded)[:12]} and the folder's name",
            where=str(where / "zarr.json"),
            cure="the manifest was edited or the folder renamed; undo that, or embed again",
        )
    return manifest


def read_commits(array: arrays.Array, where: Path) -> list[Commit]:
    """The journal. Raises StoreError when it is malformed or does not add up to the array's rows."""
    entries = array.attrs.asdict().get("commits")
    try:
        if not isinstance(entries, list):
            raise TypeError("no list of commits")
        commits = [Commit.from_json(e) for e in entries]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"the journal of commits is malformed: {error!r}",
            where=str(where / "embeddings" / "zarr.json"),
            cure=arrays.DAMAGED_CURE,
        ) from error
    total = sum(c.rows for c in commits)
    if total != array.shape[0]:
        raise StoreError(
            f"the journal counts {total} committed rows, but the array has {array.shape[0]}",
            where=str(where / "embeddings" / "zarr.json"),
            cure=arrays.DAMAGED_CURE,
        )
    return commits
