"""Merging partial stores: bit for bit, in any order, resumable, and never past a contradiction."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from geneb_jax.cli.store import command
from geneb_jax.errors import StoreError, UsageError
from geneb_jax.store import Manifest, SplitIndex, open_store
from geneb_jax.store.merge import merge
from geneb_jax.store.sources import ElementSource, content_digest


def part(path, toy, rows, splits=(), change=None, dtype=None):
    """A store of some rows of the toy encoder, and splits by name: their rows as numbers of the toy's sequences."""
    manifest, sequences, vectors = toy
    vectors = vectors.copy()
    if change is not None:
        vectors[change] += 1
    with open_store(path, "a") as store:
        element = store.element(manifest, commit_rows=8, dtype=dtype)
        element.append([sequences[i] for i in rows], vectors[list(rows)])
        for name, picks in splits:
            found = element.lookup([sequences[i] for i in picks])
            element.write_split(SplitIndex("t", name, found, np.array(picks) % 2, f"digest of {name}"))
    return path


@pytest.fixture
def parts(tmp_path, toy):
    return [
        part(tmp_path / "a", toy, range(21), [("train", [3, 20, 3])]),
        part(tmp_path / "b", toy, range(15, 33), [("test", [16, 30])]),
        part(tmp_path / "c", toy, [39, 1, 38, 20], [("train", [3, 20, 3][1:])][:0]),
    ]


def test_any_order_gives_the_same_bytes_and_all_the_rows(tmp_path, toy, parts, bytes_of):
    manifest, sequences, vectors = toy
    for number, order in enumerate(itertools.permutations(parts)):
        (done,) = merge(order, tmp_path / str(number))
        assert (done.added, done.known, done.splits, bool(done.conflicts)) == (35, 8, 2, False)
    first = bytes_of(tmp_path / "0")
    assert all(bytes_of(tmp_path / str(n)) == first for n in range(1, 6))
    element = open_store(tmp_path / "0").element(manifest)
    assert element.verify() == []
    held = [*range(33), 38, 39]
    np.testing.assert_array_equal(element.read(element.lookup([sequences[i] for i in held])), vectors[held])
    np.testing.assert_array_equal(element.lookup(["ACGT" * 4, "ACGT" * 21]), element.split("t", "train").rows[:2])


def test_one_after_the_other_holds_the_same(tmp_path, toy, parts):
    merge(parts, tmp_path / "whole")
    for name, order in (("x", parts), ("y", parts[::-1])):
        for path in order:
            merge([path], tmp_path / name)
    digests = {
        content_digest(ElementSource(open_store(tmp_path / name).element(toy[0]))) for name in ("whole", "x", "y")
    }
    assert len(digests) == 1
    # one changed label is another content
    with open_store(tmp_path / "x", "a") as store:
        element = store.element(toy[0])
        element.write_split(
            SplitIndex("t", "test", element.split("t", "test").rows, np.array([1, 0]), "digest of test")
        )
    assert content_digest(ElementSource(open_store(tmp_path / "x").element(toy[0]))) not in digests


def test_an_interrupted_merge_goes_on_and_gives_the_same_bytes(tmp_path, toy, parts, bytes_of, monkeypatch):
    merge(parts, tmp_path / "whole")
    from geneb_jax.store.element import EmbeddingStore

    append = EmbeddingStore.append_stored
    for after in range(5):
        left = [after]

        def stop(self, *args, left=left):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            append(self, *args)

        monkeypatch.setattr(EmbeddingStore, "append_stored", stop)
        with pytest.raises(KeyboardInterrupt):
            merge(parts, tmp_path / str(after))
        monkeypatch.setattr(EmbeddingStore, "append_stored", append)
        assert open_store(tmp_path / str(after)).verify() == []
        merge(parts, tmp_path / str(after))
        assert bytes_of(tmp_path / str(after)) == bytes_of(tmp_path / "whole")


