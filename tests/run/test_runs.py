"""Runs that overlap are one union, whatever their order: in every command, and each number belongs to the others."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from click.testing import CliRunner

from geneb_jax.cli.main import main
from geneb_jax.errors import RunError, UsageError
from geneb_jax.metric.reference import reference_scores
from geneb_jax.published import tasks
from geneb_jax.run import Run
from geneb_jax.run.runs import Runs
from geneb_jax.run.whole import embed_and_probe
from geneb_jax.stats.samples import task_samples
from geneb_jax.task import load_suite
from tests.run.helpers import forget_hashes, write_task

FEW = ("--resamples", "200")
BOARD = [task.id for task in tasks() if task.category in ("Splice Sites", "DNA Methyl.")]
TASKS = (BOARD[0], BOARD[1], BOARD[-1])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of board tasks that share an encoder, and of it one of three few-shot draws."""
    path = tmp_path_factory.mktemp("overlap")
    for number, task in enumerate(TASKS):
        write_task(path / "suite", task, seed=number)
    suite = load_suite(str(path / "suite"))
    for name, encoders, seeds in (("b", ("kmer:1", "kmer:2"), (13, 17)), ("a", ("kmer:2", "composition"), (42, 17))):
        embed_and_probe(
            encoders, suite, path / name, store=path / "store", seeds=seeds, regimes=("full", "1shot", "10shot"),
            engine="sklearn", progress=False,
        )  # fmt: skip
    return path


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def _as_program(words: tuple[str, ...]) -> None:
    main(list(words))


