"""The packaged board: complete, and every printed mean recomputes from its parts."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from geneb_jax import published
from geneb_jax.published import (
    REGIMES,
    SIZE_VERSIONS,
    categories,
    category_mcc,
    leaderboard,
    matched_pairs,
    models,
    task_mcc,
    tasks,
)


@pytest.mark.parametrize("regime", REGIMES)
def test_the_board_is_complete_and_its_means_recompute(regime: str) -> None:
    scores, rows = task_mcc(regime), leaderboard(regime)
    ids = [task.id for task in tasks()]
    assert scores.keys() == rows.keys() == models().keys()
    table = np.array([[scores[model][task] for task in ids] for model in models()])
    assert table.shape == (41, 100)
    assert np.isfinite(table).all()
    assert (np.abs(table) <= 1).all()
    kinds = np.array([task.category for task in tasks()])
    by_category = np.stack([table[:, kinds == name].mean(axis=1) for name in categories()], axis=1)
    printed = np.array([[category_mcc(regime)[model][name] for name in categories()] for model in models()])
    # tasks are printed to five decimals, means to six
    assert np.abs(by_category - printed).max() < 1e-5
    assert np.abs(printed.mean(axis=1) - [rows[model].macro for model in models()]).max() < 2e-6
    assert np.abs(table.mean(axis=1) - [rows[model].micro for model in models()]).max() < 1e-5


def test_counts_are_those_of_the_paper() -> None:
    assert Counter(task.category for task in tasks()) == {
        "Histone Mod.": 30, "Promoters": 22, "Enhancers": 8, "DNA Methyl.": 8, "Splice Sites": 7, "lncRNA": 6,
        "Mouse Enh.": 5, "TF Binding": 5, "Species Clf.": 3, "Regulatory": 2, "Virus/Phage": 2, "Coding/NC": 1,
        "Chromatin Acc.": 1,
    }  # fmt: skip
    assert len({task.id for task in tasks()}) == 100
    assert not task_mcc("5shot")
    assert not leaderboard("5shot")


def test_sizes_come_in_two_versions() -> None:
    eccdna = models()["eccdnamamba_weights"]
    assert [eccdna.size(version) for version in SIZE_VERSIONS] == [1_000_000_000, 537_000_000]
    assert [one.model for one in models().values() if one.size("paper") is None] == ["splicebert-1024nt"]
    assert all(one.size("board") for one in models().values())


def test_pairs_agree_as_often_as_stated() -> None:
    pairs = matched_pairs()
    assert len(pairs) == 30
    assert {name for pair in pairs for name in (pair.first, pair.second)} <= models().keys()
    assert {v: sum(pair.agree[v] for pair in pairs) for v in ("paper", "board", "actual")} == {
        "paper": 26, "board": 20, "actual": 18,
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["tasks", "matched_pairs", "leaderboard_categories", *(f"mcc_per_task_{r}" for r in REGIMES)]
)
def test_the_packaged_tables_are_the_transcribed_ones(name: str, shared_published: Path) -> None:
    packaged = Path(published.__file__).parent / "data" / f"{name}.csv"
    with (shared_published / f"{name}.csv").open(newline="") as theirs, packaged.open(newline="") as ours:
        assert list(csv.reader(ours)) == list(csv.reader(theirs))
