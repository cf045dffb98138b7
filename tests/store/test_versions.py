"""Stores of every format version stay readable: those in ``tests/data`` are never rewritten.

``store-v1.zarr`` was made by `make` when the version was 1, ``store-v2.zarr`` when it was 2, with a bfloat16 element.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.store import Manifest, SplitIndex, open_store
from geneb_jax.store.merge import merge
from geneb_jax.store.repair import repair_store

STORE = Path(__file__).parents[1] / "data" / "store-v1.zarr"
STORE_2 = STORE.with_name("store-v2.zarr")
MANIFEST = Manifest("toy:3", "toy", "rev-1", 3, {"counts": True, "k": 3, "layer": None}, {"numpy": "2.3"})
SEQUENCES = ["ACGTACGT", "ACGTAC", "GGGTTT", "ACGN", "A", ""]
VECTORS = np.array([[i + j / 8 for j in range(3)] for i in range(6)], np.float32)
VECTORS[4, 1] = np.nan
TRAIN = SplitIndex(
    "a/task", "train", np.array([2, 0, 0, 5]), np.array([1, 0, 0, 2]), "data-1", category="Promoters",
    label="A task", num_classes=3, suite_name="suite", suite_version="7", suite_source="made for this test",
    warnings=("a class is only in train",),
)  # fmt: skip
TEST = SplitIndex("a/task", "test", np.array([1, 3, 4]), np.array([0, 1, 1]), "data-2", suite_name="suite")


def make(path: Path) -> None:
    with open_store(path, "a") as store:
        element = store.element(MANIFEST, commit_rows=4)
        element.append(SEQUENCES[:5], VECTORS[:5])
        element.append(SEQUENCES[5:], VECTORS[5:])
        element.write_split(TRAIN)
        element.write_split(TEST)
        half = store.element(MANIFEST, commit_rows=4, dtype="bfloat16")
        half.append(SEQUENCES, VECTORS)


def check(path: Path) -> None:
    store = open_store(path)
    assert store.verify() == []
    element = store.open("toy:3")
    assert element.manifest == MANIFEST
    assert element.manifest.as_json() == MANIFEST.as_json()
    assert element.read().tobytes() == VECTORS.tobytes()
    np.testing.assert_array_equal(element.lookup(["acgtacgt", "", "A"]), [0, 5, 4])
    np.testing.assert_array_equal(element.non_finite_rows, [4])
    assert element.tasks() == ["a/task"]
    for expected in (TRAIN, TEST):
        found = element.split("a/task", expected.split)
        for name in ("rows", "labels"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        plain = [k for k in vars(expected) if k not in ("rows", "labels")]
        assert {k: getattr(found, k) for k in plain} == {k: getattr(expected, k) for k in plain}


def test_the_store_of_version_1_is_read():
    check(STORE)


def test_the_store_of_version_2_is_read():
    check(STORE_2)
    half = open_store(STORE_2).element(MANIFEST, dtype="bfloat16")
    assert half.read().tobytes() == VECTORS.tobytes()  # eighths up to five fit bfloat16 exactly


@pytest.mark.parametrize("path", [STORE, STORE_2], ids=["1", "2"])
def test_an_old_store_is_written_to_merged_repaired_and_its_damage_named(tmp_path, path):
    old = tmp_path / "old.zarr"
    shutil.copytree(path, old)
    with open_store(old, "a") as store:
        store.element(MANIFEST).append(["CCC"], VECTORS[:1])
    merge([old], tmp_path / "new.zarr")
    for place in (old, tmp_path / "new.zarr"):
        element = open_store(place).element(MANIFEST)
        assert element.verify() == []
        assert element.read(element.lookup([*SEQUENCES, "CCC"])).tobytes() == VECTORS[[*range(6), 0]].tobytes()
    chunk = old / MANIFEST.key / "embeddings" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:40])
    assert [f.key for f in open_store(old).verify()] == [f"{MANIFEST.key}/embeddings/c/0/0"]
    assert repair_store(old)[0].dropped == 5
    assert open_store(old).element(MANIFEST).missing(SEQUENCES) == SEQUENCES[:5]
    assert open_store(old).verify() == []


def test_a_store_written_today_reads_the_same(tmp_path):
    make(tmp_path / "today.zarr")
    check(tmp_path / "today.zarr")
    keys = sorted(p.name for p in STORE_2.iterdir() if p.is_dir())
    assert open_store(tmp_path / "today.zarr").keys() == keys  # the identity of an encoder has not drifted
