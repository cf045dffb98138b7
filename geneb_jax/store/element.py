"""One encoder's vectors: look up, read, append. The format is described in `geneb_jax.store.format`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geneb_jax.errors import StoreError
from geneb_jax.store import arrays, dtypes, files, places, rowio, splits
from geneb_jax.store.format import (
    Commit,
    Fault,
    SplitIndex,
    digest_sequences,
    from_ranges,
    normalise,
    sha256,
    to_ranges,
)
from geneb_jax.store.gather import gather_rows
from geneb_jax.store.index import DigestIndex, repeated
from geneb_jax.store.journal import check_shapes, read_commits, read_manifest
from geneb_jax.store.places import Place


class EmbeddingStore:
    """The vectors of one encoder, and which of them make up each split of each task.

    Opened through a `geneb_jax.store.Store`. A reader sees the rows that were committed when it opened.
    A writer holds the element's lock until `close`.
    """

    def __init__(self, root: Place, key: str, *, lock: files.WriterLock | None = None) -> None:
        self.root = root
        self.key = key
        self._lock = lock
        self._stamp = places.stamp(root / key)
        self.manifest = read_manifest(root, key)
        # the vectors first: a writer publishes digests before vectors, so these digests are at least as many
        self._vectors = arrays.open_array(root, f"{key}/embeddings", "embeddings")
        self._digests = arrays.open_array(root, f"{key}/digests", "digests")
        self._commits = read_commits(self._vectors, root / key)
        check_shapes(self.manifest, self._vectors, self._digests, root / key)
        self._splits: dict[tuple[str, str], splits.Entry] | None = None
        if lock is not None:
            self._recover()
        elif isinstance(root, Path):
            self._entries()  # a reader's view is of one moment; at an address each costs a request, and nobody writes

    # what it is

    @property
    def path(self) -> Place:
        """The element's folder."""
        return self.root / self.key

    @property
    def width(self) -> int:
        """Columns of a vector."""
        return self.manifest.width

    @property
    def num_rows(self) -> int:
        """Committed rows: distinct sequences."""
        return self._vectors.rows

    @property
    def dtype(self) -> str:
        """How vectors are stored: float32, float16 or bfloat16. They are read as float32."""
        return self.manifest.dtype

    @property
    def commit_rows(self) -> int:
        """Rows of a shard. Commits that end on a multiple of it write every shard once."""
        return self._vectors.layout.rows

    @property
    def compression(self) -> arrays.Compression:
        """How chunks are compressed."""
        return "zstd" if self._vectors.layout.zstd else "none"

    @property
    def commits(self) -> tuple[Commit, ...]:
        """The journal: every block of rows that became readable at one instant, in row order."""
        return tuple(self._commits)

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
            return dtypes.from_stored(self.stored(0, self.num_rows), self.dtype)
        return self.read_each(rows)[0]

    def read_each(self, *rows: ArrayLike) -> list[NDArray[np.float32]]:
        """`read` for several lists of rows, such as those of a task's splits, with each chunk read once for all."""
        parts = [self._existing(r) for r in rows]
        if all(not p.size or (p[-1] - p[0] + 1 == len(p) and bool((np.diff(p) == 1).all())) for p in parts):
            found = [self.stored(int(p[0]), int(p[-1]) + 1) if p.size else self.stored(0, 0) for p in parts]
        else:
            with self._steady():
                found = gather_rows(self.root, self._vectors, parts)
        return [dtypes.from_stored(block, self.dtype) for block in found]

    def _existing(self, rows: ArrayLike) -> NDArray[Any]:
        wanted = np.asarray(rows)
        if wanted.ndim != 1 or (wanted.size and not np.issubdtype(wanted.dtype, np.integer)):
            raise StoreError(
                f"row numbers must be a one-dimensional array of integers, not {wanted.dtype} of shape {wanted.shape}",
                where=str(self.path),
            )
        low, high = (int(wanted.min()), int(wanted.max())) if wanted.size else (0, -1)
        if low < 0 or high >= self.num_rows:
            raise StoreError(
                f"row {low if low < 0 else high} does not exist: this element has {self.num_rows} rows",
                where=str(self.path),
                cure="the index belongs to another store or is damaged (`geneb verify` says which), or it was written "
                "after this reader opened the store (`refresh`)",
            )
        return wanted.astype(np.int64, copy=False)

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start`` to ``stop`` as they are stored: see `geneb_jax.store.dtypes`."""
        with self._steady():
            return rowio.read_rows(self.root, self._vectors, start, stop)

    def digests(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """SHA-256 of the sequences of rows ``start`` to ``stop``, (n, 32)."""
        with self._steady():
            block: NDArray[np.uint8] = rowio.read_rows(
                self.root, self._digests, start, self.num_rows if stop is None else stop
            )
            return block

    def stored_at(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The rows of these numbers as they are stored."""
        if not len(rows):
            return np.empty((0, self.width), self._vectors.dtype)
        with self._steady():
            return gather_rows(self.root, self._vectors, [rows])[0]

    def find(self, digests: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Row of each sequence digest, -1 where there is none."""
        return self._index.find(digests)

    @cached_property
    def _index(self) -> DigestIndex:
        return DigestIndex(self.digests())

    def refresh(self) -> int:
        """Let a reader see what was committed since it opened; returns the number of new rows.

        Rows it saw before keep their numbers. Raises StoreError when the element was repaired or replaced meanwhile.
        """
        if self.writable:
            return 0
        self._require_same()
        before = self.num_rows
        fresh = EmbeddingStore(self.root, self.key)
        if fresh._commits[: len(self._commits)] != self._commits:
            raise self._replaced()
        if fresh.num_rows > before and "_index" in self.__dict__:
            self._index.add(fresh.digests(before), before)
        self._vectors, self._digests, self._commits = fresh._vectors, fresh._digests, fresh._commits
        self._splits = fresh._splits
        return self.num_rows - before

    @contextmanager
    def _steady(self) -> Iterator[None]:
        """Reading that counts only if, after it, the element under this name is still the one that was opened."""
        try:
            yield
        except StoreError:
            self._require_same()
            raise
        self._require_same()

    def _require_same(self) -> None:
        if self._lock is None and places.stamp(self.root / self.key) != self._stamp:
            raise self._replaced()

    def _replaced(self) -> StoreError:
        return StoreError(
            "this element was repaired or replaced since it was opened: row numbers are others now",
            where=str(self.path),
            cure="open the store again",
        )

    # writing

    def append(self, sequences: Sequence[str], vectors: ArrayLike) -> None:
        """Add one vector per sequence, all at once: after a kill either all rows are there or none.

        NaN and infinities are kept and counted (`non_finite_rows`). Raises StoreError for a wrong shape, a
        repeated or stored sequence, a full disk, or a store opened for reading; nothing is added then.
        """
        self._require_writer()
        block = dtypes.check_vectors(vectors, (len(sequences), self.width), self.dtype, str(self.path))
        digests = digest_sequences(sequences)
        self._refuse_repeats(sequences, digests)
        self.append_stored(digests, block)

    def append_stored(self, digests: NDArray[np.uint8], block: NDArray[Any]) -> None:
        """`append` for rows as another store of the same manifest holds them; they must be new and distinct."""
        self._require_writer()
        if not len(block):
            return
        root = places.require_local(self.root, "writing")
        digests, block = np.ascontiguousarray(digests), np.ascontiguousarray(block)
        start, stop = self.num_rows, self.num_rows + len(block)
        more_digests = arrays.grown(self._digests, stop)
        with (
            files.interrupt_later(),
            files.writing(root / self.key, block.nbytes + digests.nbytes),
            ThreadPoolExecutor(2) as pool,
        ):
            # hashing and the small files take as long as the disk: all at once
            commit = pool.submit(_commit, block, digests, self.dtype)
            small = pool.submit(_append, root, self._digests, more_digests, digests)
            rowio.write_rows(root, self._vectors, start, block)
            small.result()
            commits = [*self._commits, commit.result()]
            more_vectors = arrays.grown(self._vectors, stop, {"commits": [c.as_json() for c in commits]})
            arrays.publish(root, more_vectors)  # the instant of the commit
            self._digests, self._vectors, self._commits = more_digests, more_vectors, commits
            self._index.add(digests, start)

    def write_split(self, split: SplitIndex) -> bool:
        """Record which rows make up a split. Returns False when exactly this was recorded already.

        A split of the same name over other data is replaced; its vectors stay. Raises StoreError for rows
        that do not exist, and as `append` does.
        """
        self._require_writer()
        root = places.require_local(self.root, "writing")
        splits.check(split, self.num_rows, self.path)
        with files.interrupt_later(), files.writing(root / self.key, 16 * len(split)):
            wrote, entry = splits.write(root, self.key, split, self._entries())
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
        entry = splits.find(self._entries(), task_id, split, self.path)
        try:
            with self._steady():
                return splits.read(self.root, self.key, entry)
        except StoreError as error:
            if entry.folder in splits.folders(self.root, self.key):
                raise
            raise StoreError(
                f"the index of {task_id} {split} was replaced since this reader opened the store",
                where=str(self.path),
                cure="`refresh` the reader, or open the store again",
            ) from error

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

    def _refuse_repeats(self, sequences: Sequence[str], digests: NDArray[np.uint8]) -> None:
        again = repeated(digests)
        if len(again):
            first = int(again[0])
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

    def _recover(self) -> None:
        """Clear what a killed writer left: temporary files and chunks beyond the last commit."""
        root = places.require_local(self.root, "writing")
        with files.writing(root / self.key):
            files.sweep_partial(root / self.key)
            splits.recover(root, self.key)
            for array in (self._vectors, self._digests):
                shard = -(-self.num_rows // array.layout.rows)
                # a killed writer leaves an unbroken run of chunks; whatever it left is not committed
                while (path := arrays.shard_path(root, array, shard)).exists():
                    path.unlink()
                    shard += 1


def _append(root: Path, array: arrays.Array, more: arrays.Array, block: NDArray[Any]) -> None:
    rowio.write_rows(root, array, more.rows - len(block), block)
    arrays.publish(root, more)


def _commit(block: NDArray[Any], digests: NDArray[np.uint8], dtype: str) -> Commit:
    return Commit(len(block), sha256(block), sha256(digests), to_ranges(dtypes.non_finite(block, dtype)))
