"""The same scores in every format that `geneb report` writes."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from geneb_jax.published import leaderboard, models, task_mcc, tasks
from geneb_jax.run import Run
from geneb_jax.stats.compare import compare
from geneb_jax.stats.samples import task_samples
from tests.report.conftest import Command


def test_a_run_in_every_format(pair: Run, tmp_path: Path, geneb: Command):
    wanted = ("--format", "markdown,csv,parquet,latex", "--figures", "svg", "--resamples", "200")
    assert geneb("report", pair.path, "--out", tmp_path, *wanted)[0] == 0
    board = pq.read_table(tmp_path / "leaderboard.parquet").to_pylist()
    expected = {
        (rank.series.encoder, rank.regime): rank
        for rank in compare(task_samples([pair]), resamples=200).ranks
        if rank.scope == "macro"
    }
    assert len(board) == len(expected) == 4
    for row in board:
        rank = expected[row["encoder"], row["regime"]]
        assert row["macro"] == pytest.approx(rank.estimate)
        assert (row["rank"], row["rank_low"], row["rank_high"], row["tied"]) == (
            rank.rank, rank.rank_low, rank.rank_high, rank.tied,
        )  # fmt: skip
        assert row["macro_low"] <= row["macro"] <= row["macro_high"]
    with (tmp_path / "leaderboard.csv").open() as file:
        assert [float(line["macro"]) for line in csv.DictReader(file)] == [row["macro"] for row in board]
    for name in ("leaderboard.md", "leaderboard.tex"):
        text = (tmp_path / name).read_text()
        assert all(f"{row['macro']:.3f}" in text and f"{row['macro_low']:.3f}–" in text for row in board)
    drawn = {path.name for path in (tmp_path / "figures").glob("*.svg")}
    per_regime = {f"{name}-{regime}.svg" for name in ("ranks", "scores", "heatmap") for regime in ("full", "10shot")}
    assert drawn == per_regime | {"shots.svg"}
    assert "strong" in (tmp_path / "figures" / "ranks-full.svg").read_text()


def test_the_board_alone_and_beside_a_run(pair: Run, tmp_path: Path, geneb: Command):
    assert geneb("report", "--published", "--out", tmp_path, "--format", "parquet")[0] == 0
    rows = pq.read_table(tmp_path / "leaderboard.parquet").to_pylist()
    full = {row["encoder"]: row for row in rows if row["regime"] == "full"}
    for name, entry in leaderboard("full").items():
        row = full[models()[name].display]
        # the board's own columns are rounded to four digits
        assert (row["macro"], row["micro"]) == pytest.approx((entry.macro, entry.micro), abs=1e-3)
    assert len(pq.read_table(tmp_path / "tasks.parquet")) == 3 * len(models()) * len(tasks())

    assert (
        geneb("report", pair.path, "--published", "--out", tmp_path / "both", "--format", "csv", "--resamples", 200)[0]
        == 0
    )
    with (tmp_path / "both" / "tasks.csv").open() as file:
        both = [row for row in csv.DictReader(file) if row["regime"] == "full"]
    task = both[0]["task"]
    here = {row["encoder"]: float(row["score"]) for row in both if row["task"] == task}
    theirs = {models()[name].display: values[task] for name, values in task_mcc("full").items()}
    assert {name: here[name] for name in theirs} == theirs
    assert set(here) - set(theirs) == {"strong", "weak"}
    best = next(row for row in both if row["task"] == task and row["rank"] == "1")
    assert here[best["encoder"]] == max(here.values())


def test_wrong_words_are_answered(pair: Run, tmp_path: Path, geneb: Command):
    out = ("--out", tmp_path)
    assert "did you mean markdown" in geneb("report", "--published", *out, "--format", "markdwn")[1]
    assert geneb("report", "--published", *out, "--metric", "accuracy")[0] == 2
    (tmp_path / "audit.json").write_text('{"geneb_type": "sensitivity"}')
    status, said = geneb("report", pair.path, *out, "--audit", tmp_path / "audit.json")
    assert (status, "of the type 'sensitivity', not 'geneb.audit'" in said) == (3, True)
