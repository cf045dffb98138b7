"""Run by test_kills: kills a piece of work at random moments, and checks what is left and that it can be resumed.

``python kill_moments.py KIND FOLDER COUNT SEED`` imports everything once and forks a process for every moment.
Goes on until COUNT were killed at work; prints how many were, and how many had finished before their moment.
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

from geneb_jax.encoder import load_encoder
from geneb_jax.run.embedding import embed
from geneb_jax.store import Manifest, SplitIndex, open_store
from geneb_jax.store.merge import merge
from geneb_jax.store.repair import repair_store
from geneb_jax.task import load_suite

MANIFEST = Manifest("toy", "toy", "1", 16)
RNG = np.random.default_rng(0)
SEQUENCES = ["".join(RNG.choice(list("ACGT"), 12)) + "A" * i for i in range(400)]
VECTORS = RNG.standard_normal((400, 16)).astype(np.float32)


def contents(path: Path) -> dict[str, bytes]:
    """Every file but locks and what was set aside."""
    files = (p for p in sorted(path.rglob("*")) if p.is_file() and not p.name.startswith("writer."))
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
    kind, folder, count, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    job = {"embed": Embed, "merge": Merge, "repair": Repair}[kind](folder)
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
