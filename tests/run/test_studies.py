"""Studies: many draws, extended and resumed; C chosen without a look at the test rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from geneb_jax.errors import RunError
from geneb_jax.probes.regime import GENEB_SEEDS, draw_seeds
from geneb_jax.probes.spec import HeldOutC, LogisticSpec
from geneb_jax.run import lanes as study
from geneb_jax.run import probe
from geneb_jax.run.directory import Run, RunWriter
from geneb_jax.run.lanes import blocks, make_draws, make_lanes
from tests.run.helpers import blobs, write_store
from tests.tolerances import limit

FEW = {"engine": "sklearn", "regimes": ["2shot", "full"], "progress": False}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_store(tmp_path / "store", {"a": blobs(1), "b": blobs(2, classes=3)})
    return tmp_path / "store"


def run_of(store: Path, out: Path, **options: Any) -> Run:
    return probe([store], None, out, **{**FEW, **options})


def by_identity(run: Run) -> dict[str, dict[str, object]]:
    rows = run.records.drop_columns(["seconds"]).to_pylist()
    assert len({row["record_id"] for row in rows}) == len(rows)
    return {row["record_id"]: row for row in rows}


def assert_same(one: Run, other: Run) -> None:
    assert by_identity(one) == by_identity(other)
    for record_id in list(by_identity(one))[::7]:
        mine, theirs = one.predictions(record_id), other.predictions(record_id)
        assert mine is not None
        assert theirs is not None
        assert np.array_equal(mine.predicted, theirs.predicted)


def test_a_study_names_draw_and_seed_and_records_full_data_once(store: Path, tmp_path: Path) -> None:
    run = run_of(store, tmp_path / "run", draws=9, key=4, tasks=["a"])
    rows = run.records.to_pylist()
    assert [(r["draw"], r["seed"]) for r in rows if r["regime"] == "2shot"] == list(enumerate(draw_seeds(9, 4)))
    assert [(r["draw"], r["seed"]) for r in rows if r["regime"] == "full"] == [(0, 13)]
    assert (run.meta.settings.key, run.meta.settings.full_seeds) == (4, [13])
    default = run_of(store, tmp_path / "geneb", tasks=["a"])
    assert [r["seed"] for r in default.records.to_pylist()] == [*GENEB_SEEDS, *GENEB_SEEDS]
    # the same probe is the same record in both
    assert len(by_identity(default).keys() & by_identity(run).keys()) == 6


def test_a_longer_study_extends_a_shorter_one(store: Path, tmp_path: Path) -> None:
    specs = (LogisticSpec(C=0.1), HeldOutC(grid=(0.1, 1.0)))
    run_of(store, tmp_path / "run", draws=3, specs=specs)
    before = by_identity(Run.open(tmp_path / "run"))
    longer = run_of(store, tmp_path / "run", draws=6, specs=specs)
    assert {key: by_identity(longer)[key] for key in before} == before
    assert_same(longer, run_of(store, tmp_path / "whole", draws=6, specs=specs))
    assert longer.meta.settings.seeds == list(draw_seeds(6))
    again = run_of(store, tmp_path / "run", draws=3, specs=specs)
    assert len(again.records) == len(longer.records)
    assert not again.meta.sessions[-1].phases  # nothing was left to do


def test_a_study_with_another_key_is_another_study(store: Path, tmp_path: Path) -> None:
    run_of(store, tmp_path / "run", draws=6, tasks=["a"])
    with pytest.raises(RunError, match="its seeds is 13, 17, 42, 123, 997, "):
        run_of(store, tmp_path / "run", draws=6, key=1, tasks=["a"])


def test_a_study_that_is_cut_into_blocks_is_the_same_and_goes_on_inside_a_task(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"draws": 18, "specs": (LogisticSpec(), LogisticSpec(C=0.1)), "tasks": ["a"]}
    whole = run_of(store, tmp_path / "whole", **options)
    monkeypatch.setattr(study, "BLOCK_BYTES", 1)  # 16 draws at once
    write_pair, written = RunWriter.write_pair, []

    def then_interrupt(self: RunWriter, *arguments: Any) -> None:
        if len(written) == 1:
            raise KeyboardInterrupt
        write_pair(self, *arguments)
        written.append(len(arguments[1]))

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "write_pair", then_interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_of(store, tmp_path / "run", **options)
    assert written == [2 * 9 + 2]  # 18 draws in two equal blocks, full data with the first
    assert len(Run.open(tmp_path / "run").records) == sum(written)
    assert_same(run_of(store, tmp_path / "run", **options), whole)


def test_blocks_hold_every_lane_once_and_full_data_first() -> None:
    lanes = make_lanes(["full", "1shot", "10shot"], make_draws(None, 1000, 0), [LogisticSpec(), LogisticSpec(C=2.0)])
    cut = list(blocks(lanes, width=768, num_test=100_000, num_classes=2))
    assert sorted(map(id, (lane for block in cut for lane in block))) == sorted(map(id, lanes))
    assert {len(block) for block in cut[1:]} == {len(cut[0]) - 2}
    assert sum(lane.regime.shots is None for lane in cut[0]) == 2
    assert len(list(blocks(lanes, width=768, num_test=2000, num_classes=2))) == 1


def poisoned(arrays: tuple[np.ndarray, ...], how: str) -> tuple[np.ndarray, ...]:
    X, y, Z, z = arrays
    rng = np.random.default_rng(5)
    return {
        "labels permuted": (X, y, Z, rng.permutation(z)),
        "labels reversed": (X, y, Z, z.max() - z),
        "rows replaced": (X, y, 1e6 * rng.normal(size=Z.shape), z),
        "most rows gone": (X, y, Z[:4], z[:4]),
    }[how]


@pytest.mark.parametrize("engine", ["jax", "sklearn-optimum"])
def test_no_choice_looks_at_the_test_rows(tmp_path: Path, engine: str) -> None:
    arrays = blobs(3, n=60)
    columns = ["record_id", "regime", "seed", "C", "c_selection", "c_grid", "held_out_mcc", "n_held_out"]
    options: dict[str, Any] = {
        "engine": engine, "regimes": ["full", "10shot", "1shot"], "draws": 6, "specs": [HeldOutC()],
    }  # fmt: skip
    write_store(tmp_path / "clean", {"a": arrays})
    clean = run_of(tmp_path / "clean", tmp_path / "run", **options).records
    assert len(set(clean["C"].to_pylist())) > 1
    scores = {tuple(clean["mcc"].to_pylist())}
    hows = ["labels permuted", "labels reversed", "rows replaced", "most rows gone"]
    for how in hows:
        write_store(tmp_path / how, {"a": poisoned(arrays, how)})
        other = run_of(tmp_path / how, tmp_path / f"run {how}", **options).records
        assert other.select(columns).equals(clean.select(columns)), how
        scores.add(tuple(other["mcc"].to_pylist()))
    assert len(scores) == len(hows) + 1  # the poison reached the scores


def test_the_record_of_a_choice_says_all_of_it(store: Path, tmp_path: Path) -> None:
    spec = HeldOutC(grid=(0.1, 10.0))
    run = run_of(store, tmp_path / "run", draws=3, specs=[spec], regimes=["1shot", "5shot", "full"], tasks=["b"])
    for row in run.records.to_pylist():
        assert row["probe_digest"] == spec.digest
        assert row["c_grid"] == [0.1, 10.0]
        if row["regime"] == "1shot":
            assert (row["c_selection"], row["C"], row["n_held_out"], row["held_out_mcc"]) == ("default", 1.0, 0, None)
        else:
            assert row["c_selection"] == "held-out"
            best = int(np.argmax(row["held_out_mcc"]))
            assert row["C"] == [0.1, 10.0][best]
            assert row["n_held_out"] == {"5shot": 3, "full": 9}[row["regime"]]
        assert row["n_train"] == {"1shot": 3, "5shot": 15, "full": 40}[row["regime"]]  # refitted on all rows
    plain = run_of(store, tmp_path / "plain", draws=1, tasks=["b"]).records
    assert set(plain["c_selection"].to_pylist()) == {"fixed"}
    assert plain["c_grid"].null_count == len(plain)


def test_the_fit_after_the_choice_is_the_plain_fit_with_that_C(tmp_path: Path) -> None:
    write_store(tmp_path / "store", {"a": blobs(3, n=60)})  # the shapes of the test before
    options: dict[str, Any] = {"engine": "jax", "regimes": ["full", "10shot"], "draws": 6}
    chosen = run_of(tmp_path / "store", tmp_path / "auto", specs=[HeldOutC()], **options)
    grid = [LogisticSpec(C=C) for C in HeldOutC().grid]
    plain = run_of(tmp_path / "store", tmp_path / "grid", specs=grid, **options)
    found = {(r["regime"], r["seed"], r["C"]): r for r in plain.records.to_pylist()}
    for row in chosen.records.to_pylist():
        same = found[row["regime"], row["seed"], row["C"]]
        assert row["mcc"] == pytest.approx(same["mcc"], abs=limit("float64", "score"))
        assert row["objective"] == pytest.approx(same["objective"], rel=1e-6)


def test_a_task_that_cannot_be_fitted_keeps_the_question(tmp_path: Path) -> None:
    broken = blobs(0)
    broken[0][3, 1] = np.nan
    write_store(tmp_path / "store", {"bad": broken})
    run = run_of(tmp_path / "store", tmp_path / "run", draws=2, specs=[HeldOutC()])
    assert set(run.records["c_selection"].to_pylist()) == {"held-out"}
    assert run.records["C"].null_count == len(run.records)
    assert pc.all(pc.is_null(run.records["mcc"])).as_py()
