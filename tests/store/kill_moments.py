"""Run by test_kills: kills a piece of work at random moments, and checks what is left and that it can be resumed.

``python kill_moments.py KIND FOLDER COUNT SEED`` imports everything once and forks a process for every moment.
Goes on until COUNT were killed at work; prints how many were, and how many had finished before their moment.
``python kill_moments.py KIND FOLDER steps MOST`` dies just before each of the first MOST steps by which the work
changes the file system instead, one process for each.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import google_crc32c  # noqa: F401  what the children would import one by one
import numcodecs.zstd  # noqa: F401
import numpy as np
import zarr  # noqa: F401

from geneb_jax.cli.files import write_text
from geneb_jax.encoder import load_encoder
from geneb_jax.run.directory import Run, RunWriter, finish
from geneb_jax.run.embedding import embed
from geneb_jax.run.meta import EncoderMeta, RunMeta, Session, Settings, SuiteMeta, TaskMeta
from geneb_jax.run.record import Record
from geneb_jax.store import Manifest, SplitIndex, open_store
from geneb_jax.store.copying import copy_store
from geneb_jax.store.exchange import export_element, import_file, open_file
from geneb_jax.store.merge import merge
from geneb_jax.store.repair import repair_store
from geneb_jax.task import load_suite

MANIFEST = Manifest("toy", "toy", "1", 16)
RNG = np.random.default_rng(0)
SEQUENCES = ["".join(RNG.choice(list("ACGT"), 12)) + "A" * i for i in range(400)]
VECTORS = RNG.standard_normal((400, 16)).astype(np.float32)
RECORD = Record("1", "toy", "e" * 64, "toy", "1", "a", "A", "full", 13, "logistic", "p", 1.0, "jax", "float32",
                "converged", mcc=1.0)  # fmt: skip


def contents(path: Path) -> dict[str, bytes]:
    """Every file but locks and what was set aside."""
    locks = ("writer.", "run.lock")
    files = (p for p in sorted(path.rglob("*")) if p.is_file() and not p.name.startswith(locks))
    return {str(p.relative_to(path)): p.read_bytes() for p in files if ".damaged" not in p.parts}


def fill(path: Path, rows: range) -> None:
    with open_store(path, "a") as store:
        element = store.element(MANIFEST, commit_rows=32)
        for start in range(rows.start, rows.stop, 32):
            stop = min(start + 32, rows.stop)
            element.append(SEQUENCES[start:stop], VECTORS[start:stop])
        for name, share in (("train", 3), ("test", 5)):
            picks = np.arange(0, len(rows), share)
            element.write_split(SplitIndex(f"task{rows.start}", name, picks, picks % 2, name))


class Embed:
    """`embed` of a small suite with two encoders."""

    def __init__(self, folder: Path) -> None:
        self.suite = load_suite("quickstart")
        self.encoders = [load_encoder("kmer:2"), load_encoder("kmer:3")]

    def begin(self, path: Path) -> None: ...

    def work(self, path: Path) -> None:
        for encoder in self.encoders:
            embed(encoder, self.suite, path, progress=False, chunk_rows=256, check=False)

    def sound(self, path: Path) -> None:
        if (path / "zarr.json").exists():
            assert open_store(path).verify() == []


class Merge(Embed):
    """`merge` of three stores that overlap."""

    def __init__(self, folder: Path) -> None:
        self.parts = [folder / name for name in "abc"]
        for part, rows in zip(self.parts, (range(200), range(150, 330), range(300, 400)), strict=True):
            fill(part, rows)

    def work(self, path: Path) -> None:
        merge(self.parts, path)


class Repair(Embed):
    """`repair` of a store with damaged chunks and a damaged split."""

    def __init__(self, folder: Path) -> None:
        self.base = folder / "base"
        fill(self.base, range(400))
        fill(folder / "more", range(350, 390))
        key = open_store(self.base).keys()[0]
        for name in ("embeddings/c/3/0", "embeddings/c/9/0", "digests/c/5/0"):
            file = self.base / key / name
            data = bytearray(file.read_bytes())
            data[100] ^= 1
            file.write_bytes(bytes(data))

    def begin(self, path: Path) -> None:
        shutil.copytree(self.base, path)

    def work(self, path: Path) -> None:
        repair_store(path)

    def sound(self, path: Path) -> None:
        # before the swap the damage is still named, between the renames the interruption is, after it nothing is
        faults, elements = open_store(path).verify(), open_store(path).elements()
        assert faults or [e.num_rows for e in elements] == [400 - 3 * 32]
        whole = [f for f in faults if f.key.startswith(".repair")]
        assert whole or len(faults) in (0, 3)


class Copy(Embed):
    """`copy_store` of a store of two elements to a folder."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        fill(self.source, range(40))
        with open_store(self.source, "a") as store:
            store.element(MANIFEST, dtype="bfloat16").append(SEQUENCES[:9], VECTORS[:9])

    def work(self, path: Path) -> None:
        if not (path / "zarr.json").exists():
            copy_store(self.source, path)


