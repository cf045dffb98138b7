"""Appending, looking up and reading rows; the identity of an element; split indexes."""

from __future__ import annotations

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

import ml_dtypes
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geneb_jax.encoder.info import EncoderInfo
from geneb_jax.errors import StoreError, UnknownNameError, UsageError
from geneb_jax.store import Manifest, SplitIndex, open_store


@st.composite
def appends(draw):
    width = draw(st.integers(1, 5))
    sequences = draw(st.lists(st.text("ACGTN", max_size=12), unique=True, max_size=40))
    floats = st.floats(width=32, allow_nan=True, allow_infinity=True)
    vectors = draw(hnp.arrays(np.float32, (len(sequences), width), elements=floats))
    cuts = sorted(draw(st.lists(st.integers(0, len(sequences)), max_size=4)))
    rows = draw(st.integers(1, 16))
    return sequences, vectors, [0, *cuts, len(sequences)], rows, draw(st.sampled_from(["none", "zstd"]))


@settings(max_examples=25, deadline=None)
@given(case=appends(), data=st.data())
def test_what_is_appended_is_read_back_bit_for_bit(case, data):
    sequences, vectors, cuts, rows, compression = case
    manifest = Manifest("e", "f", "1", vectors.shape[1])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "s.zarr"
        with open_store(path, "a") as store:
            element = store.element(manifest, commit_rows=rows, compression=compression)
            for a, b in itertools.pairwise(cuts):
                assert element.missing(sequences) == sequences[a:]
                element.append(sequences[a:b], vectors[a:b])
                assert element.num_rows == b
        element = open_store(path).element(manifest)
        assert element.verify() == []
        assert element.missing(sequences) == []
        np.testing.assert_array_equal(element.lookup(sequences), np.arange(len(sequences)))
        assert element.read().tobytes() == vectors.tobytes()
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        np.testing.assert_array_equal(element.non_finite_rows, bad)
        if sequences:
            picks = data.draw(st.lists(st.integers(0, len(sequences) - 1), max_size=60))
            picked = np.array(picks, np.int64)
            run = data.draw(st.sampled_from([1, 1 << 16]))  # read in place, or by way of a copy
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("geneb_jax.store.gather._WORTH_RUN", run)
                assert element.read(picked).tobytes() == vectors[picked].tobytes()
                cut = data.draw(st.integers(0, len(picked)))
                parts = [picked[:cut], picked[cut:], np.arange(len(sequences)), picked[:0], picked]
                for part, found in zip(parts, element.read_each(*parts), strict=True):
                    assert found.tobytes() == vectors[part].tobytes()


def test_sequences_are_the_same_in_any_case(store_path, open_reader):
    element = open_reader(store_path)
    np.testing.assert_array_equal(element.lookup(["acgt", "ACGTacgt"]), [0, 1])
    assert element.missing(["acgt", "ggg", "GGG", "TT"]) == ["GGG", "TT"]


def test_any_zarr_reader_sees_exactly_the_committed_rows(store_path, toy):
    manifest, _, vectors = toy
    group = zarr.open_group(store_path, mode="r")
    np.testing.assert_array_equal(group[f"{manifest.key}/embeddings"][:], vectors)
    kinds = {dict(node.attrs)["geneb_type"] for _, node in group.members(max_depth=None)}
    assert kinds == {"element", "embeddings", "digests", "splits", "split-index", "rows", "labels"}


def test_the_encoder_and_its_element_have_the_same_digest():
    info = EncoderInfo("kmer:4", "kmer", "1", 256, {"counts": False, "k": 4}, {"numpy": "2.3"})
    same = Manifest("another name", "kmer", "1", 256, {"k": 4, "counts": False}, {"numpy": "2.3"})
    assert same.digest == info.digest
    assert Manifest("n", "kmer", "1", 256, {"k": 5}).digest != Manifest("n", "kmer", "1", 256, {"k": 4}).digest
    assert Manifest("n", "f", "1", 2, kind="per-token").digest != Manifest("n", "f", "1", 2).digest


def test_a_renamed_encoder_keeps_its_element(store_path, toy):
    manifest, sequences, _ = toy
    renamed = Manifest("new name", manifest.family, manifest.revision, 3, manifest.settings, manifest.libraries)
    with open_store(store_path, "a") as store:
        assert store.element(renamed).missing(sequences) == []
    assert open_store(store_path).keys() == [manifest.key]


