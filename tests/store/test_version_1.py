"""A store written by format version 1 stays readable: ``tests/data/store-v1.zarr`` is never rewritten.

It was made by `make`, which also says what is in it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geneb_jax.store import Manifest, SplitIndex, open_store

STORE = Path(__file__).parents[1] / "data" / "store-v1.zarr"
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


def check(path: Path) -> None:
    store = open_store(path)
    assert store.verify() == []
    (element,) = store.elements()
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


def test_a_store_written_today_reads_the_same(tmp_path):
    make(tmp_path / "today.zarr")
    check(tmp_path / "today.zarr")
    keys = [p.name for p in STORE.iterdir() if p.is_dir()]
    assert open_store(tmp_path / "today.zarr").keys() == keys  # the identity of an encoder has not drifted
