"""Running the grid: one encoder at a time is written into a store, read back, probed and scored; then the bootstrap.

The folder of a run holds ``store.zarr`` (one encoder's vectors at a time unless all are kept), ``run`` (a run
directory as `geneb probe` writes it) and ``timings.jsonl`` (one line for each timed call, one for each encoder that is
done), from which an interrupted run is taken up again. All of it is deleted at the end unless it is to be kept.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np

from benchmarks import machine
from benchmarks.grid.calls import Calls
from benchmarks.grid.outcome import conclude
from benchmarks.grid.result import GridResult
from benchmarks.grid.rivals import rivals_of
from benchmarks.grid.shape import Cell, Grid, GridEncoder, cell_of, part_of, pieces, published_grid
from benchmarks.grid.synthetic import Vectors, labels_of
from benchmarks.phases import Watch
from benchmarks.rows.store_rows import disk, forget
from benchmarks.workloads import geneb_lanes
from geneb_jax.errors import StoreError
from geneb_jax.probes import fit, streamed
from geneb_jax.run import Run, probe
from geneb_jax.run.compile_cache import ENVIRONMENT
from geneb_jax.run.directory import RunWriter
from geneb_jax.run.probing import _Worker
from geneb_jax.stats.samples import task_samples
from geneb_jax.stats.uncertainty import score_intervals
from geneb_jax.store import Manifest, SplitIndex, open_store
from geneb_jax.store.files import free_bytes, no_space

SUITE = "geneb-grid"
SLACK = 1.05
"""Of what is written, beside the vectors: digests, indexes, predictions."""


def run_grid(
    scale: float = 0.01,
    *,
    grid: Grid | None = None,
    folder: str | os.PathLike[str] | None = None,
    keep: bool = False,
    resamples: int = 10_000,
    rival_seconds: float = 0.0,
    clear: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> GridResult:
    """Run a part of about `scale` of the grid (the published one by default), and extrapolate to all of it.

    `folder` None takes a new one on the disk that ``GENEB_BENCH_DISK`` names, else the temporary folder; one that holds
    an interrupted run of the same part is continued. `rival_seconds` is about how long the rivals may take; 0 leaves
    them out. `clear` forgets what this process compiled and keeps no compiled program, so that compiling is counted in
    full. Raises StoreError where the disk is too small, and where `folder` holds something else.
    """
    load = machine.load_average()
    whole = grid or published_grid()
    part = part_of(whole, scale)
    if clear:
        jax.clear_caches()
    with _folder(folder, keep=keep) as work:
        calls = Calls.open(work / "timings.jsonl", part)
        require_room(work, part, calls, keep=keep)
        for number, encoder in enumerate(part.encoders, 1):
            if encoder.name not in calls.done:
                say(f"encoder {number} of {len(part.encoders)}, width {encoder.width:,}")
                with mock.patch.dict(os.environ, {ENVIRONMENT: ""} if clear else {}):
                    _encoder(work, part, encoder, calls, keep=keep)
        say(f"{resamples:,} resamples of every test split")
        _bootstrap(Run.open(work / "run"), part, resamples, calls)
        rivals = rivals_of(whole, part, rival_seconds, say) if rival_seconds else []
        say("floors of the machine")
        return conclude(scale, whole, part, work, room(part, part.encoders, keep=keep), calls, resamples, rivals, load)


@contextmanager
def _folder(folder: str | os.PathLike[str] | None, *, keep: bool) -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(prefix="geneb-grid-", dir=disk())) if folder is None else Path(folder)
    if work.is_dir() and any(work.iterdir()) and not (work / "timings.jsonl").exists():
        raise StoreError("this folder holds something else", where=str(folder), cure="give --store a new folder")
    work.mkdir(parents=True, exist_ok=True)
    finished = False
    try:
        yield work
        finished = True
    finally:
        # an interrupted run in a folder that can be named again stays, so that it can be taken up
        if not keep and (finished or folder is None):
            shutil.rmtree(work)


def room(part: Grid, encoders: Sequence[GridEncoder], *, keep: bool) -> int:
    """Bytes that lie on the disk at most for these encoders: one at a time, or all that are kept."""
    sizes = [part.bytes_of(encoder.width) for encoder in encoders]
    return int(SLACK * ((sum(sizes) if keep else max(sizes, default=0)) + 12 * _predictions(part)))


def require_room(work: Path, part: Grid, calls: Calls, *, keep: bool) -> None:
    """Raise StoreError where the disk cannot hold what is still to be written."""
    held = sum(p.stat().st_size for p in (work / "store.zarr").rglob("*") if p.is_file())
    needed = room(part, [encoder for encoder in part.encoders if encoder.name not in calls.done], keep=keep)
    if needed > (free := free_bytes(work)) + held:
        error = no_space(work, needed, free)
        way = "a smaller --scale, a larger disk with --store" + (", or no --keep" if keep else "")
        raise StoreError(f"{error.what} ({needed:,} bytes)", where=str(work), cure=f"choose {way}")


def _predictions(part: Grid) -> int:
    """Predicted classes of all records."""
    return len(part.encoders) * len(geneb_lanes()) * sum(task.m for task in part.tasks)


def _encoder(work: Path, part: Grid, encoder: GridEncoder, calls: Calls, *, keep: bool) -> None:
    """Write, read, probe and forget one encoder."""
    key = write_element(work / "store.zarr", part, encoder, calls)
    forget(work / "store.zarr")
    with _watched(part, encoder, calls):
        probe([work / "store.zarr"], None, work / "run", progress=False, encoders=[manifest_of(encoder).digest])
    calls.finish(encoder.name)
    if not keep:
        shutil.rmtree(work / "store.zarr" / key)


def manifest_of(encoder: GridEncoder) -> Manifest:
    """What the store says of synthetic vectors; a name is no part of an encoder's identity, a revision is."""
    return Manifest(encoder.name, "synthetic", encoder.name, encoder.width)


