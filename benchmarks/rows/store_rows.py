"""The store against plain files on the same disk: reading a task back, appending, and what half precision costs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks import machine
from benchmarks.ceilings import measure_ceilings
from benchmarks.record import Check, Rival, Row, Shape
from benchmarks.rows.base import Bench, Context, assemble
from benchmarks.timing import Timed, seconds_of
from benchmarks.workloads import Workload, geneb_lanes, workload
from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder import load_encoder
from geneb_jax.probes import fit_task
from geneb_jax.run.embedding import embed
from geneb_jax.store import EmbeddingStore, Manifest, open_store
from geneb_jax.store.arrays import default_rows
from geneb_jax.task import load_suite

WARM, COLD = "page cache", "disk"
HALVES = ("float16", "bfloat16")
MOST_MCC = 0.005
"""Largest change of MCC at full data that half precision may bring, for the row to count as correct."""


def fill(context: Context, shape: Workload, folder: Path, **options: str) -> EmbeddingStore:
    """A store of the task's vectors as `geneb embed` makes it."""
    root: str | Path = "quickstart" if shape.home == "quickstart" or context.data is None else context.data / shape.home
    suite = load_suite(root).select([shape.task])
    report = embed(load_encoder(shape.encoder), suite, folder / "store.zarr", progress=False, check=False, **options)  # type: ignore[arg-type]
    return open_store(folder / "store.zarr").open(report.key)


def reading(context: Context, bench: Bench) -> Row:
    """Vectors and labels of both splits of a task, against `numpy.load` of files of the same bytes."""
    load = machine.load_average()
    shape = workload(bench.workload_name(context.size))
    with tempfile.TemporaryDirectory(dir=disk()) as name:
        folder = Path(name)
        context.say("embedding")
        element = fill(context, shape, folder)
        splits = [element.split(shape.task, split) for split in ("train", "test")]
        for index in splits:
            np.save(folder / f"{index.split}-X.npy", element.read(index.rows))
            np.save(folder / f"{index.split}-y.npy", index.labels)
        files = [folder / f"{index.split}-{part}.npy" for part in "Xy" for index in splits]

        def ours() -> list[NumpyFloat]:
            # the split indexes are read and proved too
            indexes = [element.split(shape.task, split) for split in ("train", "test")]
            return [*element.read_each(*(i.rows for i in indexes)), *(i.labels for i in indexes)]

        def theirs() -> list[NumpyFloat]:
            return [np.load(path) for path in files]

        opening = min(seconds_of(lambda: open_store(folder / "store.zarr").open(element.key))[0] for _ in range(5))
        times: dict[str, tuple[list[float], list[float]]] = {}
        first, found = seconds_of(ours)
        for label in (WARM, COLD):
            context.say(f"reading, {label}")
            pair: tuple[list[float], list[float]] = ([], [])
            for _ in range(context.repeats):
                # one after the other, so that what else the machine does meets both
                for work, seconds in zip((ours, theirs), pair, strict=True):
                    if label == COLD:
                        forget(folder)
                    seconds.append(seconds_of(work)[0])
            times[label] = pair
        trouble = [f.what for f in element.verify()]
        if not all(a.tobytes() == b.tobytes() for a, b in zip(found, theirs(), strict=True)):
            trouble.append("the store's vectors differ from the files'")
        rows = [len(index) for index in splits]
    return _row(context, bench, rows, element.width, first, times, load, trouble, "numpy.load", {
        "MB_per_s": 4e-6 * sum(rows) * element.width / float(np.median(times[WARM][0])),
        "open_s": opening,
    })  # fmt: skip


def appending(context: Context, bench: Bench) -> Row:
    """Commit after commit, synced, against a plain file that is flushed and synced after blocks of as many rows."""
    load = machine.load_average()
    rows, width = (512, 256) if context.size == "toy" else (32_768, 1024)
    vectors = np.random.default_rng(0).standard_normal((rows, width), dtype=np.float32)
    letters = np.random.default_rng(1).choice(np.frombuffer(b"ACGT", np.uint8), (rows, 200))
    sequences = [row.tobytes().decode() for row in letters]
    trouble: list[str] = []
    with tempfile.TemporaryDirectory(dir=disk()) as name:
        folder, made = Path(name), iter(range(10**6))

        def ours() -> float:
            path = folder / f"{next(made)}.zarr"
            with open_store(path, "a") as store:
                element = store.element(Manifest("bench", "bench", "1", width))
                step = element.commit_rows

                def work() -> None:
                    for a in range(0, rows, step):
                        element.append(sequences[a : a + step], vectors[a : a + step])

                seconds, _ = seconds_of(work)
            trouble.extend(f.what for f in open_store(path).verify())
            return seconds

        def theirs(step: int) -> float:
            with (folder / f"{next(made)}.bin").open("wb") as out:

                def work() -> None:
                    for a in range(0, rows, step):
                        out.write(vectors[a : a + step].data)
                        out.flush()
                        os.fsync(out.fileno())

                return seconds_of(work)[0]

        first, step = ours(), default_rows(width)
        times: dict[str, tuple[list[float], list[float]]] = {}
        for label, guard in (("synced", _as_it_is()), ("not synced", _no_sync())):
            context.say(f"appending, {label}")
            with guard:
                pairs = [(ours(), theirs(step)) for _ in range(context.repeats)]
                times[label] = ([a for a, _ in pairs], [b for _, b in pairs])
    return _row(context, bench, [rows, 0], width, first, times, load, trouble, "plain file", {
        "MB_per_s": 4e-6 * rows * width / float(np.median(times["synced"][0])), "commit_rows": float(step),
    })  # fmt: skip