def geneb(*arguments: object) -> tuple[int, str]:
    """Exit status and everything that was printed."""
    words = [str(one) for one in arguments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        done = CliRunner().invoke(_as_program, words, standalone_mode=False)
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done.exit_code, done.output


COMMANDS: dict[str, tuple[str, ...]] = {
    "bootstrap": ("--scope", "macro,micro,category,task", "--source", "both", *FEW),
    "bootstrap --json": ("--source", "draws", "--json", *FEW),
    "compare": ("--pairs", "--scope", "macro,task", *FEW),
    "compare --gain": FEW,
    "compare --published": FEW,
    "curves": ("--reach", "0.1", *FEW),
    "sensitivity": FEW,
    "leakage": ("--suite", "SUITE", *FEW),
    "analyse": FEW,
    "analyse --published": FEW,
    "recommend": FEW,
    "report": ("--out", "OUT", "--format", "html,markdown,csv,latex", *FEW),
    "report --published": ("--out", "OUT", "--format", "csv", "--no-intervals"),
    "site": ("--out", "OUT", *FEW),
    "export --format mteb": ("--model", "kmer:2", "--out", "OUT"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_depends_on_the_order_of_overlapping_runs(place: Path, tmp_path: Path, command: str) -> None:
    found = []
    for order in (("a", "b"), ("b", "a")):
        out = tmp_path / "-".join(order)
        words = [
            {"OUT": str(out), "SUITE": str(place / "suite")}.get(word, word)
            for word in (*command.split(), *COMMANDS[command])
        ]
        status, shown = geneb(words[0], *(place / name for name in order), *words[1:])
        assert status == 0, shown
        made = {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
        found.append((shown.replace(str(out), "OUT"), made))
    assert len(found[0][0]) > 10
    assert found[0] == found[1]


def scores_of(shown: str, regime: str) -> dict[str, tuple[float, float, float]]:
    return {
        row["series"]["encoder"]: (row["estimate"], row["low"], row["high"])
        for row in json.loads(shown)
        if (row["regime"], row["scope"]) == (regime, "macro")
    }


def test_a_score_is_the_mean_over_the_union_of_draws_and_its_interval_is_of_the_same(place: Path) -> None:
    runs = Runs.of([place / "a", place / "b"])
    rows = {
        r["record_id"]: r for run in (Run.open(place / "a"), Run.open(place / "b")) for r in run.records.to_pylist()
    }
    assert sorted(runs.records["record_id"].to_pylist()) == sorted(rows)
    shared = set(Run.open(place / "a").records["record_id"].to_pylist()) & set(
        Run.open(place / "b").records["record_id"].to_pylist()
    )
    assert shared  # else nothing overlaps, and the rest shows nothing
    by_task = {
        task: np.mean([r["mcc"] for r in rows.values()
                       if (r["task"], r["encoder"], r["regime"]) == (task, "kmer:2", "1shot")])
        for task in TASKS
    }  # fmt: skip
    kinds = runs.categories
    expected = np.mean([np.mean([by_task[t] for t in TASKS if kinds[t] == kind]) for kind in {kinds[t] for t in TASKS}])
    status, shown = geneb("bootstrap", place / "a", place / "b", "--json", *FEW)
    assert status == 0
    estimate, low, high = scores_of(shown, "1shot")["kmer:2"]
    assert estimate == pytest.approx(expected, abs=1e-12)
    assert low <= estimate <= high
    for sample in task_samples(runs):
        for unit in sample.units:
            draws = {"kmer:2": (13, 17, 42), "kmer:1": (13, 17), "composition": (17, 42)}[unit.series.encoder]
            assert unit.seeds == (draws if unit.regime != "full" else (0,))
    status, _ = geneb("report", place / "b", place / "a", "--out", place / "page", "--format", "csv", *FEW)
    assert status == 0
    with (place / "page" / "leaderboard.csv").open() as file:
        row = next(r for r in csv.DictReader(file) if (r["encoder"], r["regime"]) == ("kmer:2", "1shot"))
    assert [float(row[name]) for name in ("macro", "macro_low", "macro_high")] == pytest.approx([estimate, low, high])


def copy(place: Path, name: str, to: Path) -> Path:
    shutil.copytree(place / name, to)
    return to


def change_records(run: Path, change: Any) -> None:
    rows = Run.open(run).records
    pq.write_table(change(rows), run / "records.parquet")
    forget_hashes(run)


def with_column(table: Any, name: str, values: list[Any]) -> Any:
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))


def change_meta(run: Path, change: Any) -> None:
    found = json.loads((run / "run.json").read_text())
    change(found)
    (run / "run.json").write_text(json.dumps(found))


def both_refuse(first: Path, second: Path, *words: str, kind: type[Exception] = RunError) -> None:
    messages = []
    for order in ((first, second), (second, first)):
        with pytest.raises(kind) as refused:
            Runs.of(order)
        messages.append(str(refused.value))
    assert messages[0] == messages[1]
    for word in words:
        assert word in messages[0]
    status, shown = geneb("compare", first, second, *FEW)
    assert (status, "these runs" in shown or "two runs" in shown) == (3, True), shown


@pytest.mark.parametrize("digest", ["test_digest", "train_digest", "n_test"])
def test_other_data_under_one_name_are_refused_by_name(place: Path, tmp_path: Path, digest: str) -> None:
    other = copy(place, "a", tmp_path / "other")

    def change(meta: dict[str, Any]) -> None:
        meta["tasks"][TASKS[1]][digest] = 99 if digest == "n_test" else "0" * 64

    change_meta(other, change)
    both_refuse(place / "b", other, TASKS[1], "other and b" if "other" < "b" else "other", "rows under one task's name")


def test_one_task_in_two_categories_is_refused_by_name(place: Path, tmp_path: Path) -> None:
    other = copy(place, "a", tmp_path / "other")
    change_meta(other, lambda meta: meta["suite"]["categories"].update({TASKS[0]: "Elsewhere"}))
    both_refuse(place / "b", other, TASKS[0], "'Elsewhere' in other", "two categories")


def shift_predictions(run: Path, rows: int) -> None:
    """Give the first test rows of every prediction of kmer:2 on one task the other class, and the scores with them."""
    opened = Run.open(run)
    encoder = next(e for e in opened.meta.encoders if e.name == "kmer:2")
    array = zarr.open_group(run / "predictions.zarr", mode="a")[f"classes/{encoder.element}/{TASKS[0]}"]
    codes = array[:]
    codes[:, :rows] = 1 - codes[:, :rows]
    array[:] = codes

    def change(table: Any) -> Any:
        again = Run.open(run)
        values = []
        for row in table.to_pylist():
            found = again.predictions(row["record_id"]) if row["encoder"] == "kmer:2" else None
            values.append(
                row["mcc"] if found is None else reference_scores(found.true, found.predicted, found.labels).mcc
            )
        return with_column(table, "mcc", values)

    change_records(run, change)


def test_one_fit_with_other_results_is_refused_and_rounding_is_said(place: Path, tmp_path: Path) -> None:
    far = copy(place, "a", tmp_path / "far")
    shift_predictions(far, 5)
    both_refuse(place / "b", far, "kmer:2", TASKS[0], "other results")
    near = copy(place, "a", tmp_path / "near")
    shift_predictions(near, 1)
    notes = [Runs.of(order).notes for order in ((place / "b", near), (near, place / "b"))]
    assert notes[0] == notes[1]
    assert "those of b, which was begun first, are shown" in notes[0][0]
    runs = Runs.of([near, place / "b"])
    ours = {r["record_id"]: r["mcc"] for r in Run.open(place / "b").records.to_pylist()}
    assert all(r["mcc"] == ours.get(r["record_id"], r["mcc"]) for r in runs.records.to_pylist())
    for command in ("bootstrap", "curves"):
        assert "slightly other predictions" in geneb(command, near, place / "b", *FEW)[1]
    geneb("report", near, place / "b", "--out", tmp_path / "page", "--no-intervals")
    assert "slightly other predictions" in (tmp_path / "page" / "report.html").read_text()
    # a score that is not that of its own predictions is no rounding
    forged = copy(place, "a", tmp_path / "forged")
    change_records(forged, lambda t: with_column(t, "mcc", [v and v / 2 for v in t["mcc"].to_pylist()]))
    both_refuse(place / "b", forged, "other results")


def test_a_fit_with_a_score_goes_before_one_without(place: Path, tmp_path: Path) -> None:
    failed = copy(place, "b", tmp_path / "failed")

    def change(table: Any) -> Any:
        for name in ("mcc", "accuracy", "macro_f1"):
            table = with_column(table, name, [None] * len(table))
        return with_column(table, "status", ["bad_data"] * len(table))

    change_records(failed, change)
    for order in ((failed, place / "b"), (place / "b", failed)):
        found = Runs.of(order).records
        assert sorted(found.to_pylist(), key=str) == sorted(Run.open(place / "b").records.to_pylist(), key=str)


def test_one_fit_under_two_names_of_its_suite_is_one(place: Path, tmp_path: Path) -> None:
    """A record's id holds the name of the suite; the fit does not depend on it."""
    renamed = tmp_path / "renamed"
    suite = tmp_path / "again"
    shutil.copytree(place / "suite", suite)
    embed_and_probe(("kmer:2", "composition"), load_suite(str(suite)), renamed, store=tmp_path / "store",
                    seeds=(42, 17), regimes=("full", "1shot", "10shot"), engine="sklearn", progress=False)  # fmt: skip
    ids = [set(Run.open(run).records["record_id"].to_pylist()) for run in (renamed, place / "a")]
    runs = Runs.of([renamed, place / "a"])
    assert not ids[0] & ids[1] or ids[0] == ids[1]
    assert len(runs.records) == len(ids[1])
    assert all(unit.regime == "full" or len(unit.draws) == 2 for s in task_samples(runs) for unit in s.units)


def test_no_run_is_an_error_and_one_named_twice_is_one(place: Path) -> None:
    with pytest.raises(UsageError, match="no run"):
        Runs.of([])
    twice = Runs.of([place / "a", Run.open(place / "a"), place / "b" / ".." / "a"])
    assert len(twice.parts) == 1
    assert twice.records.equals(Run.open(place / "a").records)
