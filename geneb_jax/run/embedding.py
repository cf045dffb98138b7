"""Embedding a suite: every distinct sequence once, into a store, so that a kill loses one commit at most."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geneb_jax.encoder.info import Encoder, EncoderInfo
from geneb_jax.errors import DataError, EncoderError, ExitCode, GenebError, MissingDataError
from geneb_jax.run.embedding_progress import open_meter
from geneb_jax.store import EmbeddingStore, Manifest, SplitIndex, open_store
from geneb_jax.store.arrays import Compression
from geneb_jax.store.files import free_bytes, no_space
from geneb_jax.store.format import normalise
from geneb_jax.task.info import Suite, Task

# sequences handed to the encoder at once: few enough for a lively progress bar, enough to fill batches
_SLICE = 256
_SAMPLE = 8


@dataclass(frozen=True)
class EmbedReport:
    """What one call of `embed` did.

    ``total`` counts the sequences of all splits, ``distinct`` those that differ; of these ``reused`` were in
    the store already and ``embedded_now`` were not. ``seconds`` is wall time per phase: read, check, encode,
    write.
    ``non_finite`` counts this suite's sequences whose vector holds NaN or infinities, ``bad_tasks`` names the
    tasks they belong to.
    """

    encoder: str
    digest: str
    key: str
    store: str
    width: int
    total: int
    distinct: int
    embedded_now: int
    reused: int
    tasks: tuple[str, ...]
    seconds: dict[str, float]
    failed: tuple[tuple[str, GenebError], ...] = ()
    bad_tasks: tuple[str, ...] = ()
    non_finite: int = 0
    warnings: tuple[str, ...] = field(default=(), repr=False)

    @property
    def saved_by_dedupe(self) -> int:
        """Sequences that were not embedded because the same one occurs elsewhere in the suite."""
        return self.total - self.distinct

    @property
    def exit_code(self) -> ExitCode:
        """4 when a task failed or has bad vectors, else 0."""
        return ExitCode.SOME_FAILED if self.failed or self.bad_tasks else ExitCode.DONE


@dataclass(frozen=True)
class _Read:
    """The tasks that could be read, as numbers of distinct sequences in first-seen order."""

    sequences: list[str]
    splits: list[tuple[Task, str, NDArray[np.int64]]]
    total: int
    failed: tuple[tuple[str, GenebError], ...]
    warnings: tuple[str, ...]


def manifest_of(info: EncoderInfo) -> Manifest:
    """The store's record of an encoder; both have the same digest."""
    return Manifest(info.name, info.family, info.revision, info.width, info.settings, info.libraries)


def embed(
    encoder: Encoder,
    suite: Suite,
    store_path: str | os.PathLike[str],
    *,
    tasks: Sequence[str] | None = None,
    progress: bool = True,
    chunk_rows: int | None = None,
    check: bool = True,
    compression: Compression = "none",
    wait: float = 0.0,
) -> EmbedReport:
    """Embed every distinct sequence of a suite (or of the tasks that match the globs) into a store.

    Sequences the store holds for this encoder are not embedded again, so the same call resumes an interrupted
    one; the rows, their order and the lists given to the encoder are those of an uninterrupted call. Rows are
    committed ``chunk_rows`` at a time (counts only when the store is new to this encoder, as does
    ``compression``).

    A task whose data are bad is reported and the others go on. Raises StoreError, UnknownNameError,
    EncoderError when the encoder fails its checks, and the first task's error when no task can be read.
    """
    clock = _Clock()
    if tasks:
        suite = suite.select(tasks)
    manifest = manifest_of(encoder.info)
    with open_store(store_path, "a", wait=wait) as root:
        store = root.element(manifest, commit_rows=chunk_rows, compression=compression)
        with clock.phase("read"):
            read = _read(suite)
            pending = _plan(store, read.sequences)
        if pending:
            needed = 4 * store.width * len(pending)
            if compression == "none" and needed > (free := free_bytes(store.path)):
                raise no_space(store.path, needed, free)
            if check:
                with clock.phase("check"):
                    _check(encoder, sorted(read.sequences, key=len))
        _encode(encoder, store, pending, read, clock, progress)
        with clock.phase("write"):
            warnings, bad_tasks, bad_rows = _write_splits(store, suite, read)
        return EmbedReport(
            encoder=manifest.name,
            digest=manifest.digest,
            key=store.key,
            store=os.fspath(store_path),
            width=manifest.width,
            total=read.total,
            distinct=len(read.sequences),
            embedded_now=len(pending),
            reused=len(read.sequences) - len(pending),
            tasks=tuple(dict.fromkeys(task.id for task, _, _ in read.splits)),
            seconds=clock.seconds,
            failed=read.failed,
            bad_tasks=bad_tasks,
            non_finite=bad_rows,
            warnings=read.warnings + warnings,
        )


