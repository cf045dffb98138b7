"""``geneb embed`` as a real process, killed at random moments and started again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.store import open_store

_KILLS = 20
_CHUNK = 32
# a job that a shell started in the background ignores Ctrl-C, and so would its children
_HEED = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
_COMMAND = [sys.executable, "-c", f"{_HEED}; from geneb_jax.cli.main import main; main()"]
# forks a process for each line of arguments, so that what every one of them imports is imported once
_FORKS = """
import os, sys
from geneb_jax.cli.main import main
from geneb_jax.encoder import load_encoder
from geneb_jax.run.embedding import embed
import google_crc32c, numcodecs.zstd, zarr
load_encoder("kmer:4")
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        main(line.split())
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def _suite(folder: Path) -> Path:
    """Three tasks of 7,800 sequences in all, as long as those of GENEB, a third of them shared or repeated."""
    rng = np.random.default_rng(0)
    pool = ["".join(rng.choice(list("ACGT"), n)) for n in rng.integers(70, 310, 5_000)]
    for number in range(3):
        task = folder / "tasks" / f"task_{number}"
        task.mkdir(parents=True)
        for name, count in (("train", 2200), ("test", 400)):
            picks = rng.integers(0, len(pool), count)
            rows = [f"{pool[i]},{int(rng.integers(0, 2))}" for i in picks]
            (task / f"{name}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return folder


def _arguments(suite: Path, store: Path, encoder: str = "kmer:4") -> list[str]:
    options = ["--suite", str(suite), "--store", str(store), "--chunk-rows", str(_CHUNK), "--quiet"]
    return ["embed", encoder, *options]


@dataclass
class _Forks:
    """Runs of ``geneb embed`` as processes of their own, one after the other."""

    server: subprocess.Popen[str]

    def start(self, suite: Path, store: Path) -> int:
        """The process id of a run that has locked the store, or has ended."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(" ".join(_arguments(suite, store)) + "\n")
        self.server.stdin.flush()
        pid = int(self.server.stdout.readline())
        _await_lock(pid, store)
        return pid

    def end(self) -> int:
        """The exit status of the run, negative for a signal."""
        assert self.server.stdout is not None
        return int(self.server.stdout.readline())

    def finish(self, suite: Path, store: Path) -> float:
        """Run to the end; seconds from the lock to the end."""
        self.start(suite, store)
        began = time.monotonic()
        assert self.end() == 0
        return time.monotonic() - began


@contextmanager
def _forks() -> Iterator[_Forks]:
    with subprocess.Popen(
        [sys.executable, "-c", _FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        yield _Forks(server)


def _await_lock(pid: int, store: Path) -> None:
    with suppress(ProcessLookupError):  # it has ended
        while not any(f'"pid": {pid}}}' in note.read_text() for note in store.glob("*/embeddings/writer.json")):
            os.kill(pid, 0)
            time.sleep(0.002)


def _files(store: Path) -> dict[str, bytes]:
    found = (p for p in sorted(store.rglob("*")) if p.is_file() and p.name != "writer.lock")
    return {str(p.relative_to(store)): p.read_bytes() for p in found}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")
def test_twenty_kills_then_a_resume_give_the_bytes_of_an_uninterrupted_run(tmp_path):
    suite = _suite(tmp_path / "suite")
    whole, killed = tmp_path / "whole.zarr", tmp_path / "killed.zarr"
    with _forks() as forks:
        seconds = forks.finish(suite, whole)
        moments = random.Random(0)
        progress, seen, kills = [0], set(), 0
        for _ in range(3 * _KILLS):
            pid = forks.start(suite, killed)
            # spread over reading, embedding and the writing of indexes, yet leaving work for the next ones
            time.sleep(moments.uniform(0, 2 * seconds / _KILLS))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            status = forks.end()
            store = open_store(killed)
            assert store.verify() == []
            if status != -signal.SIGKILL:
                # a machine that has become faster than it was for the measured run: whole, and again from nothing
                assert status == 0
                assert _files(killed) == _files(whole)
                shutil.rmtree(killed)
                progress = [0]
                continue
            rows = sum(element.num_rows for element in store.elements())
            assert rows >= progress[-1]
            assert rows % _CHUNK == 0 or rows == open_store(whole).elements()[0].num_rows
            progress.append(rows)
            seen.add(rows)
            kills += 1
            if kills == _KILLS:
                break
        assert kills == _KILLS
        assert len(seen) > 3, "the kills did not land inside the embedding"
        forks.finish(suite, killed)
    assert open_store(killed).verify() == []
    assert _files(killed) == _files(whole)


# takes long enough for a signal to find it at work, on any machine
_SLOW = """
import time
import numpy as np

class Lengths:
    width = 1
    def encode(self, sequences):
        time.sleep(0.0005 * len(sequences))
        return np.array([[len(s)] for s in sequences], dtype="float32")
"""


def test_ctrl_c_ends_with_130_and_the_run_resumes(tmp_path):
    suite = _suite(tmp_path / "suite")
    (tmp_path / "slow.py").write_text(_SLOW)
    command = [*_COMMAND, *_arguments(suite, tmp_path / "s.zarr", "slow:Lengths")]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not list((tmp_path / "s.zarr").glob("*/embeddings/c/1/0")):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again to resume" in err.decode()
    store = open_store(tmp_path / "s.zarr")
    assert store.verify() == []
    before = store.elements()[0].num_rows
    assert before >= _CHUNK
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert again.returncode == 0, again.stderr.decode()
    assert open_store(tmp_path / "s.zarr").elements()[0].tasks() == ["task_0", "task_1", "task_2"]
