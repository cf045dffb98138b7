"""Embedding a suite: every distinct sequence once, into a store, so that a kill loses one commit at most."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.check import CheckReport
from geneb_jax.encoder.counting import SPELLINGS
from geneb_jax.encoder.custom import named
from geneb_jax.encoder.info import Encoder, EncoderInfo
from geneb_jax.encoder.views import StagedEncoder, ViewEncoder, staged
from geneb_jax.errors import DataError, EncoderError, ExitCode, GenebError, MissingDataError, StoreError
from geneb_jax.run.compile_cache import enable_compile_cache
from geneb_jax.run.embedding_checks import Drift, check_views, measure_drift
from geneb_jax.run.embedding_pipeline import Clock, Cut, Pipeline, cut_blocks
from geneb_jax.run.embedding_progress import open_meter
from geneb_jax.run.embedding_reuse import compare_stored, require_as_stored
from geneb_jax.run.reading import Letters, by_task, count_or_stop
from geneb_jax.run.sharing import stop_where_shared
from geneb_jax.store import EmbeddingStore, Manifest, SplitIndex, open_store
from geneb_jax.store.arrays import Compression
from geneb_jax.store.files import free_bytes, no_space
from geneb_jax.store.format import normalise
from geneb_jax.store.measures import put_measure
from geneb_jax.task.info import Suite, Task

_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class EmbedReport:
    """What one call of `embed` did for one encoder, or `embed_views` for one view.

    ``total`` counts the sequences of all splits, ``distinct`` those that differ; of these ``reused`` were in
    the store already and ``embedded_now`` were not. ``seconds`` is wall time per phase (read, check, tokenize,
    encode, write), where tokenize and write are only what the vectors had to wait for; ``behind`` is how long
    these two were busy in their own threads. ``views`` vectors shared the pass, and with it these times.
    ``checks`` says in one line what the encoder's checks found, where they ran.
    ``halvings`` counts how often memory ran out and batches were halved; ``drift`` is that of half precision.
    ``non_finite`` counts this suite's sequences whose vector holds NaN or infinities, ``bad_tasks`` names the
    tasks they belong to. ``letters`` says of every task what the encoder does not read (`geneb_jax.run.reading`); None
    where it cannot tell.
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
    behind: dict[str, float] = field(default_factory=dict)
    views: int = 1
    halvings: int = 0
    drift: Drift | None = None
    checks: str | None = None
    letters: Mapping[str, Letters] | None = None

    @property
    def saved_by_dedupe(self) -> int:
        """Sequences that were not embedded because the same one occurs elsewhere in the suite."""
        return self.total - self.distinct

    @property
    def exit_code(self) -> ExitCode:
        """4 when a task failed or has bad vectors, else 0."""
        return ExitCode.SOME_FAILED if self.failed or self.bad_tasks else ExitCode.DONE


