"""Rows of a task that were changed after it was scored: fitted again or refused, never the old score."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geneb_jax.cli.main import main
from geneb_jax.encoder import load_encoder
from geneb_jax.errors import DataError, ExitCode, RunError, StoreError
from geneb_jax.run import Run
from geneb_jax.run.embedding import embed
from geneb_jax.run.probing import probe
from geneb_jax.task import Control, Suite, control_suite, load_suite
from tests.run.helpers import blobs, sequence, write_csv, write_store, write_task

RNG = np.random.default_rng(3)


def go(suite: Suite, folder: Path, *encoders: str, out: str = "run", by: Suite | None = None) -> Run:
    for name in encoders:
        embed(load_encoder(name), suite, folder / "store", progress=False)
    # scikit-learn's engine: nothing has to be compiled
    return probe([folder / "store"], by or suite, folder / out, regimes=["full"], engine="sklearn", progress=False)


def exit_of(*words: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return caught.value.code


def scores(run: Run) -> dict[str, set[float]]:
    found: dict[str, set[float]] = {}
    for row in run.records.to_pylist():
        found.setdefault(row["task"], set()).add(row["mcc"])
    return found


def turn(file: Path) -> None:
    lines = [line.rpartition(",") for line in file.read_text().split()]
    write_csv(file, [(text, 1 - int(label)) for text, _, label in lines[1:]])


def swap_sequences(file: Path) -> None:
    rows = [line.rpartition(",") for line in file.read_text().split()[1:]]
    write_csv(file, [(sequence(1 - int(label), RNG), label) for _, _, label in rows])


def reorder(file: Path) -> None:
    rows = [line.rpartition(",") for line in file.read_text().split()[1:]]
    write_csv(file, [(text, label) for text, _, label in rows[::-1]])


@pytest.mark.parametrize("change", [turn, swap_sequences, reorder])
@pytest.mark.parametrize("split", ["train", "test"])
def test_changed_rows_are_fitted_again_and_it_is_said(tmp_path, change, split):
    write_task(tmp_path / "suite", "a")
    write_task(tmp_path / "suite", "b", seed=1)
    suite = load_suite(str(tmp_path / "suite"))
    before = go(suite, tmp_path, "kmer:2", "kmer:1")
    assert go(suite, tmp_path, "kmer:2", "kmer:1").records.equals(before.records)  # nothing changed: nothing is made
    change(tmp_path / "suite" / "tasks" / "a" / f"{split}.csv")
    after = go(suite, tmp_path, "kmer:2", "kmer:1")
    fresh = go(suite, tmp_path, out="fresh")
    assert scores(after) == scores(fresh)
    assert after.records["record_id"].to_pylist() == fresh.records["record_id"].to_pylist()
    (note,) = after.meta.sessions[-1].notes
    assert note.startswith(f"a: its {'training' if split == 'train' else 'test'} rows were changed")
    assert after.meta.tasks == fresh.meta.tasks
    kept = [r["seconds"] for r in after.records.to_pylist() if r["task"] == "b"]
    assert kept == [r["seconds"] for r in before.records.to_pylist() if r["task"] == "b"]  # the other is not refitted
    for record in after.records["record_id"].to_pylist():
        found, expected = after.predictions(record), fresh.predictions(record)
        np.testing.assert_array_equal(found.true, expected.true)
        np.testing.assert_array_equal(found.predicted, expected.predicted)
    assert go(suite, tmp_path, "kmer:2", "kmer:1").meta.sessions[-1].notes == []


def test_files_that_changed_after_they_were_embedded_stop_a_probe(tmp_path):
    write_task(tmp_path / "suite", "a")
    suite = load_suite(str(tmp_path / "suite"))
    before = go(suite, tmp_path, "kmer:1")
    file = tmp_path / "suite" / "tasks" / "a" / "test.csv"
    turn(file)
    with pytest.raises(StoreError, match=r"test split has changed"):
        go(suite, tmp_path)
    file.write_text("text,label\nACGT,what\n")
    with pytest.raises(DataError):
        go(suite, tmp_path)
    assert Run.open(tmp_path / "run").records.equals(before.records)


def test_scores_of_encoders_that_are_not_embedded_again_are_not_mixed_with_new_ones(tmp_path):
    write_task(tmp_path / "suite", "a")
    suite = load_suite(str(tmp_path / "suite"))
    before = go(suite, tmp_path, "kmer:1", "kmer:2")
    turn(tmp_path / "suite" / "tasks" / "a" / "test.csv")
    embed(load_encoder("kmer:1"), suite, tmp_path / "store", progress=False)
    for by in (suite, None):
        with pytest.raises((RunError, StoreError), match="changed"):
            probe([tmp_path / "store"], by, tmp_path / "run", regimes=["full"], engine="sklearn", progress=False)
    only = {load_encoder("kmer:1").info.digest}
    with pytest.raises(RunError, match="encoders that were not embedded again"):
        probe([tmp_path / "store"], suite, tmp_path / "run", regimes=["full"], engine="sklearn", progress=False,
              encoders=only)  # fmt: skip
    assert Run.open(tmp_path / "run").records.equals(before.records)


def test_a_suite_of_parquet_in_toml_and_a_control_of_it(tmp_path):
    labels = np.arange(40) % 2
    table = pa.table({"seq": [sequence(int(x), RNG) for x in labels], "y": labels, "split": ["train", "test"] * 20})
    table = table.set_column(2, "split", pa.array(["train"] * 28 + ["test"] * 12))
    (tmp_path / "suite.toml").write_text(
        'name = "p"\n[[task]]\nid = "t"\nfile = "d.parquet"\ntext_column = "seq"\nlabel_column = "y"\n'
    )
    for kind in (lambda suite: suite, lambda suite: control_suite(suite, Control("labels", 0))):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        pq.write_table(table, tmp_path / "d.parquet")
        go(kind(load_suite(str(tmp_path / "suite.toml"))), folder, "kmer:2")
        pq.write_table(table.set_column(1, "y", pa.array(np.r_[labels[:28], 1 - labels[28:]])), tmp_path / "d.parquet")
        suite = kind(load_suite(str(tmp_path / "suite.toml")))
        after = go(suite, folder, "kmer:2")
        assert scores(after) == scores(go(suite, folder, out="fresh"))
        assert len(after.meta.sessions[-1].notes) == 1


def test_a_run_that_does_not_say_of_which_rows_it_is_is_fitted_again(tmp_path):
    write_task(tmp_path / "suite", "a")
    suite = load_suite(str(tmp_path / "suite"))
    go(suite, tmp_path, "kmer:1")
    described = tmp_path / "run" / "run.json"
    for forget in ({}, {"a": {"n_train": 60, "n_test": 30}}):
        meta = json.loads(described.read_text()) | {"tasks": forget}
        described.write_text(json.dumps(meta))
        after = go(suite, tmp_path)
        assert len(after.meta.sessions[-1].notes) == 1
        assert after.meta.tasks["a"].test_digest == suite.load("a").test.digest
    # killed after the old records were dropped and before the rest was written
    meta["tasks"]["a"] = {"n_train": 60, "n_test": 30, "train_digest": "old", "test_digest": "old"}
    described.write_text(json.dumps(meta))
    (tmp_path / "run" / "records.parquet").unlink()
    shutil.rmtree(tmp_path / "run" / "predictions.zarr")
    after = go(suite, tmp_path)
    assert not after.has_faults
    assert after.meta.sessions[-1].notes == []


def test_another_version_of_an_encoder_is_said(tmp_path):
    for number in ("1", "2"):
        write_store(tmp_path / number, {"a": blobs(0)}, revision=number)
    arguments = {"regimes": ["full"], "engine": "sklearn", "progress": False}
    first = probe([tmp_path / "1"], None, tmp_path / "run", **arguments)
    assert first.meta.sessions[-1].notes == []
    second = probe([tmp_path / "2"], None, tmp_path / "run", **arguments)
    (note,) = second.meta.sessions[-1].notes
    assert note.startswith("toy: its code, weights or libraries changed")
    assert f"#{first.meta.encoders[0].digest[:6]}" in note


def test_a_probe_without_a_suite_finds_the_files_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "suite", "a")
    real = load_suite("suite")
    arguments = {"regimes": ["full"], "engine": "sklearn", "progress": False}
    for number, suite in enumerate((real, control_suite(real, Control("mono", 3)))):
        store, out = tmp_path / f"store{number}", tmp_path / f"run{number}"
        embed(load_encoder("kmer:1"), suite, store, progress=False)
        before = probe([store], None, out, **arguments)
        assert probe([store], None, out, **arguments).records.equals(before.records)
    swap_sequences(tmp_path / "suite" / "tasks" / "a" / "test.csv")
    for number in range(2):
        with pytest.raises(StoreError, match="test split has changed"):
            probe([tmp_path / f"store{number}"], None, tmp_path / f"run{number}", **arguments)
        assert exit_of("doctor", "--parity", tmp_path / f"store{number}") == ExitCode.BAD_INPUT
    monkeypatch.chdir(tmp_path.parent)  # where there is no such suite
    assert probe([tmp_path / "store0"], None, tmp_path / "run0", **arguments).meta.sessions[-1].notes == []


@pytest.mark.parametrize("split", ["train", "test"])
def test_runs_of_different_rows_are_not_read_together(tmp_path, split, capsys):
    write_task(tmp_path / "suite", "a")
    suite = load_suite(str(tmp_path / "suite"))
    go(suite, tmp_path / "old", "kmer:1")
    turn(tmp_path / "suite" / "tasks" / "a" / f"{split}.csv")
    go(suite, tmp_path / "new", "kmer:1")
    for command in (["compare"], ["report", "--out", str(tmp_path / "page")], ["sensitivity"]):
        for order in (("old", "new"), ("new", "old")):
            runs = [tmp_path / name / "run" for name in order]
            assert exit_of(command[0], *runs, *command[1:]) == ExitCode.BAD_INPUT
            assert "task a" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()
