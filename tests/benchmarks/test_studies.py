"""The simulated studies: a few of each table, and what docs/uncertainty.md says of the committed ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from benchmarks.simulated import Study, simulate, true_scores
from benchmarks.studies import markdown, tasks_table
from geneb_jax.stats.bootstrap import plain_scores

ROOT = Path(__file__).resolve().parents[2]
HELD = json.loads((ROOT / "benchmarks" / "studies.json").read_text(encoding="utf-8"))["tables"]


@pytest.mark.parametrize("study", [Study(n=4000, effect=0.4), Study(n=4000, k=4, odds=5, draws=0)])
def test_true_scores_are_the_means_of_simulated_ones(study: Study) -> None:
    found = []
    for seed in range(60):
        (sample,), true = simulate(study, seed)
        found.append(np.array(plain_scores(sample, "mcc")) - true[0])
    error = np.array(found)
    assert (np.abs(error.mean(axis=0)) < 4 * error.std(axis=0, ddof=1) / np.sqrt(60)).all()


def test_the_true_accuracy_is_the_chance_of_a_right_answer() -> None:
    study = Study(draws=0, view=0.6, fit=0.8)
    expected = norm.cdf(0.7 / np.sqrt(1 + 0.36 + 0.64))
    assert true_scores(study, np.array([0.7]), "accuracy")[0] == pytest.approx(expected, abs=1e-6)


def test_a_table_is_made_as_the_committed_one() -> None:
    rows = list(tasks_table(50))
    assert [list(row) for row in rows] == [list(row) for row in HELD["tasks"]["rows"]]
    assert all(85 < row["macro"] <= 100 for row in rows)


def test_the_page_shows_the_committed_tables() -> None:
    page = (ROOT / "docs" / "uncertainty.md").read_text(encoding="utf-8")
    for name, table in HELD.items():
        assert markdown(table["rows"]) in page, f"python -m benchmarks.studies --markdown prints another table {name}"