def test_contradictions_are_told_and_never_overwritten(tmp_path, toy, parts, bytes_of):
    manifest, sequences, vectors = toy
    other = part(tmp_path / "other", toy, range(18, 24), [("train", [20, 18])], change=[19, 22])
    for order in ([parts[0], other], [other, parts[0]]):
        with pytest.raises(StoreError, match=r"1 sequences have different vectors .* and 1 splits are over other data"):
            merge(order, tmp_path / "into")
        assert open_store(tmp_path / "into").element(manifest).num_rows == 0
    merge(parts[:1], tmp_path / "held")
    before = bytes_of(tmp_path / "held")
    with pytest.raises(StoreError, match="largest relative difference"):
        merge([other], tmp_path / "held")
    assert bytes_of(tmp_path / "held") == before
    (done,) = merge([other], tmp_path / "held", conflicts="keep")
    assert (done.conflicts.rows, done.conflicts.splits, done.added) == (1, ("t train",), 3)
    element = open_store(tmp_path / "held").element(manifest)
    np.testing.assert_array_equal(element.read(element.lookup(sequences[19:20])), vectors[19:20])
    # both orders keep the same
    merge([parts[0], other], tmp_path / "x", conflicts="keep")
    merge([other, parts[0]], tmp_path / "y", conflicts="keep")
    assert bytes_of(tmp_path / "x") == bytes_of(tmp_path / "y")


def test_other_precisions_and_encoders_stay_apart(tmp_path, toy):
    half = part(tmp_path / "half", toy, range(5), dtype="float16")
    full = part(tmp_path / "full", toy, range(5))
    with open_store(full, "a") as store:
        store.element(Manifest("n", "f", "1", 2)).append(["A"], np.ones((1, 2), np.float32))
    done = merge([half, full], tmp_path / "into")
    assert sorted(m.encoder for m in done) == ["n", "toy:3", "toy:3 float16"]
    assert not any(m.conflicts for m in done)
    assert open_store(tmp_path / "into").verify() == []


def test_a_damaged_source_and_oneself_are_refused(tmp_path, toy, parts):
    with pytest.raises(UsageError, match="into itself"):
        merge(parts, parts[0])
    chunk = parts[1] / toy[0].key / "embeddings/c/1/0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(StoreError, match="a chunk is damaged"):
        merge(parts, tmp_path / "into")
    assert open_store(tmp_path / "into").verify() == []


def test_the_command_says_what_it_did(tmp_path, toy, parts):
    run = CliRunner()
    paths = [str(p) for p in parts]
    done = run.invoke(command, ["merge", *paths, "--into", str(tmp_path / "x")], standalone_mode=False)
    assert done.return_value == 0, done.output
    assert "35" in done.output
    shutil.rmtree(tmp_path / "x")
    other = part(tmp_path / "other", toy, range(18, 24), change=[19, 22])
    call = ["merge", paths[0], str(other), "--into", str(tmp_path / "x"), "--conflicts", "keep"]
    done = run.invoke(command, call, standalone_mode=False)
    assert done.return_value == 4
    assert "left out: toy:3: 1 sequences have different vectors" in done.output
    done = run.invoke(command, ["show", str(tmp_path / "x"), "--digest"], standalone_mode=False)
    assert "toy:3" in done.output
    assert done.return_value == 0


def test_letters_that_only_a_source_counted_are_not_lost(tmp_path, toy, parts):
    """What an encoder does not read: an old target's split knows nothing of it, and the source's does."""
    merge([parts[0]], tmp_path / "into")
    manifest, *_ = toy
    counted = {"rule": 1, "letters": 90, "cut_letters": 7}
    with open_store(parts[0], "a") as store:
        element = store.element(manifest)
        element.write_split(replace(element.split("t", "train"), letters=counted))
    for writes in (1, 0):
        (done,) = merge([parts[0]], tmp_path / "into")
        assert done.splits == writes
        assert open_store(tmp_path / "into").element(manifest).split("t", "train").letters == counted
    # other data under the name: what was counted of them says nothing of the target's
    part(tmp_path / "d", toy, range(9), [("train", [3, 5])])
    with open_store(tmp_path / "d", "a") as store:
        element = store.element(manifest)
        element.write_split(replace(element.split("t", "train"), data_digest="other", letters={"rule": 1}))
    merge([parts[1]], tmp_path / "old")
    merge([tmp_path / "into"], tmp_path / "old", conflicts="keep")
    merge([tmp_path / "d"], tmp_path / "old", conflicts="keep")
    assert open_store(tmp_path / "old").element(manifest).split("t", "train").letters == counted