class Begin(Embed):
    """The first moments of a run directory: its description, its first records, and the end of the command."""

    def __init__(self, folder: Path) -> None:
        self.suite = SuiteMeta(name="toy", version="1", categories={"a": "A"})
        self.settings = Settings(regimes=["full"], seeds=[13], probes=[], engine="jax", dtype="float32")

    def work(self, path: Path) -> None:
        meta = RunMeta(suite=self.suite, settings=self.settings, encoders=[EncoderMeta(name="toy", digest="e" * 64)])
        with RunWriter(path, meta, Session(started="now")) as writer:
            true = np.array([0, 1, 1])
            writer.check_task("a", TaskMeta(n_train=2, n_test=3, train_digest="t", test_digest="u", labels=[0, 1]))
            if not writer.done:
                writer.write_pair("toy-1", [RECORD], [true], true)
            writer.meta.sessions[:] = [writer.session]  # how often it was begun is all that may differ
            finish(writer)
            writer.session.finished = "later"

    def sound(self, path: Path) -> None:
        if (path / "run.json").exists():
            assert len(Run.open(path).records) in (0, 1)


class Export(Embed):
    """A text file of a command, written over one that is there."""

    def begin(self, path: Path) -> None:
        write_text(path / "sensitivity.json", "old")

    def work(self, path: Path) -> None:
        write_text(path / "sensitivity.json", "new")

    def sound(self, path: Path) -> None:
        assert (path / "sensitivity.json").read_text() in ("old", "new")


class Import(Copy):
    """`import_file` of a Parquet folder into a new store."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (self.file,) = [folder / "file"]
        export_element(open_store(self.source).elements()[0], "parquet", self.file)

    def work(self, path: Path) -> None:
        import_file(self.file, path)


class ExportStore(Copy):
    """`export_element` to a Parquet folder."""

    def work(self, path: Path) -> None:
        if not (path / "file").exists():
            export_element(open_store(self.source).elements()[0], "parquet", path / "file")

    def sound(self, path: Path) -> None:
        if (path / "file").exists():
            open_file(path / "file")


JOBS = {
    "import": Import,
    "export-store": ExportStore,
    "embed": Embed,
    "merge": Merge,
    "repair": Repair,
    "copy": Copy,
    "begin": Begin,
    "export": Export,
}
DIED = 9
_CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink"}


def die_before(step: int, folder: Path) -> None:
    """End this process just before its step-th change of the file system below a folder, counted from 0."""
    below, done = str(folder), 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        changes = event in _CHANGES or (event == "open" and isinstance(flags := arguments[2], int) and flags & 3)
        if changes and str(arguments[0]).startswith(below):
            if done == step:
                os._exit(DIED)
            done += 1

    sys.addaudithook(watch)


def every_step(job: Embed, folder: Path, most: int) -> None:
    """Die at each step, then let the same work go on, and compare with work that nothing disturbed."""
    job.begin(folder / "whole")
    assert os.waitpid(child(lambda: job.work(folder / "whole")), 0)[1] == 0
    expected, steps = contents(folder / "whole"), 0
    for step in range(most):
        path = folder / f"step{step}"
        job.begin(path)

        def work(path: Path = path, step: int = step) -> None:
            die_before(step, path)
            job.work(path)

        code = os.waitstatus_to_exitcode(os.waitpid(child(work), 0)[1])
        if code == 0:
            break
        assert code == DIED, f"step {step} failed by itself"
        steps += 1
        job.sound(path)
        assert os.waitpid(child(lambda path=path: job.work(path)), 0)[1] == 0, f"step {step} is not gone on from"
        found = contents(path)
        assert found.keys() == expected.keys(), (step, found.keys() ^ expected.keys())
        assert found == expected, (step, [name for name in found if found[name] != expected[name]])
        shutil.rmtree(path)
    print(json.dumps({"steps": steps}))


def child(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)


def main() -> None:
    kind, folder, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[4])
    job = JOBS[kind](folder)
    if sys.argv[3] == "steps":
        every_step(job, folder, seed)
        return
    count = int(sys.argv[3])
    times = []
    for name in ("whole", "again"):
        job.begin(folder / name)
        start = time.perf_counter()
        pid = child(lambda name=name: job.work(folder / name))
        assert os.waitpid(pid, 0)[1] == 0
        times.append(time.perf_counter() - start)
    expected = contents(folder / "whole")
    assert contents(folder / "again") == expected

    def check(path: Path) -> None:
        job.sound(path)
        job.work(path)
        assert contents(path) == expected
        assert open_store(path).verify() == []

    chance, killed, finished, longest = random.Random(seed), 0, 0, min(times)
    while killed < count and finished < 3 * count:
        number = killed + finished
        path = folder / str(number)
        job.begin(path)
        pid = child(lambda path=path: job.work(path))
        time.sleep(chance.uniform(0, longest))
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        killed += os.WIFSIGNALED(status)
        if not os.WIFSIGNALED(status):  # the machine is quicker now: kill earlier
            finished, longest = finished + 1, 0.9 * longest
        if os.waitpid(child(lambda path=path: check(path)), 0)[1]:
            sys.exit(f"moment {number} of {kind}, seed {seed}: see above; the store is {path.name}")
        shutil.rmtree(path)
    print(json.dumps({"killed": killed, "finished": finished, "seconds": min(times)}))


if __name__ == "__main__":
    main()
