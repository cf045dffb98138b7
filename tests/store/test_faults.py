"""Every kind of damage is refused by readers and named by verify; refusals of the disk lose nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.errors import StoreError
from geneb_jax.store import SplitIndex, open_store


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(bytes(data))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _vectors(key: str, shard: int) -> str:
    return f"{key}/embeddings/c/{shard}/0"


@pytest.mark.parametrize("damage", [_truncate, _flip, _empty, Path.unlink])
@pytest.mark.parametrize("part", ["embeddings/c/1/0", "digests/c/2/0", "rows/c/0", "labels/c/0"])
def test_a_damaged_chunk_is_refused_and_named(store_path, open_reader, toy, damage, part):
    key = toy[0].key
    chunk = next(p for p in sorted(store_path.rglob("c/**/0")) if str(p).endswith(part))
    damage(chunk)
    faults = open_store(store_path).verify()
    assert [f.key for f in faults] == [str(chunk.relative_to(store_path))]
    assert "missing" in faults[0].what if damage is Path.unlink else "damaged" in faults[0].what
    element = open_reader(store_path)
    use = {
        "embeddings": lambda: element.read([2, *range(8, 16), 30]),
        "digests": lambda: element.lookup(["ACGT"]),
        "rows": lambda: [element.split("a_task", split) for split in ("train", "test")],
        "labels": lambda: [element.split("a_task", split) for split in ("train", "test")],
    }
    with pytest.raises(StoreError, match="a chunk is"):
        use[part.split("/")[0]]()
    np.testing.assert_array_equal(open_reader(store_path).read([0, 30]), toy[2][[0, 30]])
    assert element.key == key


@pytest.mark.parametrize(
    ("part", "said"), [("embeddings", "readable but are not the rows"), ("digests", "not the rows")]
)
def test_swapped_chunks_are_found(store_path, toy, part, said):
    a, b = (store_path / toy[0].key / part / "c" / n for n in ("1", "2"))
    a.rename(store_path / "third")
    b.rename(a)
    (store_path / "third").rename(b)
    faults = open_store(store_path).verify()
    assert faults
    assert all(said in f.what and f"{toy[0].key}/{part}/c/" in f.key for f in faults)


def test_a_swapped_split_index_is_found(store_path, open_reader):
    train, test = (next(store_path.glob(f"*/splits/a_task-{s}-*")) for s in ("train", "test"))
    for name in ("rows", "labels"):
        shutil.copytree(test / name, train / name, dirs_exist_ok=True)
    faults = open_store(store_path).verify()
    assert len(faults) == 1
    assert "a_task-train" in faults[0].key
    with pytest.raises(StoreError, match="4 int64 values are recorded"):
        open_reader(store_path).split("a_task", "train")


def _edit(path: Path, change) -> None:
    meta = json.loads(path.read_text())
    change(meta["attributes"])
    path.write_text(json.dumps(meta))


def _longer_journal(a):
    a["commits"][-1]["rows"] += 1


def _other_width(a):
    a["manifest"]["width"] = 4


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("embeddings/zarr.json", _longer_journal, "journal counts 41 committed rows, but the array has 40"),
        ("embeddings/zarr.json", lambda a: a.pop("commits"), "journal of commits is malformed"),
        ("embeddings/zarr.json", lambda a: a["commits"][0].pop("rows"), "journal of commits is malformed"),
        (
            "embeddings/zarr.json",
            lambda a: a["commits"][0].update(vectors="0" * 64),
            "not the rows that were committed",
        ),
        ("embeddings/zarr.json", lambda a: a["commits"][0].update(non_finite=[[1, 2]]), "0 rows hold NaN"),
        ("embeddings/zarr.json", lambda a: a.update(geneb_version=3), "format version 3"),
        ("zarr.json", lambda a: a.update(geneb_version=99), "format version 99"),
        ("zarr.json", lambda a: a.update(geneb_type="thing"), "not a geneb_jax element"),
        ("zarr.json", lambda a: a["manifest"].update(revision="rev-2"), "not the one this element was made with"),
        ("zarr.json", _other_width, "not the one this element was made with"),
        ("zarr.json", lambda a: a["manifest"].pop("libraries"), "incomplete or malformed"),
    ],
)
def test_edited_metadata_is_found(store_path, toy, file, change, said):
    _edit(store_path / toy[0].key / file, change)
    faults = open_store(store_path).verify()
    assert len(faults) == 1
    assert said in faults[0].what
    assert faults[0].key.startswith(toy[0].key)
    assert faults[0].cure


@pytest.mark.parametrize("file", ["zarr.json", "embeddings/zarr.json", "digests/zarr.json"])
@pytest.mark.parametrize("damage", [_truncate, _empty, Path.unlink])
def test_damaged_metadata_is_found_and_never_started_afresh(store_path, toy, bytes_of, file, damage):
    damage(store_path / toy[0].key / file)
    before = bytes_of(store_path)
    assert len(open_store(store_path).verify()) == 1
    with pytest.raises(StoreError), open_store(store_path, "a") as store:
        store.element(toy[0])
    assert bytes_of(store_path) == before


def test_edited_labels_of_a_split_are_found(store_path, open_reader):
    _edit(next(store_path.glob("*/splits/a_task-train-*")) / "zarr.json", lambda a: a.update(category="Enhancers"))
    faults = open_store(store_path).verify()
    assert ["attributes differ from their checksum" in f.what for f in faults] == [True]
    assert open_reader(store_path).split_names("a_task") == ["test"]


def test_a_damaged_split_is_healed_by_writing_it_again(store_path, toy, open_reader):
    old = open_reader(store_path).split("a_task", "train")
    (next(store_path.glob("*/splits/a_task-train-*")) / "rows" / "c" / "0").unlink()
    with open_store(store_path, "a") as store:
        assert store.element(toy[0]).write_split(old)
    assert open_store(store_path).verify() == []
    np.testing.assert_array_equal(open_reader(store_path).split("a_task", "train").rows, old.rows)


def test_repeated_digests_and_rows_out_of_range_are_found(store_path, toy, monkeypatch):
    manifest, sequences, vectors = toy
    with open_store(store_path, "a") as store:
        element = store.element(manifest)
        # what a faulty writer would do: skip its own checks
        monkeypatch.setattr(element, "_refuse_repeats", lambda *_: None)
        element.append(sequences[3:5], vectors[3:5])
        monkeypatch.setattr("geneb_jax.store.splits.check", lambda *_: None)
        element.write_split(SplitIndex("b", "train", np.array([0, 42]), np.array([0, 1])))
    said = [f.what for f in open_store(store_path).verify()]
    assert said[0] == "2 sequences have more than one row; the first are rows 3 and 40"
    assert said[1].startswith("1 row numbers lie outside the 42 rows of the element; the first is 42")


def test_not_a_number_is_kept_and_counted(tmp_path, toy):
    manifest, sequences, vectors = toy
    vectors[3, 1], vectors[5:8] = np.nan, np.inf
    with open_store(tmp_path / "s.zarr", "a") as store:
        element = store.element(manifest, commit_rows=8)
        element.append(sequences[:5], vectors[:5])
        element.append(sequences[5:], vectors[5:])
    element = open_store(tmp_path / "s.zarr").element(manifest)
    np.testing.assert_array_equal(element.non_finite_rows, [3, 5, 6, 7])
    assert element.verify() == []


@pytest.mark.parametrize("mode", ["r", "a"])
def test_paths_that_hold_no_store(tmp_path, mode):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(StoreError, match="this is a file"):
        open_store(file, mode)
    with pytest.raises(StoreError, match="no Zarr group" if mode == "r" else "not empty and is no store"):
        open_store(tmp_path, mode)
    if mode == "r":
        with pytest.raises(StoreError, match="there is no store here"):
            open_store(tmp_path / "absent")
    else:
        with pytest.raises(StoreError):
            open_store(file / "below", mode)


def test_a_store_of_a_later_version_is_refused(store_path):
    _edit(store_path / "zarr.json", lambda a: a.update(geneb_version=7))
    with pytest.raises(StoreError, match="format version 7, and this package reads versions 1 to 2"):
        open_store(store_path)


@contextmanager
def _not_writable(folder: Path) -> Iterator[None]:
    """The folder seen by a user who may read it only; root drops its rights for that long."""
    modes = {p: p.stat().st_mode for p in [folder, *folder.rglob("*")]}
    parents = [p for p in folder.parents if p.stat().st_uid == os.getuid() and not p.stat().st_mode & 0o005]
    for path in modes:
        path.chmod(0o555 if path.is_dir() else 0o444)
    opened = {p: p.stat().st_mode for p in parents}
    root = os.geteuid() == 0
    try:
        if root:
            for path in parents:
                path.chmod(0o755)
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in {**modes, **opened}.items():
            path.chmod(mode)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX permissions")
def test_a_read_only_folder_can_be_read_and_says_no_to_writers(store_path, toy, bytes_of):
    before = bytes_of(store_path)
    with _not_writable(store_path):
        assert open_store(store_path).verify() == []
        with pytest.raises(StoreError, match="cannot be written to"), open_store(store_path, "a") as store:
            store.element(toy[0])
        with pytest.raises(StoreError, match="cannot be written to"):
            open_store(store_path.parent / "toy.zarr" / "new.zarr", "a")
    assert bytes_of(store_path) == before


@contextmanager
def _small_disk(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_read_only_disk_says_no_at_once(tmp_path, fill_store):
    with _small_disk(tmp_path / "disk", "size=4m") as disk:
        fill_store(disk / "s.zarr")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert open_store(disk / "s.zarr").verify() == []
        with pytest.raises(StoreError, match="cannot be written to"):
            open_store(disk / "s.zarr", "a")


def test_a_full_disk_loses_only_the_unfinished_commit(tmp_path, toy, fill_store, bytes_of):
    manifest, sequences, vectors = toy
    with _small_disk(tmp_path / "disk", "size=1m") as disk:
        path = disk / "s.zarr"
        fill_store(path, rows=24)
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as out, pytest.raises(OSError, match="No space"):
            out.writelines(bytes(4096) for _ in range(1000))
        with open_store(path, "a") as store:
            element = store.element(manifest)
            with pytest.raises(StoreError, match=r"the disk is full: \d+ bytes are to be written and 0 bytes are free"):
                element.append(sequences[24:36], vectors[24:36])
            assert open_store(path).verify() == []
            filler.unlink()
            element.append(sequences[24:36], vectors[24:36])  # the same object goes on
        with open_store(path, "a") as store:
            store.element(manifest).append(sequences[36:], vectors[36:])
        fill_store(tmp_path / "whole.zarr")
        assert bytes_of(path) == bytes_of(tmp_path / "whole.zarr")


_LIMITED = """
import resource, sys
import numpy as np
from geneb_jax.errors import StoreError
from geneb_jax.store import Manifest, open_store
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with open_store(sys.argv[1], "a") as store:
    element = store.element(Manifest("e", "f", "1", 100), commit_rows=64)
    element.append([f"A{'C' * i}" for i in range(16)], np.ones((16, 100), np.float32))
    try:
        element.append([f"C{'C' * i}" for i in range(64)], np.ones((64, 100), np.float32))
    except StoreError as error:
        print(error.what)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_file_size_limit_is_named(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path / "s.zarr")], capture_output=True, text=True, check=True
    )
    assert run.stdout == "a file would be larger than this process may write (28 kB to be written)\n"
    store = open_store(tmp_path / "s.zarr")
    assert store.verify() == []
    assert store.elements()[0].num_rows == 16