def test_one_store_holds_several_encoders(store_path, toy, open_reader):
    manifest, sequences, vectors = toy
    other = Manifest("toy:3", "toy", "rev-2", 3, manifest.settings, manifest.libraries)
    with open_store(store_path, "a") as store:
        element = store.element(other)
        element.append(sequences[:5], -vectors[:5])
    np.testing.assert_array_equal(open_reader(store_path, other).read(), -vectors[:5])
    np.testing.assert_array_equal(open_reader(store_path).read(), vectors)
    assert len(open_store(store_path).elements()) == 2
    with pytest.raises(StoreError, match="2 elements belong to an encoder called 'toy:3'"):
        open_store(store_path).open("toy:3")
    assert open_store(store_path).open(other.key).num_rows == 5


def test_another_encoders_store_says_what_differs(store_path, toy):
    manifest, _, _ = toy
    other = Manifest("toy:3", "toy", "rev-1", 3, {"pooling": "cls", "layer": -1}, manifest.libraries)
    with pytest.raises(StoreError, match="setting pooling mean instead of cls"):
        open_store(store_path).element(other)
    with pytest.raises(StoreError, match=r"no vectors of kmer:4, only of toy:3"):
        open_store(store_path).element(Manifest("kmer:4", "kmer", "1", 256))
    with pytest.raises(UnknownNameError, match="toy:3"):
        open_store(store_path).open("toy:4")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([40], "row 40 does not exist"),
        ([-1, 3], "row -1 does not exist"),
        ([[1]], "one-dimensional"),
        ([0.5], "float64"),
    ],
)
def test_rows_that_do_not_exist(store_path, open_reader, rows, said):
    with pytest.raises(StoreError, match=said):
        open_reader(store_path).read(np.array(rows))


def test_lookup_names_the_first_absent_sequence(store_path, open_reader):
    with pytest.raises(StoreError, match="1 of 2 sequences are not in this store; the first is number 1, GGGG"):
        open_reader(store_path).lookup(["ACGT", "gggg"])


def test_refused_appends_change_nothing(tmp_path, fill_store, toy, bytes_of):
    manifest, sequences, vectors = toy
    path = tmp_path / "s.zarr"
    fill_store(path, rows=12)
    before = bytes_of(path)
    with open_store(path, "a") as store:
        element = store.element(manifest)
        for seqs, block, said in [
            (sequences[12:14], vectors[12:14, :2], r"shape \(2, 3\), not \(2, 2\)"),
            (sequences[12:14], vectors[12:13], r"shape \(2, 3\), not \(1, 3\)"),
            (sequences[11:14], vectors[11:14], "1 of these sequences have a row already"),
            (["GG", "TT", "gg"], vectors[:3], "occurs in it twice"),
            (["GG"], np.ones((1, 3), np.int64), "floating point"),
        ]:
            with pytest.raises(StoreError, match=said):
                element.append(seqs, block)
        assert element.num_rows == 12
        with pytest.raises(StoreError, match="row numbers lie outside the 12 rows"):
            element.write_split(SplitIndex("t", "train", np.array([1, 12]), np.array([0, 1])))
        with pytest.raises(StoreError, match="has 2 rows but 1 labels"):
            element.write_split(SplitIndex("t", "train", np.array([1, 2]), np.array([0])))
    assert bytes_of(path) == before
    with pytest.raises(StoreError, match='mode "a"'):
        open_store(path).element(manifest).append(sequences[12:13], vectors[12:13])


def test_splits_come_back_as_written(store_path, open_reader):
    element = open_reader(store_path)
    assert element.tasks() == ["a_task"]
    assert element.split_names("a_task") == ["test", "train"]
    index = element.split("a_task", "train")
    np.testing.assert_array_equal(index.rows, [0, 5, 5, 2])
    np.testing.assert_array_equal(index.labels, [0, 1, 1, 0])
    assert (index.category, index.num_classes, index.warnings) == ("Promoters", 2, ("odd",))
    assert element.data_digest("a_task", "train") == "d-train"
    with pytest.raises(StoreError, match="no split 'dev'"):
        element.split("a_task", "dev")
    with pytest.raises(UnknownNameError, match="did you mean a_task"):
        element.split("b_task", "train")