def precision(context: Context, bench: Bench) -> Row:
    """GENEB's protocol on vectors read from a float32 store and from half-precision ones: the change of MCC."""
    load = machine.load_average()
    shape = workload(bench.workload_name(context.size))
    lanes, scores, sizes, seconds = geneb_lanes(), {}, {}, []
    with tempfile.TemporaryDirectory(dir=disk()) as name:
        for dtype in ("float32", *HALVES):
            context.say(f"embedding, stored as {dtype}")
            element = fill(context, shape, Path(name), stored_as=dtype)
            train, test = (element.split(shape.task, split) for split in ("train", "test"))
            context.say(f"fitting {dtype}")
            X, Z = element.read(train.rows), element.read(test.rows)
            elapsed, results = seconds_of(lambda X=X, Z=Z, a=train, b=test: fit_task(X, a.labels, Z, b.labels, lanes))  # type: ignore[misc]
            scores[dtype] = np.array([r.mcc for r in results], np.float64)
            sizes[dtype] = sum(p.stat().st_size for p in Path(str(element.path)).rglob("embeddings/c/*/0"))
            seconds.append(elapsed)
    full = np.array([lane.regime.shots is None for lane in lanes])
    measures = {"mcc_float32_full": float(scores["float32"][full].mean())}
    for dtype in HALVES:
        gap = scores[dtype] - scores["float32"]
        measures[f"mcc_change_{dtype}_full"] = float(gap[full][np.abs(gap[full]).argmax()])
        measures[f"mcc_change_{dtype}_few_shot_mean"] = float(gap[~full].mean())
        measures[f"mcc_change_{dtype}_few_shot_largest"] = float(np.abs(gap[~full]).max())
        measures[f"bytes_{dtype}_over_float32"] = sizes[dtype] / sizes["float32"]
    worst = max(abs(measures[f"mcc_change_{dtype}_full"]) for dtype in HALVES)
    trouble = [f"MCC at full data changes by {worst:.4f}, allowed {MOST_MCC}"] if worst > MOST_MCC else []
    times = {"the protocol": (seconds, [seconds[0]])}
    return _row(
        context, bench, [len(train), len(test)], element.width, seconds[0], times, load, trouble, None, measures
    )


def forget(folder: Path, names: str = "*") -> None:
    """Ask the system to drop a folder's files from its page cache; it drops those that are on the disk."""
    for path in folder.rglob(names):
        if path.is_file() and hasattr(os, "posix_fadvise"):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)


def disk() -> str | None:
    """The folder that GENEB_BENCH_DISK names, on the disk that is meant: /tmp is memory on some machines."""
    return os.environ.get("GENEB_BENCH_DISK")


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _no_sync() -> Iterator[None]:
    fsync = os.fsync
    os.fsync = lambda fd: None
    try:
        yield
    finally:
        os.fsync = fsync


def _row(
    context: Context,
    bench: Bench,
    rows: Sequence[int],
    width: int,
    first: float,
    times: Mapping[str, tuple[list[float], list[float]]],
    load: float | None,
    trouble: Sequence[str],
    rival: str | None,
    measures: Mapping[str, float],
) -> Row:
    """The first setting of `times` is the one that counts; a ratio is of medians, rival's seconds over ours."""
    label, *others = times
    medians = {setting: (float(np.median(a)), float(np.median(b))) for setting, (a, b) in times.items()}
    figures = dict(measures)
    rivals = []
    if rival is not None:
        seconds = {setting: theirs for setting, (_, theirs) in medians.items()}
        rivals = [Rival(name=rival, dtype="float32", seconds=seconds, as_shipped=seconds[label], best=seconds[label])]
        for setting in others:
            figures[f"ratio_{setting.replace(' ', '_')}"] = medians[setting][1] / medians[setting][0]
    timed = Timed(None, first, tuple(times[label][0]))
    traffic = 4 * sum(rows) * width
    context.say("ceilings of the machine")
    return assemble(
        context,
        bench,
        Shape(name=bench.workload_name(context.size), n=rows[0], m=rows[1], d=width, k=0, lanes=0),
        timed,
        Check(
            ok=not trouble,
            reference="the same vectors from a plain file, bit for bit; and `geneb verify`",
            reference_bound=0.0,
            gap=0.0,
            rows_compared=sum(rows),
            rows_tied=0,
            rows_different=0,
            mcc_difference=max((abs(v) for k, v in figures.items() if "mcc_change" in k and "full" in k), default=0.0),
            trouble=list(dict.fromkeys(trouble)),
        ),
        rivals=rivals,
        measures=figures,
        work=(0, traffic),
        bytes_X=traffic,
        ceilings=measure_ceilings(0, traffic, timed.median, context.size),
        load=load,
    )