def write_element(path: Path, part: Grid, encoder: GridEncoder, calls: Calls) -> str:
    """All vectors of one encoder and the indexes of all tasks, in the commits that `geneb embed` makes."""
    vectors = Vectors(part, encoder)
    commits = pieces(part, encoder)
    threads = os.cpu_count() or 1
    with open_store(path, "a") as store, ThreadPoolExecutor(threads) as pool:
        element = store.element(manifest_of(encoder))
        while element.num_rows < int(vectors.starts[-1]):
            first = element.num_rows // element.commit_rows
            some = commits[first : first + threads]
            ends = np.cumsum([element.num_rows, *(piece.n for piece in some)]).tolist()
            spans = list(pairwise(ends))
            with calls.timing("generate", some):
                made = list(pool.map(lambda span: vectors.piece(*span), spans))
            with calls.timing("write", some):
                for span, X in zip(spans, made, strict=True):
                    element.append(sequences(*span), X)
        for place, task in enumerate(part.tasks):
            for split, rows in zip(("train", "test"), vectors.rows_of(place), strict=True):
                labels = labels_of(task, split)
                digest = hashlib.sha256(labels.tobytes()).hexdigest()
                element.write_split(
                    SplitIndex(task.id, split, rows, labels, digest, category=task.category, num_classes=task.k,
                               suite_name=SUITE, suite_version="1", suite_source="synthetic")
                )  # fmt: skip
        return element.key


def sequences(start: int, stop: int) -> list[str]:
    """A different sequence for every row: its number, written in the four letters."""
    letters = np.frombuffer(b"ACGT", np.uint8)
    digits = np.arange(start, stop)[:, None] >> np.arange(30, -2, -2) & 3
    return [row.tobytes().decode() for row in letters[digits]]


@contextmanager
def _watched(part: Grid, encoder: GridEncoder, calls: Calls) -> Iterator[None]:
    """Time the steps of a probe command as it is: reading pairs, fitting them, writing their records."""
    watch = Watch()
    sizes = {task.id: cell_of(encoder, task) for task in part.tasks}
    read, write, together, in_blocks = _Worker._read, RunWriter.write_pair, fit.fit_tasks, streamed.fit_task_streamed

    def reading(worker: _Worker, pair: Any) -> Any:
        with calls.timing("read", [sizes[pair.info.id]]):
            return read(worker, pair)

    def writing(writer: RunWriter, element: str, records: Any, *rest: Any) -> None:
        with calls.timing("record", [sizes[records[0].task]]):
            write(writer, element, records, *rest)

    def fitting(tasks: Any, lanes: Any, **options: Any) -> Any:
        cells = [Cell(*map(len, (t.X_train, t.X_test)), t.X_train.shape[1], len(np.unique(t.y_train))) for t in tasks]
        before = dict(watch.seconds)
        found = together(tasks, lanes, **options)
        for phase, seconds in watch.since(before).items():
            calls.add(phase, seconds, cells)
        return found

    def fitting_in_blocks(train: Any, y_train: Any, test: Any, *rest: Any, **options: Any) -> Any:
        cell = Cell(train.shape[0], test.shape[0], train.shape[1], len(np.unique(y_train)))
        before = dict(watch.seconds)
        with watch.counting("solve"):
            found = in_blocks(train, y_train, test, *rest, **options)
        for phase in ("solve", "compile"):
            calls.add(phase, watch.since(before)[phase], [cell], streamed=True)
        return found

    with ExitStack() as stack:
        stack.enter_context(watch.on())
        for owner, name, call in (
            (_Worker, "_read", reading),
            (RunWriter, "write_pair", writing),
            (fit, "fit_tasks", fitting),
            (streamed, "fit_task_streamed", fitting_in_blocks),
        ):
            stack.enter_context(mock.patch.object(owner, name, call))
        began, counted = time.perf_counter(), calls.total()
        yield
        # what no step accounts for: starting, opening, merging the records
        calls.add("rest", time.perf_counter() - began - (calls.total() - counted), list(sizes.values()))


def _bootstrap(run: Run, part: Grid, resamples: int, calls: Calls) -> None:
    """Intervals of all tasks and means, every encoder on the same resamples; one call for each task."""
    calls.forget("bootstrap")
    cells = {task.id: [cell_of(encoder, task) for encoder in part.encoders] for task in part.tasks}
    began = time.perf_counter()
    samples = list(task_samples([run]))
    reading = (time.perf_counter() - began) / max(1, len(samples))
    last = time.perf_counter()

    def done(sample: Any) -> None:
        nonlocal last
        now = time.perf_counter()
        calls.add("bootstrap", now - last + reading, cells[sample.task])
        last = now

    score_intervals(samples, resamples=resamples, done=done)
