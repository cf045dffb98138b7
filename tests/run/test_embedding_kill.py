"""``geneb embed`` as a real process, killed at random moments and started again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.store import open_store

_KILLS = 20
_CHUNK = 32
_COMMAND = [sys.executable, "-c", "from geneb_jax.cli.main import main; main()"]


def _suite(folder: Path) -> Path:
    """Three tasks of 16,000 sequences in all, as long as those of GENEB, a third of them shared or repeated."""
    rng = np.random.default_rng(0)
    pool = ["".join(rng.choice(list("ACGT"), n)) for n in rng.integers(70, 310, 10_000)]
    for number in range(3):
        task = folder / "tasks" / f"task_{number}"
        task.mkdir(parents=True)
        for name, count in (("train", 4500), ("test", 800)):
            picks = rng.integers(0, len(pool), count)
            rows = [f"{pool[i]},{int(rng.integers(0, 2))}" for i in picks]
            (task / f"{name}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return folder


def _start(suite: Path, store: Path) -> subprocess.Popen[bytes]:
    options = ["--suite", str(suite), "--store", str(store), "--chunk-rows", str(_CHUNK), "--quiet"]
    return subprocess.Popen([*_COMMAND, "embed", "kmer:4", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _finish(suite: Path, store: Path) -> float:
    """Run to the end; seconds from the lock to the end."""
    process = _start(suite, store)
    _await_lock(process, store)
    began = time.monotonic()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    return time.monotonic() - began


def _await_lock(process: subprocess.Popen[bytes], store: Path) -> None:
    while process.poll() is None:
        for note in store.glob("*/embeddings/writer.json"):
            if f'"pid": {process.pid}}}' in note.read_text():
                return
        time.sleep(0.002)


def _files(store: Path) -> dict[str, bytes]:
    found = (p for p in sorted(store.rglob("*")) if p.is_file() and p.name != "writer.lock")
    return {str(p.relative_to(store)): p.read_bytes() for p in found}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_twenty_kills_then_a_resume_give_the_bytes_of_an_uninterrupted_run(tmp_path):
    suite = _suite(tmp_path / "suite")
    whole, killed = tmp_path / "whole.zarr", tmp_path / "killed.zarr"
    seconds = _finish(suite, whole)
    moments = random.Random(0)
    progress, seen, kills = [0], set(), 0
    for _ in range(3 * _KILLS):
        process = _start(suite, killed)
        _await_lock(process, killed)
        # spread over reading, embedding and the writing of indexes, yet leaving work for the next ones
        time.sleep(moments.uniform(0, 2 * seconds / _KILLS))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        store = open_store(killed)
        assert store.verify() == []
        if process.returncode != -signal.SIGKILL:
            # a machine that has become faster than it was for the measured run: whole, and again from nothing
            assert process.returncode == 0
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
    _finish(suite, killed)
    assert open_store(killed).verify() == []
    assert _files(killed) == _files(whole)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_ctrl_c_ends_with_130_and_the_run_resumes(tmp_path):
    suite = _suite(tmp_path / "suite")
    for _ in range(5):
        process = _start(suite, tmp_path / "s.zarr")
        _await_lock(process, tmp_path / "s.zarr")
        while not list((tmp_path / "s.zarr").glob("*/embeddings/c/1/0")):
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        if process.returncode != 0:
            break
        shutil.rmtree(tmp_path / "s.zarr")  # on a busy machine the signal came too late: again from nothing
    assert process.returncode == 130
    assert "run the same command again to resume" in err.decode()
    store = open_store(tmp_path / "s.zarr")
    assert store.verify() == []
    before = store.elements()[0].num_rows
    assert before >= _CHUNK
    _finish(suite, tmp_path / "s.zarr")
    assert open_store(tmp_path / "s.zarr").elements()[0].tasks() == ["task_0", "task_1", "task_2"]
