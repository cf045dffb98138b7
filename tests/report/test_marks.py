"""Whatever must be said beside a score is said wherever the score stands."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.published import tasks
from geneb_jax.run import Run
from geneb_jax.run.whole import embed_and_probe
from geneb_jax.task import load_suite
from tests.report.conftest import Command
from tests.run.helpers import sequence, write_csv

LEAKY, SPARSE = [task.id for task in tasks()][:2]
FEW = ("--resamples", "200")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One task with test rows that stand in train, one of three rows of a class, which every fit gives the other."""
    path, rng = tmp_path_factory.mktemp("marks"), np.random.default_rng(0)
    for task in (LEAKY, SPARSE):
        train = [(sequence(i % 2, rng), i % 2) for i in range(60)]
        test = [(sequence(i % 2, rng), i % 2) for i in range(30)]
        if task == LEAKY:
            test[:9] = [*train[:8], (train[9][0], 1 - train[9][1])]
        else:
            train = [(text, int(i < 3)) for i, (text, _) in enumerate(train)]
        for split, rows in (("train", train), ("test", test)):
            write_csv(path / "suite" / "tasks" / task / f"{split}.csv", rows)
    embed_and_probe(("kmer:1", "kmer:2"), load_suite(str(path / "suite")), path / "run", regimes=("full", "5shot"),
                    engine="sklearn", progress=False)  # fmt: skip
    return path / "run"


def test_leaks_are_counted_without_the_sequences(run: Path) -> None:
    found = Run.open(run).meta.tasks
    assert (found[LEAKY].leaked, found[LEAKY].leaked_other_label) == (9, 1)
    assert (found[SPARSE].leaked, found[SPARSE].leaked_other_label) == (0, 0)


@pytest.mark.parametrize(
    "words",
    [
        ("bootstrap", "--scope", "macro,micro,category,task", *FEW),
        ("compare", "--scope", "macro,task", *FEW),
        ("compare", "--published", *FEW),
        ("curves", "--scope", "macro,task", *FEW),
    ],
)
def test_terminals_show_the_marks_and_say_what_they_mean(run: Path, geneb: Command, words: tuple[str, ...]) -> None:
    status, shown = geneb(words[0], run, *words[1:])
    assert status == 0, shown
    assert "‡∩" in shown
    assert "0.000 to 0.000" not in shown
    said = " ".join(shown.split())
    assert "9 of 30 test rows (30.0%) also stand in train, 1 of them with another label only" in said
    assert "test rows of the task also stand in its training rows" in said
    assert ("↓" in shown) == (words[1] != "--published")


def test_json_holds_the_names_of_the_marks(run: Path, geneb: Command) -> None:
    _, shown = geneb("bootstrap", run, "--json", "--scope", "task,macro", *FEW)
    rows, _ = json.JSONDecoder().raw_decode(shown[shown.index("[\n") :])
    for row in rows:
        assert (row["low"] is None) == (row["name"] == SPARSE)
        wanted = {"task": {LEAKY: {"leaked"}, SPARSE: {"one_class_predicted"}}}.get(row["scope"], {})
        assert wanted.get(row["name"], {"leaked", "one_class_predicted"}) <= set(row["marks"])
    assert all("short of rows" in r["marks"] for r in rows if (r["name"], r["regime"]) == (SPARSE, "5shot"))


def test_files_and_pages_show_the_marks(run: Path, tmp_path: Path, geneb: Command) -> None:
    words = ("--out", tmp_path, "--format", "html,markdown,csv,latex", "--no-intervals")
    assert geneb("report", run, *words)[0] == 0
    page, table, tex = ((tmp_path / n).read_text() for n in ("report.html", "leaderboard.md", "leaderboard.tex"))
    assert "‡∩" in table
    assert "‡∩" in tex
    assert "9 of 30 test rows" in page
    assert "9 of 30 test rows" in table
    assert "Published scores are points" not in table
    with (tmp_path / "tasks.csv").open() as file:
        marks = {(r["task"], r["regime"]): r["marks"] for r in csv.DictReader(file)}
    assert marks == {(LEAKY, "full"): "∩", (LEAKY, "5shot"): "∩", (SPARSE, "full"): "‡", (SPARSE, "5shot"): "‡↓"}


def test_a_floor_of_frequencies_says_that_it_is_weak(run: Path) -> None:
    from geneb_jax.report.board import WEAK_FLOOR
    from geneb_jax.report.tables import console, print_report

    to = console()
    with to.capture() as held:
        print_report(Run.open(run), to)
    shown = " ".join(held.get().split())
    assert "(kmer:1, kmer:2)" in shown
    assert WEAK_FLOOR in shown