def test_a_split_is_written_once_and_replaced_when_its_data_change(store_path, toy, open_reader, bytes_of):
    manifest, _, _ = toy
    old = open_reader(store_path).split("a_task", "train")
    before = bytes_of(store_path)
    with open_store(store_path, "a") as store:
        element = store.element(manifest)
        assert element.write_split(old) is False
    assert bytes_of(store_path) == before
    with open_store(store_path, "a") as store:
        element = store.element(manifest)
        assert element.write_split(SplitIndex("a_task", "train", np.array([3]), np.array([1]), "new"))
    element = open_reader(store_path)
    np.testing.assert_array_equal(element.split("a_task", "train").rows, [3])
    assert element.verify() == []
    assert sum("a_task-train" in name and name.endswith("rows/zarr.json") for name in bytes_of(store_path)) == 1


def test_ids_with_the_same_short_form_are_kept_apart(store_path, toy, open_reader):
    manifest, _, _ = toy
    with open_store(store_path, "a") as store:
        element = store.element(manifest)
        for i, name in enumerate(["A/b", "a b", "a-b", "ä" * 90]):
            element.write_split(SplitIndex(name, "train", np.array([i]), np.array([0])))
    element = open_reader(store_path)
    assert [int(element.split(n, "train").rows[0]) for n in ["A/b", "a b", "a-b", "ä" * 90]] == [0, 1, 2, 3]


def test_a_commit_has_rows(tmp_path, toy):
    with pytest.raises(UsageError, match="at least one row"), open_store(tmp_path / "s.zarr", "a") as store:
        store.element(toy[0], commit_rows=0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rounded_vectors_are_another_element(tmp_path, toy, dtype):
    manifest, sequences, vectors = toy
    vectors[4] = [np.nan, np.inf, 0.1]
    with open_store(tmp_path / "s.zarr", "a") as store:
        for stored in ("float32", dtype):
            store.element(manifest, commit_rows=8, dtype=stored).append(sequences, vectors)
    full, half = (open_store(tmp_path / "s.zarr").element(manifest, dtype=d) for d in ("float32", dtype))
    assert (half.key, half.manifest.digest) != (full.key, full.manifest.digest)
    assert half.manifest.name == f"toy:3 {dtype}"
    assert open_store(tmp_path / "s.zarr").open("toy:3").dtype == "float32"
    exact = vectors.astype(getattr(ml_dtypes, dtype, np.float16)).astype(np.float32)
    for found in (half.read(), half.read(half.lookup(sequences)), half.read(np.arange(40)[::-1])[::-1]):
        np.testing.assert_array_equal(found, exact)
    assert full.read().tobytes() == vectors.tobytes()
    assert half.non_finite_rows.tolist() == [4]
    assert half.stored(0, 40).itemsize == 2
    assert open_store(tmp_path / "s.zarr").verify() == []
    with pytest.raises(StoreError, match=r"made differently: .*revision rev-1 instead of rev-2"):
        open_store(tmp_path / "s.zarr").element(Manifest("toy:3", "toy", "rev-2", 3), dtype=dtype)


def test_what_does_not_fit_a_precision_is_refused(tmp_path, toy):
    manifest, sequences, vectors = toy
    vectors[7, 2] = -70_000
    with open_store(tmp_path / "s.zarr", "a") as store:
        element = store.element(manifest, dtype="float16")
        with pytest.raises(StoreError, match=r"-70000 in row 7 of this append does not fit float16"):
            element.append(sequences, vectors)
        assert element.num_rows == 0
        store.element(manifest, dtype="bfloat16").append(sequences, vectors)
        with pytest.raises(UsageError, match="cannot be stored as 'int8'"):
            store.element(manifest, dtype="int8")


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_our_bytes_are_those_that_zarr_writes(tmp_path, toy, compression, dtype):
    manifest, sequences, vectors = toy
    with open_store(tmp_path / "s.zarr", "a") as store:
        element = store.element(manifest, commit_rows=8, compression=compression, dtype=dtype)
        element.append(sequences[:13], vectors[:13])
        element.append(sequences[13:37], vectors[13:37])
    element = open_store(tmp_path / "s.zarr").element(manifest, dtype=dtype)
    found = zarr.open_array(tmp_path / "s.zarr", path=f"{element.key}/embeddings", mode="r")
    assert found[:].tobytes() == element.stored(0, 37).tobytes()
    copy = zarr.create_array(
        tmp_path / "copy", name="x", shape=found.shape, chunks=found.chunks, shards=found.shards, dtype=found.dtype,
        compressors=found.compressors, fill_value=found.fill_value,
    )  # fmt: skip
    copy[:] = found[:]
    for shard in range(5):
        ours = tmp_path / "s.zarr" / element.key / f"embeddings/c/{shard}/0"
        assert ours.read_bytes() == (tmp_path / f"copy/x/c/{shard}/0").read_bytes()