@dataclass(frozen=True)
class ViewsReport:
    """A report for each view that was embedded, and the views that failed their checks, with the reason."""

    reports: tuple[EmbedReport, ...]
    left_out: tuple[tuple[str, EncoderError], ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """4 when a view was left out, a task failed or has bad vectors, else 0."""
        return ExitCode.SOME_FAILED if self.left_out else max(report.exit_code for report in self.reports)


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


class EmbedOptions(TypedDict, total=False):
    """What `embed` hands on to `embed_views`, whose defaults hold."""

    tasks: Sequence[str] | None
    progress: bool
    chunk_rows: int | None
    check: bool
    compression: Compression | None
    stored_as: str | None
    wait: float
    allow_unread: bool


def embed(
    encoder: Encoder,
    suite: Suite,
    store_path: str | os.PathLike[str],
    **options: Unpack[EmbedOptions],
) -> EmbedReport:
    """Embed every distinct sequence of a suite (or of the tasks that match the globs) into a store.

    Sequences the store holds for this encoder are not embedded again, so the same call resumes an interrupted
    one; some of these are embedded all the same, and compared. The rows, their order and the lists given to the
    encoder are those of an uninterrupted call. Rows are
    committed ``chunk_rows`` at a time (settled, as is ``compression``, when the store is new to this encoder).
    ``stored_as`` "float16" or "bfloat16" writes an element of its own with rounded vectors.

    A task whose data are bad is reported and the others go on. Raises StoreError (also where the stored vectors are
    not those that the encoder makes), UnknownNameError, EncoderError when the encoder fails its checks, and the first
    task's error when no task can be read; UsageError where the store holds the encoder in other chunks or compression.
    """
    return embed_views(encoder, suite, store_path, **options).reports[0]


def embed_views(
    encoder: Encoder | ViewEncoder,
    suite: Suite,
    store_path: str | os.PathLike[str],
    *,
    tasks: Sequence[str] | None = None,
    progress: bool = True,
    chunk_rows: int | None = None,
    check: bool = True,
    compression: Compression | None = None,
    stored_as: str | None = None,
    wait: float = 0.0,
    allow_unread: bool = False,
) -> ViewsReport:
    """`embed` for every view of an encoder at once: one element of the store each, from one pass over the sequences.

    A view's rows are committed on their own, and a sequence is embedded when some view lacks it. A view that
    fails its checks is left out and named; when all do, the first one's EncoderError is raised. Raises as
    `embed` does, and EncoderError where the encoder does not read a task's letters (`geneb_jax.run.reading`) and not
    ``allow_unread``, nor tells its sequences apart (`geneb_jax.run.sharing`).
    """
    clock = Clock()
    if tasks:
        suite = suite.select(tasks)
    encoder = named(encoder)
    engine = staged(encoder)
    if "jax" in sys.modules:  # an encoder in JAX: what its checks compile, later runs need not
        enable_compile_cache()
    manifests = [manifest_of(info).stored_as(stored_as or "float32") for info in engine.views]
    with open_store(store_path, "a", wait=wait) as root:
        with clock.phase("read"):
            thymine = getattr(engine, "thymine", None)
            read = _read(suite, thymine)
            letters = count_or_stop(engine, store_path, manifests[0], read, thymine, allowed=allow_unread)
            held = {number: one for number, m in enumerate(manifests) if (one := _stored(store_path, m)) is not None}
            lacking = [
                len(held[number].missing(read.sequences)) if number in held else len(read.sequences)
                for number in range(len(manifests))
            ]
            if len(held) == len(manifests):  # a view that is new takes them
                require_as_stored(held.values(), chunk_rows, compression)
            if compression in (None, "none"):
                _require_room(
                    store_path, sum(_BYTES[m.dtype] * m.width * n for m, n in zip(manifests, lacking, strict=True))
                )
        checked: list[CheckReport] = []
        failed: dict[int, EncoderError] = {}
        with clock.phase("check"):
            notes = compare_stored(engine, held, read.sequences)
        drifts: tuple[Drift | None, ...] = (None,) * len(manifests)
        if check and any(lacking):
            with clock.phase("check"):
                checked = check_views(engine, encoder, read.sequences)
                failed = {number: error for number, one in enumerate(checked) if (error := one.error) is not None}
                if len(failed) == len(manifests):
                    raise failed[0]
                drifts, note = measure_drift(engine, encoder, read.sequences)
                notes += [note] if note else []
        views = [number for number in range(len(manifests)) if number not in failed]
        with clock.phase("read"):
            stores = {
                number: root.element(manifests[number], commit_rows=chunk_rows, compression=compression or "none")
                # in one order for all, so that two writers never wait for each other
                for number in sorted(views, key=lambda number: manifests[number].key)
            }
            work = _plan([stores[number] for number in views], read.sequences)
        _encode(engine, views, work, read, clock, progress)
        with clock.phase("check"):
            told = [stop_where_shared(store, read, letters, allowed=allow_unread) for store in work.stores]
        reports = []
        for number, store, needed, (marked, shared) in zip(views, work.stores, work.needs, told, strict=True):
            drift = drifts[number]
            with clock.phase("write"):
                if drift is not None:
                    put_measure(store, "drift", drift.as_json())
                warnings, bad_tasks, bad_rows = _write_splits(store, suite, read, marked)
            reports.append(
                EmbedReport(
                    encoder=manifests[number].name,
                    digest=manifests[number].digest,
                    key=store.key,
                    store=os.fspath(store_path),
                    width=manifests[number].width,
                    total=read.total,
                    distinct=len(read.sequences),
                    embedded_now=int(needed.sum()),
                    reused=len(read.sequences) - int(needed.sum()),
                    tasks=tuple(dict.fromkeys(task.id for task, _, _ in read.splits)),
                    seconds={},
                    failed=read.failed,
                    bad_tasks=bad_tasks,
                    non_finite=bad_rows,
                    warnings=read.warnings + tuple(notes) + shared + warnings,
                    views=len(views),
                    halvings=engine.budget.halvings,
                    drift=drift,
                    checks=checked[number].summary() if checked else None,
                    letters=None if letters is None else by_task(letters),
                )
            )
        return ViewsReport(
            tuple(replace(report, seconds=clock.seconds, behind=clock.behind) for report in reports),
            tuple((manifests[number].name, error) for number, error in failed.items()),
        )


def _read(suite: Suite, thymine: str | None) -> _Read:
    spell = SPELLINGS[thymine]
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
            rows = [numbers.setdefault(spell(normalise(s)), len(numbers)) for s in split.sequences]
            splits.append((task, name, np.array(rows, np.int64)))
            total += len(rows)
    if failed and not splits:
        first, reason = failed[0]
        others = f" (nor can the {len(failed) - 1} others)" if len(failed) > 1 else ""
        what = f"task {first} cannot be read{others}: {reason.what}"
        raise type(reason)(what, where=reason.where, cure=reason.cure) from reason
    return _Read(list(numbers), splits, total, tuple(failed), tuple(warnings))


@dataclass(frozen=True)
class _Work:
    """What is to be embedded, which view (row of ``needs``) lacks it, and how it is cut into blocks."""

    pending: list[str]
    stores: list[EmbeddingStore]
    needs: NDArray[np.bool_]
    cuts: list[Cut]


def _plan(stores: list[EmbeddingStore], sequences: list[str]) -> _Work:
    """What is to be embedded: longest first, so that memory fails early, and then as met in the tasks.

    The order depends on the suite alone, and commits end on multiples of the store's ``commit_rows``. So
    what is left after an interruption is cut exactly as it would have been without one. Batches are made
    within a block, by length again.
    """
    missing = [set(store.missing(sequences)) for store in stores]
    pending = sorted((s for s in sequences if any(s in lacking for lacking in missing)), key=len, reverse=True)
    needs = np.array([[s in lacking for s in pending] for lacking in missing], bool).reshape(len(stores), len(pending))
    rooms = [store.commit_rows - store.num_rows % store.commit_rows for store in stores]
    return _Work(pending, stores, needs, cut_blocks(needs, rooms, [store.commit_rows for store in stores]))


def _stored(store_path: str | os.PathLike[str], manifest: Manifest) -> EmbeddingStore | None:
    """The element as it is before it is opened for writing, if there is one that can be read."""
    try:
        element = open_store(store_path).element(manifest)
        element.missing(())
    except StoreError:  # not there yet; or damaged, which is told when it is opened for writing
        return None
    return element


def _require_room(store_path: str | os.PathLike[str], needed: int) -> None:
    """Raise StoreError when the disk is too small for what will be written."""
    if needed > (free := free_bytes(Path(store_path))):
        raise no_space(Path(store_path), needed, free)


def _encode(engine: StagedEncoder, views: list[int], work: _Work, read: _Read, clock: Clock, progress: bool) -> None:
    """Embed what is pending, and commit each view's rows whenever it has a block of them."""
    saved = read.total - len(read.sequences)
    held: list[tuple[list[str], list[NumpyFloat]]] = [([], []) for _ in views]  # of the writing thread alone
    name = engine.views[views[0]].name + (f" and {len(views) - 1} more views" if len(views) > 1 else "")

    def prepare(cut: Cut) -> object:
        return engine.prepare(work.pending[cut.start : cut.stop])

    def write(cut: Cut, vectors: list[NumpyFloat]) -> None:
        for place, (sequences, parts) in enumerate(held):
            chosen = np.flatnonzero(work.needs[place, cut.start : cut.stop])
            sequences += [work.pending[cut.start + i] for i in chosen.tolist()]
            parts.append(vectors[views[place]][chosen])
            if place in cut.flush:
                work.stores[place].append(sequences, np.concatenate(parts))
                sequences.clear()
                parts.clear()

    with open_meter(name, len(work.pending), len(read.sequences), saved, shown=progress) as meter:

        def compute(cut: Cut, prepared: object, check: Callable[[], None]) -> list[NumpyFloat]:
            def done(count: int) -> None:
                meter.advance(count)
                check()

            return engine.compute(prepared, done)

        Pipeline(prepare, compute, write, clock).run(work.cuts)


def _write_splits(
    store: EmbeddingStore, suite: Suite, read: _Read, letters: Mapping[tuple[str, str], Letters]
) -> tuple[tuple[str, ...], tuple[str, ...], int]:
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
                letters=found.as_json() if (found := letters.get((task.id, name))) else None,
            )
        )
        if bad[numbers].any():
            bad_tasks.append(task.id)
    names = tuple(dict.fromkeys(bad_tasks))
    count = int(bad.sum())
    if count:
        warnings.append(f"{count} vectors hold NaN or infinities; their tasks will have no score: {', '.join(names)}")
    return tuple(warnings), names, count