class _Clock:
    def __init__(self) -> None:
        self.seconds = {"read": 0.0, "check": 0.0, "encode": 0.0, "write": 0.0}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start


def _read(suite: Suite) -> _Read:
    numbers: dict[str, int] = {}
    failed: list[tuple[str, GenebError]] = []
    splits, warnings, total = [], [], 0
    for info in suite.tasks:
        try:
            task = suite.load(info.id)
        except (DataError, MissingDataError) as error:
            failed.append((info.id, error))
            continue
        warnings += [f"{task.id}: {text}" for text in task.warnings]
        for name, split in task.splits.items():
            rows = [numbers.setdefault(normalise(s), len(numbers)) for s in split.sequences]
            splits.append((task, name, np.array(rows, np.int64)))
            total += len(rows)
    if failed and not splits:
        first, reason = failed[0]
        others = f" (nor can the {len(failed) - 1} others)" if len(failed) > 1 else ""
        what = f"task {first} cannot be read{others}: {reason.what}"
        raise type(reason)(what, where=reason.where, cure=reason.cure) from reason
    return _Read(list(numbers), splits, total, tuple(failed), tuple(warnings))


def _plan(store: EmbeddingStore, sequences: list[str]) -> list[str]:
    """What is to be embedded: longest first, so that memory fails early, and then as met in the tasks.

    The order depends on the suite alone, and commits end on multiples of the store's ``commit_rows``. So
    what is left after an interruption is cut exactly as it would have been without one.
    """
    missing = store.missing(sequences)
    missing.sort(key=len, reverse=True)  # stable
    return missing


def _check(encoder: Encoder, sequences: list[str]) -> None:
    from geneb_jax.encoder import check_encoder

    picks = np.unique(np.linspace(0, len(sequences) - 1, _SAMPLE).astype(int))
    # one sequence alone can be compared with nothing
    if len(picks) > 1:
        check_encoder(encoder, [sequences[i] for i in picks]).raise_if_failed()


def _encode(
    encoder: Encoder, store: EmbeddingStore, pending: list[str], read: _Read, clock: _Clock, progress: bool
) -> None:
    saved = read.total - len(read.sequences)
    done = 0
    with open_meter(encoder.info.name, len(pending), len(read.sequences), saved, shown=progress) as meter:
        while done < len(pending):
            room = store.commit_rows - store.num_rows % store.commit_rows
            chunk = pending[done : done + room]
            parts = []
            with clock.phase("encode"):
                for start in range(0, len(chunk), _SLICE):
                    part = chunk[start : start + _SLICE]
                    parts.append(_vectors(encoder, part))
                    meter.advance(len(part))
            with clock.phase("write"):
                store.append(chunk, np.concatenate(parts))
            done += len(chunk)


def _vectors(encoder: Encoder, sequences: list[str]) -> NDArray[np.float32]:
    vectors = np.asarray(encoder.encode(sequences))
    if vectors.shape != (len(sequences), encoder.info.width):
        raise EncoderError(
            f"the encoder returned an array of shape {vectors.shape} for {len(sequences)} sequences, "
            f"where {(len(sequences), encoder.info.width)} was declared",
            where=f"encoder {encoder.info.name}",
            cure="correct the encoder's declared width, or let encode return one row per sequence",
        )
    return vectors


def _write_splits(store: EmbeddingStore, suite: Suite, read: _Read) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Write the row index of every split; returns warnings, tasks with bad vectors, and their count."""
    row_of = store.lookup(read.sequences)
    bad = np.isin(row_of, store.non_finite_rows)
    known = set(store.tasks())
    warnings, bad_tasks = [], []
    for task, name, numbers in read.splits:
        split = task.splits[name]
        if task.id in known and name in store.split_names(task.id):
            before = store.data_digest(task.id, name)
            if before != split.digest:
                warnings.append(
                    f"{task.id}: the store held other data of the same name for split {name!r}; "
                    "its index and labels now follow this suite, and all vectors are kept"
                )
        store.write_split(
            SplitIndex(
                task_id=task.id,
                split=name,
                rows=row_of[numbers],
                labels=split.labels,
                data_digest=split.digest,
                kind=task.info.kind,
                category=task.info.category,
                label=task.info.label,
                num_classes=task.info.num_classes,
                suite_name=suite.name,
                suite_version=suite.version,
                suite_source=task.source,
                warnings=task.warnings,
            )
        )
        if bad[numbers].any():
            bad_tasks.append(task.id)
    names = tuple(dict.fromkeys(bad_tasks))
    count = int(bad.sum())
    if count:
        warnings.append(f"{count} vectors hold NaN or infinities; their tasks will have no score: {', '.join(names)}")
    return tuple(warnings), names, count
