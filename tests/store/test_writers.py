"""A writer that dies at any step, and writers that meet."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from zarr.core.sync import sync

from geneb_jax.errors import GenebError, StoreError
from geneb_jax.store import Manifest, SplitIndex, open_store


class _Death:
    """From the n-th change to the disk below a folder on, every further change fails, as after a kill.

    An audit hook sees each open for writing, rename, removal and new folder before it happens, in all threads.
    """

    EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link")

    def __init__(self) -> None:
        self.folder: str | None = None
        self.left = 0
        self.seen = 0
        sys.addaudithook(self._hook)

    def arm(self, folder: Path, step: int) -> None:
        self.folder, self.left, self.seen = str(folder), step, 0

    def disarm(self) -> bool:
        """Whether death came."""
        if self.left <= 0:
            sync(_still_running())  # a kill ends what zarr writes beside us too: here it fails while the folder is dead
        self.folder = None
        return self.left <= 0

    def _hook(self, event: str, args: tuple[object, ...]) -> None:
        if self.folder is None or not args or not isinstance(args[0], str | os.PathLike):
            return
        changes = event in self.EVENTS or (event == "open" and isinstance(args[2], int) and args[2] & os.O_ACCMODE)
        if changes and os.fspath(args[0]).startswith(self.folder):
            self.seen += 1
            self.left -= 1
            if self.left <= 0:
                raise OSError(errno.EIO, "the writer is dead")


async def _still_running() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


_death = _Death()


def _work(path: Path, manifest: Manifest, sequences: list[str], vectors: np.ndarray) -> None:
    """An unaligned append, a second one over a shard's edge, a new split and a changed one; can be repeated."""
    with open_store(path, "a") as store:
        element = store.element(manifest, commit_rows=8)
        for stop in (13, 30):
            todo = element.missing(sequences[:stop])
            element.append(todo, vectors[stop - len(todo) : stop])
        element.write_split(SplitIndex("a_task", "train", np.array([1, 2, 3]), np.array([0, 1, 1]), "changed"))
        element.write_split(SplitIndex("b_task", "train", np.array([4]), np.array([0]), "d"))


@pytest.mark.slow
@pytest.mark.parametrize("begin", ["new", "used"])
def test_death_at_any_step_leaves_a_sound_store_and_resuming_gives_the_same_bytes(
    tmp_path, toy, fill_store, bytes_of, begin, monkeypatch
):
    # syncing guards against power failures; a kill loses nothing that was written
    monkeypatch.setattr("os.fsync", lambda handle: None)
    manifest, sequences, vectors = toy
    base, whole = tmp_path / "base.zarr", tmp_path / "whole.zarr"
    if begin == "used":
        fill_store(base, rows=10)
        shutil.copytree(base, whole)
    _work(whole, manifest, sequences, vectors)
    expected = bytes_of(whole)
    # every step in turn where it is early, each third later on: the steps repeat from commit to commit
    for step in [*range(1, 40), *range(40, 1000, 3)]:
        path = tmp_path / f"{step}.zarr"
        if begin == "used":
            shutil.copytree(base, path)
        _death.arm(path, step)
        try:
            _work(path, manifest, sequences, vectors)
        except (GenebError, OSError):
            pass
        finally:
            died = _death.disarm()
        if not died:
            break
        if (path / "zarr.json").exists():
            store = open_store(path)
            assert store.verify() == [], step
            for element in store.elements():
                assert element.num_rows in (0, 10, 13, 30), step
                np.testing.assert_array_equal(element.read(), vectors[: element.num_rows])
                if begin == "used":
                    assert element.data_digest("a_task", "train") in ("d-train", "changed"), step
                    assert element.data_digest("a_task", "test") == "d-test"
        _work(path, manifest, sequences, vectors)
        assert bytes_of(path) == expected, step
        shutil.rmtree(path)
    assert not died
    assert step > 40  # the work really has that many steps to die at


def test_a_second_writer_is_told_who_holds_the_element(store_path, toy):
    manifest, sequences, vectors = toy
    with open_store(store_path, "a") as first:
        held = first.element(manifest)
        with pytest.raises(StoreError, match=f"another writer holds this element: process {os.getpid()} on "):
            open_store(store_path, "a").element(manifest)
        held.append(["GGG"], vectors[:1])
        with open_store(store_path, "a") as other:
            # another encoder's element is free
            other.element(Manifest("n", "f", "1", 2)).append(["A"], np.zeros((1, 2), np.float32))
    with open_store(store_path, "a") as second:
        assert second.element(manifest).missing([*sequences, "GGG"]) == []


def test_a_second_writer_can_wait(store_path, toy):
    manifest, _, vectors = toy
    first = open_store(store_path, "a")
    held = first.element(manifest)
    rows = []

    def wait() -> None:
        with open_store(store_path, "a", wait=20.0) as store:
            rows.append(store.element(manifest).num_rows)

    thread = threading.Thread(target=wait)
    thread.start()
    held.append(["GGG"], vectors[:1])
    first.close()
    thread.join(timeout=30)
    assert rows == [41]


def test_a_reader_keeps_its_view_while_a_writer_appends(tmp_path, toy, fill_store):
    manifest, sequences, vectors = toy
    path = tmp_path / "s.zarr"
    fill_store(path, rows=12)
    view = open_store(path).element(manifest)
    with open_store(path, "a") as store:
        store.element(manifest).append(sequences[12:], vectors[12:])
    assert view.num_rows == 12
    np.testing.assert_array_equal(view.read(), vectors[:12])
    assert view.missing(sequences) == sequences[12:]
    assert view.split_names("a_task") == ["test", "train"]
    # and moves on when it is asked to
    with open_store(path, "a") as store:
        writer = store.element(manifest)
        writer.write_split(SplitIndex("b", "train", np.array([39, 3]), np.array([0, 1])))
        writer.write_split(SplitIndex("a_task", "test", np.array([4]), np.array([0]), "changed"))
    with pytest.raises(StoreError, match="replaced since this reader opened"):
        view.split("a_task", "test")
    assert view.refresh() == 28
    assert view.missing(sequences) == []
    np.testing.assert_array_equal(view.read(view.lookup(sequences)), vectors)
    np.testing.assert_array_equal(view.read(view.split("b", "train").rows), vectors[[39, 3]])
    assert view.split("a_task", "test").rows.tolist() == [4]
    assert view.refresh() == 0


_WRITER = """
import sys
import numpy as np
from geneb_jax.store import Manifest, open_store
path, first = sys.argv[1], int(sys.argv[2])
for i in range(first, 60, 2):
    with open_store(path, "a", wait=60.0) as store:
        element = store.element(Manifest("e", "f", "1", 4), commit_rows=8)
        todo = element.missing([f"A{'C' * j}" for j in range(i, i + 3)])
        element.append(todo, np.array([[len(s)] * 4 for s in todo], np.float32).reshape(-1, 4))
"""


def test_two_processes_writing_at_once_do_no_harm(tmp_path):
    path = tmp_path / "s.zarr"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(k)]) for k in (0, 1)]
    assert [w.wait(timeout=120) for w in writers] == [0, 0]
    element = open_store(path).elements()[0]
    assert element.verify() == []
    sequences = [f"A{'C' * j}" for j in range(62)]
    assert element.num_rows == 62
    np.testing.assert_array_equal(element.read(element.lookup(sequences))[:, 0], np.arange(1, 63))
