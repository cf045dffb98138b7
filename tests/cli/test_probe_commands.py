from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from geneb_jax.cli.main import main
from geneb_jax.cli.options import parse_size
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
    assert "10shot: the probe is trained on 10 sequences per class, drawn at random" in shown
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


def test_a_study_is_printed_in_few_lines_that_name_regime_and_C(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--engine", "sklearn", "--regimes", "2shot,full", "--draws", "30", "--C", "0.1,10", "--tasks", "a"]
    assert geneb("probe", store, *options, "--out", tmp_path / "run") == 0
    shown = capsys.readouterr().out
    assert "C = 0.1, 10 (sklearn, float64)" in shown
    lines = [line.split() for line in shown.splitlines()]
    for C in ("0.1", "10"):
        (row,) = [line for line in lines if line[:2] == ["toy", C] and "30" in line]
        assert row[3].startswith("±")
    assert max(map(len, shown.splitlines()[:-1])) <= 100
    assert len(lines) < 40
    assert len(Run.open(tmp_path / "run").records) == 2 * 30 + 2
    assert geneb("probe", store, *options, "--out", tmp_path / "run", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    few = next(a for a in report["aggregates"] if a["regime"] == "2shot")
    assert few["num_draws"] == {"fewest": 30, "most": 30}
    assert few["C_chosen"] is None


def test_a_chosen_C_is_shown_and_one_that_could_not_be_is_marked(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--engine", "sklearn", "--regimes", "1shot,5shot,full", "--draws", "3", "--C", "auto:0.1,1,10"]
    assert geneb("probe", store, *options, "--out", tmp_path / "run") in (0, 4)
    shown = capsys.readouterr().out
    assert "C = auto" in shown
    assert "C chosen on held-out training rows" in shown
    assert "§ 6 fits with too few rows per class to hold any out: no C was chosen, C = 1 was used." in shown
    assert max(map(len, shown.splitlines()[:-1])) <= 100
    geneb("probe", store, *options, "--out", tmp_path / "run", "--json")
    report = json.loads(capsys.readouterr().out)
    by_regime = {a["regime"]: a for a in report["aggregates"]}
    assert by_regime["1shot"]["C_default"] == 6
    assert by_regime["1shot"]["C_chosen"] == {}
    assert sum(by_regime["5shot"]["C_chosen"].values()) == 6
    assert sum(by_regime["full"]["C_chosen"].values()) == 2
    assert by_regime["full"]["C"] is None


def test_options_of_the_probe_reach_it(store: Path, tmp_path: Path) -> None:
    flags = ["--standardize", "--balanced", "--no-intercept"]
    options = ["--engine", "sklearn", "--regimes", "full", "--draws", "1", "--C", "2,auto"]
    assert geneb("probe", store, *options, *flags, "--out", tmp_path / "run") == 0
    fixed, chosen = Run.open(tmp_path / "run").meta.settings.probes
    for probe in (fixed, chosen):
        assert (probe["standardize"], probe["balanced"], probe["fit_intercept"]) == (True, True, False)
        assert probe["name"] == "logistic-standardized-balanced-no-intercept"
    assert (fixed["C"], chosen["C"], chosen["C_grid"]) == (2.0, "auto", [0.01, 0.1, 1.0, 10.0, 100.0])


def test_a_memory_budget_changes_how_and_not_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_store(tmp_path / "store", {"a": blobs(1, n=3000, d=40)})
    options = ["--regimes", "full", "--draws", "1", "--json"]
    found = []
    for budget in ("2MiB", "1GB"):
        out = tmp_path / budget
        assert geneb("probe", tmp_path / "store", *options, "--memory-budget", budget, "--out", out) == 0
        found.append(json.loads(capsys.readouterr().out)["tasks"][0]["mean"])
    assert found[0] == pytest.approx(found[1], abs=2e-3)
    # far too small: the record says what would be enough, and the command goes on
    assert geneb("probe", tmp_path / "store", *options, "--memory-budget", "9kB", "--out", tmp_path / "tiny") == 4
    assert "allow at least" in json.loads(capsys.readouterr().out)["tasks"][0]["message"]


@pytest.mark.parametrize(
    ("text", "size"), [("8GiB", 8 * 2**30), ("500MB", 500_000_000), (" 2 kib ", 2048), ("77", 77), (None, None)]
)
def test_sizes_are_read(text: str | None, size: int | None) -> None:
    assert parse_size(text, "--memory-budget") == size


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
        (["--C", "0"], 3, "C must be a positive number"),
        (["--C", "1,1.0"], 2, "the probe logistic with C = 1 was given twice"),
        (["--C", ""], 2, "--C is empty"),
        (["--C", "auto:"], 2, "--C cannot be read: auto:"),
        (["--C", "auto,1"], 2, "--C cannot be read: auto,1"),
        (["--C", "auto:1,x"], 2, "--C auto: takes a number or several with commas, not 'x'"),
        (["--C", "auto:1,0"], 3, "C must be a positive number"),
        (["--C", "auto:1,1"], 3, "a C to choose from was given twice"),
        (["--draws", "0"], 2, "the number of draws must be at least 1, not 0"),
        (["--draws", "many"], 2, "'many' is not a valid integer"),
        (["--draws", "5", "--seeds", "1,2"], 2, "--draws and --seeds were both given"),
        (["--memory-budget", "8 bananas"], 2, "--memory-budget takes a size such as 8GiB or 500MB, not '8 bananas'"),
        (["--memory-budget", "0"], 2, "--memory-budget takes a size"),
        (["--memory-budget", "1GB", "--engine", "sklearn"], 2, "--memory-budget has no effect with --engine sklearn"),
        (["--solver", "newton", "--engine", "sklearn"], 2, "--solver has no effect with --engine sklearn"),
        (["--key", "-1"], 2, "the key must be a whole number from 0 up, not -1"),
        (["--seeds", "-4"], 2, "a seed must lie between 0 and 2**32 - 1, not -4"),
        (["--seeds", "3,4,3"], 2, "the seed 3 was given twice"),
        (["--seeds", ""], 2, "no seed was given"),
        (["--regimes", "1shot,full,1-shot"], 2, "the regime 1shot was given twice"),
        (["--regimes", ","], 2, "no regime was given"),
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
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (full,) = re.findall(r"^full: the probe is trained on .*\n(?:.+\n)+", readme, re.MULTILINE)
    assert full in done.stdout
    assert "What to try next" in done.stdout
    run = Run.open(tmp_path / "first")
    assert len(run.records) == 4 * 3 * 15
    assert set(run.records["status"].to_pylist()) == {"converged"}


def test_probe_types_are_named_in_the_records_and_have_their_own_c(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    types = "logistic,svm,ridge:alpha=4,centroid,knn:k=1:metric=cosine"
    options = ["--regimes", "full,1shot", "--seeds", "1,2", "--C", "0.1,10"]
    assert geneb("probe", store, "--probe", types, *options, "--engine", "sklearn", "--out", tmp_path / "theirs") == 0
    assert "centroid" in capsys.readouterr().out
    assert geneb("probe", store, "--probe", types, *options, "--out", tmp_path / "ours") == 0
    ours, theirs = (Run.open(tmp_path / name).records.to_pylist() for name in ("ours", "theirs"))
    assert {(r["probe"], r["C"]) for r in ours} == {
        ("logistic", 0.1), ("logistic", 10), ("svm", 0.1), ("svm", 10), ("ridge", 0.125), ("centroid", None),
        ("knn-k=1-metric=cosine", None),
    }  # fmt: skip
    assert len({r["probe_digest"] for r in ours}) == 7
    assert all(r["c_selection"] == "fixed" for r in ours)
    right = {(r["task"], r["probe_digest"], r["regime"], r["seed"]): r["mcc"] for r in theirs}
    assert len(right) == len(ours)
    for r in ours:
        assert r["mcc"] == pytest.approx(right[r["task"], r["probe_digest"], r["regime"], r["seed"]], abs=0.1)


def test_c_of_every_type_with_a_penalty_can_be_chosen(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--regimes", "5shot", "--seeds", "1", "--C", "auto:0.1,10", "--engine", "sklearn"]
    assert geneb("probe", store, "--probe", "ridge,svm,lda", *options, "--out", tmp_path / "run") == 0
    assert "C chosen on held-out training rows" in capsys.readouterr().out
    records = Run.open(tmp_path / "run").records.to_pylist()
    assert {(r["probe"], r["c_selection"]) for r in records} == {
        ("ridge", "held-out"), ("svm", "held-out"), ("lda", "fixed"),
    }  # fmt: skip
    assert {r["C"] for r in records if r["probe"] != "lda"} <= {0.1, 10}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--probe", "lda", "--balanced"], "are for the logistic probe"),
        (["--probe", "ridge", "--C", ","], "--C is empty"),
    ],
)
def test_options_that_a_probe_type_does_not_have_are_refused(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert geneb("probe", store, *options, "--out", tmp_path / "run") == 2
    assert words in capsys.readouterr().err


def test_run_prints_the_notes_of_embed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Letters that are cut, and a store whose vectors could not be compared since it holds other sequences only."""
    for name, seed in (("one", 1), ("two", 2)):
        write_task(tmp_path / name, "a", n=30, seed=seed)
    store = tmp_path / "store"
    assert geneb("embed", "onehot:10", "--suite", tmp_path / "one", "--store", store) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert any("cut off" in line for line in told)
    options = ["--engine", "sklearn", "--regimes", "full", "--store", store, "--json"]
    assert geneb("run", "onehot:10", "--suite", tmp_path / "one", "--out", tmp_path / "r1", *options) == 0
    shown = capsys.readouterr()
    assert [line for line in shown.err.splitlines() if line.startswith("note: ")] == told
    json.loads(shown.out)
    assert geneb("run", "onehot:10", "--suite", tmp_path / "two", "--out", tmp_path / "r2", *options) == 0
    assert "the store holds vectors of other sequences only" in capsys.readouterr().err
