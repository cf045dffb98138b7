"""Repair takes out what cannot be proved sound, says so, sets it aside, and `geneb embed` fills the gap."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from geneb_jax.cli.verify import command
from geneb_jax.errors import StoreError
from geneb_jax.store import open_store
from geneb_jax.store.measures import put_measure, read_measures
from geneb_jax.store.repair import repair_store


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(bytes(data))


def _swap(path):
    other = path.parents[1] / "0" / "0"
    (data, there) = (path.read_bytes(), other.read_bytes())
    path.write_bytes(there)
    other.write_bytes(data)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def _refill(path, toy, reader):
    """What `geneb embed` does next: only what is missing."""
    manifest, sequences, vectors = toy
    with open_store(path, "a") as store:
        element = store.element(manifest)
        todo = element.missing(sequences)
        element.append(todo, vectors[[sequences.index(s) for s in todo]])
    element = reader(path)
    assert element.verify() == []
    np.testing.assert_array_equal(element.read(element.lookup(sequences)), vectors)
    return todo


# commits are rows 0-11, 12-23, 24-35 and 36-39; shards are 8 rows
@pytest.mark.parametrize(
    ("file", "damage", "dropped"),
    [
        ("embeddings/c/1/0", _flip, range(12, 24)),  # a chunk of rows 12 and 13
        ("embeddings/c/4/0", os.unlink, range(24, 40)),
        ("embeddings/c/3/0", _truncate, range(24, 36)),  # its last bytes, but the index is at the end
        ("embeddings/c/1/0", _swap, range(24)),
        ("digests/c/0/0", _flip, range(12)),
        ("digests/c/2/0", os.unlink, range(12, 24)),
        ("digests/zarr.json", _truncate, range(0)),  # follows from the vectors' metadata
    ],
)
def test_rows_that_cannot_be_proved_are_dropped_and_filled_again(store_path, toy, open_reader, file, damage, dropped):
    manifest, sequences, vectors = toy
    damage(store_path / manifest.key / file)
    (done,) = repair_store(store_path)
    assert done.faults
    assert (done.dropped, done.kept) == (len(dropped), 40 - len(dropped))
    # what was there before is set aside whole
    assert (store_path / done.set_aside / "embeddings" / "zarr.json").exists()
    assert repair_store(store_path) == []
    element = open_reader(store_path)
    assert element.verify() == []
    kept = [i for i in range(40) if i not in dropped]
    np.testing.assert_array_equal(element.read(), vectors[kept])
    # train is rows 0, 5, 5, 2 and test 7, 1: a split stays if all its rows do, with their new numbers
    for name, picks in (("train", [0, 5, 5, 2]), ("test", [7, 1])):
        if set(picks) <= set(kept):
            index = element.split("a_task", name)
            np.testing.assert_array_equal(element.read(index.rows), vectors[picks])
        else:
            assert name not in element.split_names("a_task")
    assert sorted(_refill(store_path, toy, open_reader)) == sorted(sequences[i] for i in dropped)


def test_a_damaged_split_costs_no_rows(store_path, toy, open_reader):
    _flip(next(store_path.glob("*/splits/a_task-train-*/rows/c/0")))
    (done,) = repair_store(store_path)
    assert (done.dropped, done.kept, len(done.splits)) == (0, 40, 1)
    assert open_reader(store_path).split_names("a_task") == ["test"]
    assert open_store(store_path).verify() == []
    assert (store_path / done.set_aside / done.splits[0] / "rows").is_dir()


@pytest.mark.parametrize("file", ["zarr.json", "embeddings/zarr.json"])
def test_an_element_without_its_journal_is_set_aside_whole(store_path, toy, open_reader, file):
    _truncate(store_path / toy[0].key / file)
    (done,) = repair_store(store_path)
    assert "the whole element was set aside" in done.what
    assert open_store(store_path).keys() == []
    assert len(list((store_path / done.set_aside / "embeddings" / "c").iterdir())) == 5
    assert len(_refill(store_path, toy, open_reader)) == 40


def test_the_stores_own_metadata_are_written_anew(store_path, toy, bytes_of):
    before = bytes_of(store_path)
    (store_path / "zarr.json").write_text("{")
    with pytest.raises(StoreError, match="metadata cannot be read"):
        open_store(store_path)
    (done,) = repair_store(store_path)
    assert done.key == "."
    assert bytes_of(store_path) == before


def test_what_is_newer_or_foreign_is_left_alone(store_path, toy, bytes_of, tmp_path):
    path = store_path / toy[0].key / "embeddings" / "zarr.json"
    meta = json.loads(path.read_text())
    meta["attributes"]["geneb_version"] = 9
    path.write_text(json.dumps(meta))
    before = bytes_of(store_path)
    (done,) = repair_store(store_path)
    assert "left alone: it is of format version 9" in done.what
    assert bytes_of(store_path) == before
    with pytest.raises(StoreError, match="local folders only"):
        repair_store("memory://bucket/store")
    with pytest.raises(StoreError, match="no Zarr group"):
        repair_store(tmp_path)


def test_a_sequence_with_two_rows_keeps_the_first(store_path, toy, open_reader, monkeypatch):
    manifest, sequences, vectors = toy
    with open_store(store_path, "a") as store:
        element = store.element(manifest)
        monkeypatch.setattr(element, "_refuse_repeats", lambda *_: None)
        element.append([sequences[3], "GGGG"], vectors[:2])
    assert len(open_store(store_path).verify()) == 1
    (done,) = repair_store(store_path)
    assert done.dropped == 1
    element = open_reader(store_path)
    assert element.verify() == []
    np.testing.assert_array_equal(element.read(element.lookup([sequences[3], "GGGG"])), vectors[[3, 1]])


def test_readers_and_writers_of_before_are_told(store_path, toy):
    manifest, sequences, _ = toy
    reader = open_store(store_path).element(manifest)
    with open_store(store_path, "a") as store:
        put_measure(store.element(manifest), "drift", {"largest": 0.5})
    assert reader.read([30]).shape == (1, 3)  # that was no replacement
    _flip(store_path / manifest.key / "embeddings/c/0/0")
    with open_store(store_path, "a") as store:
        store.element(manifest)
        with pytest.raises(StoreError, match="another writer holds this element"):
            repair_store(store_path)
    repair_store(store_path)
    assert read_measures(open_store(store_path).element(manifest)) == {"drift": {"largest": 0.5}}
    # its row numbers are others now: a wrong vector would look like a right one
    for use in (lambda: reader.read([30]), lambda: reader.read([38, 30]), lambda: reader.lookup(sequences[30:]),
                reader.refresh, lambda: reader.split("a_task", "test")):  # fmt: skip
        with pytest.raises(StoreError, match=r"was (repaired or )?replaced"):
            use()


@pytest.mark.parametrize("moment", ["building", "between"])
def test_an_interrupted_repair_is_named_and_finished(store_path, toy, open_reader, monkeypatch, moment):
    _flip(store_path / toy[0].key / "embeddings/c/3/0")
    expected = store_path.with_name("expected.zarr")
    shutil.copytree(store_path, expected)
    repair_store(expected)
    with monkeypatch.context() as patch:
        if moment == "building":
            patch.setattr("geneb_jax.store.element.EmbeddingStore.write_split", lambda *_: 1 / 0)
        else:
            rename = os.rename
            patch.setattr("os.rename", lambda a, b: 1 / 0 if ".repair" in str(a) else rename(a, b))
        with pytest.raises(ZeroDivisionError):
            repair_store(store_path)
    assert any(f.key.startswith(".repair") and "interrupted" in f.what for f in open_store(store_path).verify())
    with pytest.raises(StoreError, match="its repair was interrupted"), open_store(store_path, "a") as store:
        store.element(toy[0])
    done = repair_store(store_path)
    assert ("thrown away" if moment == "building" else "was finished") in done[0].what
    assert open_store(store_path).verify() == []
    assert open_reader(store_path).read().tobytes() == open_reader(expected).read().tobytes()
    assert open_reader(store_path).split_names("a_task") == ["test", "train"]


def test_the_command_says_what_it_did(store_path, toy):
    run = CliRunner()
    done = run.invoke(command, [str(store_path), "--repair"], standalone_mode=False)
    assert done.return_value == 0
    assert "nothing to repair" in done.output
    _flip(store_path / toy[0].key / "embeddings/c/4/0")
    done = run.invoke(command, [str(store_path)], standalone_mode=False)
    assert done.return_value == 3
    assert "geneb verify --repair" in done.output
    done = run.invoke(command, [str(store_path), "--repair"], standalone_mode=False)
    assert done.return_value == 0, done.output
    for text in ("a chunk is damaged", "sequences dropped: 4; kept: 36", ".damaged", "geneb embed", "is sound"):
        assert text in done.output
    done = run.invoke(command, [str(store_path), "--repair", "--json"], standalone_mode=False)
    assert json.loads(done.stdout)["repairs"] == []
