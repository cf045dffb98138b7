from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from geneb_jax.cli.main import main
from geneb_jax.run.directory import Run
from tests.run.helpers import blobs, write_csv, write_store, write_task


def geneb(*arguments: object) -> int:
    """Run the command in this process; returns its exit status."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return int(stop.value.code or 0)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_store(tmp_path / "store", {"a": blobs(1), "b": blobs(2, classes=3)})
    return tmp_path / "store"


def test_probe_prints_a_table_and_says_where_the_run_is(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert geneb("probe", store, "--engine", "sklearn", "--out", tmp_path / "run") == 0
    shown = capsys.readouterr().out
    assert "full: the probe is trained on all training sequences" in shown
    assert "10shot: the probe is trained on 10 sequences per class, 5 random draws" in shown
    assert "MCC (Matthews correlation)" in shown
    assert "Run directory" in shown
    assert len(Run.open(tmp_path / "run").records) == 30


def test_probe_json_is_json(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--engine", "sklearn", "--regimes", "full,1shot", "--seeds", "1,2", "--C", "0.1,10", "--json"]
    assert geneb("probe", store, *options, "--out", tmp_path / "run") == 0
    report = json.loads(capsys.readouterr().out)
    assert {(a["regime"], a["C"]) for a in report["aggregates"]} == {
        (r, c) for r in ("full", "1shot") for c in (0.1, 10)
    }
    assert all(not a["partial"] for a in report["aggregates"])
    task = next(t for t in report["tasks"] if t["regime"] == "1shot")
    assert set(task["draws"]) == {"1", "2"}


def test_a_partial_suite_is_marked_beside_its_aggregates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for task in ("one", "two", "three"):
        write_task(tmp_path / "suite", task, seed=len(task))
    run = tmp_path / "run"
    options = ["--suite", tmp_path / "suite", "--engine", "sklearn", "--regimes", "1shot", "--out", run]
    assert geneb("run", "kmer:2,counts=true", *options, "--tasks", "t*") in (0, 4)
    shown = capsys.readouterr().out
    assert "Partial: 2 of 3 tasks" in shown
    assert "not comparable" in shown
    assert "2/3" in shown
    assert "not in the store for kmer:2,counts=true: 1 task: one" in shown
    geneb("probe", run / "store", *options, "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["missing"] == {"kmer:2,counts=true": ["one"]}


def test_a_bad_task_lets_the_others_run_and_exits_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_task(tmp_path / "suite", "good", seed=1)
    write_csv(tmp_path / "suite" / "tasks" / "bad" / "train.csv", [("ACGT", 0), ("ACGA", 1.5)])
    write_csv(tmp_path / "suite" / "tasks" / "bad" / "test.csv", [("ACGT", 0), ("ACGA", 1)])
    options = ["--suite", tmp_path / "suite", "--engine", "sklearn", "--regimes", "full", "--out", tmp_path / "run"]
    assert geneb("run", "kmer:2,counts=true", *options) == 4
    shown = capsys.readouterr().out
    assert "✗ kmer:2,counts=true, bad:" in shown
    assert "bad_data, 5 fits" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--regimes", "3fold"], 2, "there is no regime called '3fold'"),
        (["--seeds", "one"], 2, "--seeds takes a whole number"),
        (["--C", "-1"], 3, "C must be a positive number"),
        (["--tasks", "c*"], 3, "c*"),
        (["--suite", "genebb"], 3, "did you mean geneb?"),
        (["--engine", "torch"], 2, "torch"),
    ],
)
def test_a_bad_call_stops_at_once(
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    assert geneb("probe", store, *arguments, "--out", tmp_path / "run") == code
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_other_settings_in_the_same_folder_are_refused(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [store, "--engine", "sklearn", "--out", tmp_path / "run", "--regimes", "1shot"]
    assert geneb("probe", *options) == 0
    assert geneb("probe", *options, "--C", "2") == 3
    assert "made with other settings" in capsys.readouterr().err


def test_doctor_shows_versions_devices_extras_and_data(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_task(tmp_path, "deep4mc_E.coli_4mC")
    monkeypatch.setenv("GENEB_DATA", str(tmp_path))
    assert geneb("doctor", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["versions"]["jax"]
    assert facts["devices"] == ["cpu:cpu"] * len(facts["devices"])
    assert facts["data"]["tasks_found"] == 1
    assert geneb("doctor") == 0
    assert "GENEB_DATA holds 1 of the 100 tasks" in capsys.readouterr().out
    assert geneb("doctor", "--x64") == 2


def test_doctor_parity_prints_the_agreement(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert geneb("doctor", "--parity", store, "--tasks", "a", "--x64") == 0
    shown = capsys.readouterr().out
    assert "All within the limits." in shown
    assert "mean |ΔMCC| per regime, but for ties: full 0.00000" in shown
    assert geneb("doctor", "--parity", store, "--tasks", "a", "--stock", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    (lanes,) = report["lanes"].values()
    assert len(lanes) == 15
    assert report["limits"] is None


@pytest.mark.slow
def test_quickstart_ends_well_without_a_network(tmp_path: Path) -> None:
    code = "from geneb_jax.cli.main import main; main(['quickstart', '--out', 'first'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert "onehot:64" in done.stdout
    assert "What to try next" in done.stdout
    run = Run.open(tmp_path / "first")
    assert len(run.records) == 4 * 3 * 15
    assert set(run.records["status"].to_pylist()) == {"converged"}
