from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from geneb_jax.encoder import load_encoder
from geneb_jax.errors import StoreError, UnknownNameError, UsageError
from geneb_jax.probes.harness import fit_task_sklearn
from geneb_jax.probes.lane import Lane
from geneb_jax.probes.regime import GENEB_REGIMES, GENEB_SEEDS, Regime
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.run import embed, probe, whole
from geneb_jax.run.directory import Run, RunWriter
from geneb_jax.run.engines import Engine
from geneb_jax.run.parity import LIMITS, all_faults, compare, regime_means
from geneb_jax.run.whole import embed_and_probe
from geneb_jax.status import Status
from geneb_jax.store import open_store
from geneb_jax.task import load_suite
from tests.run.helpers import blobs, write_csv, write_store, write_task
from tests.tolerances import limit


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Two tasks with two and three classes."""
    write_task(tmp_path / "suite", "two", seed=1)
    write_task(tmp_path / "suite", "three", classes=3, seed=2)
    return tmp_path / "suite"


def test_every_record_can_be_scored_again_from_the_predictions(suite: Path, tmp_path: Path) -> None:
    loaded = load_suite(suite)
    embed(load_encoder("kmer:2"), loaded, tmp_path / "store", progress=False)
    run = probe([tmp_path / "store"], loaded, tmp_path / "run", engine="sklearn", progress=False)
    assert len(run.records) == 2 * len(GENEB_REGIMES) * len(GENEB_SEEDS)
    assert set(run.records["task"].to_pylist()) == {"two", "three"}
    for row in run.records.to_pylist():
        found = run.predictions(row["record_id"])
        assert found is not None
        assert np.array_equal(found.true, loaded.load(row["task"]).test.labels)
        theirs = {
            "mcc": matthews_corrcoef(found.true, found.predicted),
            "accuracy": accuracy_score(found.true, found.predicted),
            "macro_f1": f1_score(found.true, found.predicted, average="macro"),
        }
        assert {name: row[name] for name in theirs} == pytest.approx(theirs, abs=limit("float64", "score"))


def test_the_run_holds_what_the_harness_returns(tmp_path: Path) -> None:
    arrays = blobs(0, classes=3)
    write_store(tmp_path / "store", {"a": arrays})
    run = probe([tmp_path / "store"], None, tmp_path / "run", engine="sklearn", progress=False)
    lanes = [Lane(Regime.parse(r), seed, LogisticSpec()) for r in GENEB_REGIMES for seed in GENEB_SEEDS]
    X, y, Z, z = arrays
    expected = fit_task_sklearn(X.astype(np.float32), y, Z.astype(np.float32), z, lanes)
    rows = run.records.to_pylist()
    assert [(r["regime"], r["seed"]) for r in rows] == [(x.lane.regime.name, x.lane.seed) for x in expected]
    for row, result in zip(rows, expected, strict=True):
        assert (row["mcc"], row["objective"], row["num_steps"]) == (result.mcc, result.objective, result.num_steps)
        assert (row["n_train"], row["n_train_total"], row["n_test"]) == (result.n_train, len(y), len(z))
        assert (row["num_classes"], row["width"], row["dtype"]) == (3, 5, "float64")


@pytest.mark.parametrize(("engine", "dtype"), [("sklearn-stock", "float32"), ("sklearn", "float64")])
def test_records_name_the_engine_and_its_precision(engine: Engine, dtype: str, tmp_path: Path) -> None:
    X, y, Z, z = blobs(0)
    X, Z = (rows * np.logspace(-2, 2, rows.shape[1]) for rows in (X, Z))
    write_store(tmp_path / "store", {"a": (X, y, Z, z)})
    run = probe([tmp_path / "store"], None, tmp_path / "run", engine=engine, regimes=["full"], progress=False)
    assert {(r["engine"], r["dtype"]) for r in run.records.to_pylist()} == {(engine, dtype)}
    lane = [Lane(Regime.parse("full"), 13, LogisticSpec())]
    (expected,) = fit_task_sklearn(X.astype(np.float32), y, Z.astype(np.float32), z, lane, cast=dtype == "float64")
    found = run.predictions(run.records["record_id"][0].as_py())
    assert found is not None
    assert np.array_equal(found.predicted, expected.predictions)  # type: ignore[arg-type]
    assert run.records["objective"][0].as_py() == pytest.approx(expected.objective, rel=1e-12)


def test_the_batched_engine_runs_the_same_way(tmp_path: Path) -> None:
    write_store(tmp_path / "store", {"a": blobs(0)})
    ours = probe([tmp_path / "store"], None, tmp_path / "ours", progress=False)
    theirs = probe([tmp_path / "store"], None, tmp_path / "theirs", engine="sklearn-optimum", progress=False)
    mine, reference = ours.records, theirs.records
    assert mine["seed"].to_pylist() == reference["seed"].to_pylist()
    np.testing.assert_allclose(mine["objective"], reference["objective"], rtol=1e-5)
    np.testing.assert_allclose(mine["mcc"], reference["mcc"], atol=0.06)  # one of 40 test rows may be a tie
    assert ours.meta.sessions[0].devices
    assert set(ours.meta.sessions[0].phases) == {"start", "read", "fit", "write"}


def test_the_same_command_again_does_nothing_and_more_tasks_are_added(suite: Path, tmp_path: Path) -> None:
    loaded = load_suite(suite)
    embed(load_encoder("kmer:2"), loaded, tmp_path / "store", progress=False)
    options = {"engine": "sklearn", "regimes": ["1shot"], "progress": False}
    first = probe([tmp_path / "store"], loaded, tmp_path / "run", tasks=["two"], **options)  # type: ignore[arg-type]
    assert first.missing == {"kmer:2": ("three",)}
    again = probe([tmp_path / "store"], loaded, tmp_path / "run", **options)  # type: ignore[arg-type]
    assert not again.missing
    assert again.records.filter(pc.equal(again.records["task"], "two")).equals(first.records)


def test_an_interrupted_probe_goes_on_where_it_was(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_suite(suite)
    embed(load_encoder("kmer:2"), loaded, tmp_path / "store", progress=False)
    options = {"engine": "sklearn", "regimes": ["1shot"], "progress": False}
    whole = probe([tmp_path / "store"], loaded, tmp_path / "whole", **options)  # type: ignore[arg-type]
    written: list[str] = []
    write_pair = RunWriter.write_pair

    def then_interrupt(self: RunWriter, *arguments: object) -> None:
        if written:
            raise KeyboardInterrupt
        write_pair(self, *arguments)  # type: ignore[arg-type]
        written.append("one")

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "write_pair", then_interrupt)
        with pytest.raises(KeyboardInterrupt):
            probe([tmp_path / "store"], loaded, tmp_path / "run", **options)  # type: ignore[arg-type]
    assert len(Run.open(tmp_path / "run").records) == 5
    run = probe([tmp_path / "store"], loaded, tmp_path / "run", **options)  # type: ignore[arg-type]
    drop = ["seconds"]
    assert run.records.drop_columns(drop).equals(whole.records.drop_columns(drop))


def test_a_bad_embedding_marks_its_records_and_the_others_run(tmp_path: Path) -> None:
    broken = blobs(0)
    broken[2][7, 1] = np.nan
    write_store(tmp_path / "store", {"bad": broken, "good": blobs(1)})
    run = probe([tmp_path / "store"], None, tmp_path / "run", engine="sklearn", progress=False)
    by_task = {row["task"]: row for row in run.records.to_pylist()}
    assert by_task["bad"]["status"] == Status.BAD_EMBEDDING.label
    assert "1 of 40 test vectors hold NaN or infinite values, first row 7" in by_task["bad"]["message"]
    assert by_task["bad"]["mcc"] is None
    assert by_task["good"]["mcc"] is not None
    assert run.has_faults


def test_a_task_that_cannot_be_read_marks_its_records(suite: Path, tmp_path: Path) -> None:
    write_csv(suite / "tasks" / "broken" / "train.csv", [("ACGT", "x"), ("ACGA", 1)])
    write_csv(suite / "tasks" / "broken" / "test.csv", [("ACGT", 0), ("ACGA", 1)])
    result = embed_and_probe(
        ["kmer:2"], load_suite(suite), tmp_path / "run", engine="sklearn", regimes=["1shot"], progress=False
    )
    rows = [r for r in result.run.records.to_pylist() if r["task"] == "broken"]
    assert len(rows) == len(GENEB_SEEDS)
    assert {r["status"] for r in rows} == {Status.BAD_DATA.label}
    assert "broken/train.csv" in rows[0]["message"]
    assert str(tmp_path) not in rows[0]["message"]
    assert len(result.run.records) == 3 * len(GENEB_SEEDS)


def test_models_are_given_up_before_the_fits(suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = []

    def load(name: str, **options: object) -> object:
        encoder = load_encoder(name, **options)
        models.append(weakref.ref(encoder))
        return encoder

    def fit(*args: object, **options: object) -> Run:
        assert [model() for model in models] == [None, None]
        return probe(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(whole, "load_encoder", load)
    monkeypatch.setattr(whole, "probe", fit)
    embed_and_probe(
        ["kmer:1", "kmer:2"], load_suite(suite), tmp_path / "run", engine="sklearn", regimes=["1shot"], progress=False
    )
    assert len(models) == 2


def test_data_that_changed_since_they_were_embedded_are_not_scored(suite: Path, tmp_path: Path) -> None:
    embed(load_encoder("kmer:2"), load_suite(suite), tmp_path / "store", progress=False)
    write_task(suite, "two", seed=99)
    options = {"engine": "sklearn", "regimes": ["1shot"], "progress": False}
    run = probe([tmp_path / "store"], load_suite(suite), tmp_path / "run", **options)  # type: ignore[arg-type]
    status = dict(zip(run.records["task"].to_pylist(), run.records["message"].to_pylist(), strict=True))
    assert "the train split has changed" in status["two"]
    assert status["three"] == ""


def test_no_path_of_the_machine_is_written(suite: Path, tmp_path: Path) -> None:
    embed(load_encoder("kmer:2"), load_suite(suite), tmp_path / "store", progress=False)
    command = ["probe", str(tmp_path / "store"), "--out", str(tmp_path / "run")]
    options = {"engine": "sklearn", "regimes": ["1shot"], "progress": False, "command": command}
    run = probe([tmp_path / "store"], load_suite(suite), tmp_path / "run", **options)  # type: ignore[arg-type]
    assert run.meta.sessions[0].command == ["probe", "store", "--out", "run"]
    for path in run.path.rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes(), path.name


def test_wrong_calls_stop_at_once(suite: Path, tmp_path: Path) -> None:
    embed(load_encoder("kmer:2"), load_suite(suite), tmp_path / "store", progress=False)
    stores, out = [tmp_path / "store"], tmp_path / "run"
    with pytest.raises(UnknownNameError, match="thre"):
        probe(stores, load_suite(suite), out, tasks=["thre"])
    with pytest.raises(UsageError, match="no engine"):
        probe(stores, None, out, engine="torch")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="given twice"):
        probe(stores, None, out, seeds=[1, 1])
    with pytest.raises(UsageError, match="no seed"):
        probe(stores, None, out, seeds=[])
    with pytest.raises(StoreError, match="none of the 3 tasks"):
        probe(stores, "quickstart", out)
    with pytest.raises(StoreError, match="no store"):
        probe([tmp_path / "nowhere"], None, out)
    assert not out.exists()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parity_holds_on_a_small_store(tmp_path: Path, dtype: str) -> None:
    write_store(tmp_path / "store", {"a": blobs(3, classes=3)})
    (element,) = open_store(tmp_path / "store").elements()
    rows = list(compare(element, ["a"], dtype=dtype))  # type: ignore[arg-type]
    assert [row.regime for row in rows] == list(GENEB_REGIMES)
    assert not [f for f in all_faults(rows, dtype) if "objective gap" in f]  # type: ignore[arg-type]
    assert set(regime_means(rows)) == set(GENEB_REGIMES)
    worst = max(row.gap for row in rows)
    assert worst <= LIMITS[dtype].gap  # type: ignore[index]


def test_parity_reports_a_fit_that_is_off(tmp_path: Path) -> None:
    from dataclasses import replace

    from geneb_jax.run.parity import ParityRow, lane_parity

    X, y, Z, z = blobs(4)
    (good,) = fit_task_sklearn(*blobs(4), [Lane(Regime(None), 13, LogisticSpec())], stock=False)
    assert good.coef is not None
    assert good.predictions is not None
    off = replace(good, coef=good.coef * 1.1, predictions=1 - good.predictions, mcc=-good.mcc)
    row = ParityRow("a", "full", (lane_parity("a", X, y, Z, z, off, good),))
    faults = all_faults([row], "float64")
    assert any("objective gap" in f for f in faults)
    assert any("predictions differ" in f for f in faults)
    assert any("|ΔMCC|" in f for f in faults)
    assert row.coef == pytest.approx(0.1)
    same = ParityRow("a", "full", (lane_parity("a", X, y, Z, z, good, good),))
    assert not all_faults([same], "float64")


def test_parity_sets_aside_only_rows_that_scikit_learn_does_not_decide() -> None:
    from dataclasses import replace

    from geneb_jax.run.parity import ParityRow, lane_parity

    # mirror images: w points along the first axis and the boundary is at 0, where the first three test rows lie
    X = np.array([[1.0, 0.0], [-1.0, 0.0]], np.float32)
    y = np.array([0, 1])
    Z = np.array([[0, 1], [0, 2], [0, 3], [2, 0], [-2, 0], [3, 0]], np.float32)
    z = np.array([0, 1, 0, 0, 1, 0])
    (good,) = fit_task_sklearn(X, y, Z, z, [Lane(Regime(None), 13, LogisticSpec())], stock=False)
    assert good.predictions is not None
    flipped = good.predictions.copy()
    flipped[:3] = 1 - flipped[:3]
    row = ParityRow("a", "full", (lane_parity("a", X, y, Z, z, replace(good, predictions=flipped, mcc=0.0), good),))
    assert row.num_ties == 3
    assert row.equal == 0.5
    assert not all_faults([row], "float64")
    flipped[3] = 1 - flipped[3]
    row = ParityRow("a", "full", (lane_parity("a", X, y, Z, z, replace(good, predictions=flipped, mcc=0.0), good),))
    assert any("1 of 6 predictions differ" in fault for fault in all_faults([row], "float64"))
