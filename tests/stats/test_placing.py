"""Our scores beside the published board: its means recompute, and places follow from them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.published import REGIMES, known_tasks, task_mcc
from geneb_jax.stats.aggregate import Series
from geneb_jax.stats.placing import places, published_means
from geneb_jax.stats.uncertainty import Score
from geneb_jax.task import load_suite

SERIES = Series("mine", "d", "logistic", "p", 1.0, "jax", "float32")


@pytest.mark.parametrize("regime", REGIMES)
def test_means_over_all_tasks_are_the_boards(regime: str, shared_published: Path) -> None:
    categories = {info.id: info.category for info in load_suite("geneb").tasks}
    found = published_means(regime, categories)
    assert len(found) == 1 + 13
    with (shared_published / "leaderboard_categories.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["regime"] == regime]
    for (_, name), means in found.items():
        board = {row["model"]: float(row["macro_MCC" if name == "macro" else name]) for row in rows}
        assert means.keys() == board.keys()
        # tasks are published to five decimals
        assert max(abs(means[model] - board[model]) for model in board) < 2e-5


def test_places_count_the_models_in_front() -> None:
    values = next(iter(task_mcc("full").values()))
    task = next(iter(values))
    scores = np.sort([one[task] for one in task_mcc("full").values()])[::-1]
    between = (scores[9] + scores[10]) / 2
    mine = Score("macro", "macro", SERIES, "full", "mcc", between, scores[19] - 1e-9, scores[4] + 1e-9, 0.01, 1, 100)
    (place,) = places([mine], {(SERIES, "full"): {task: "any"}})
    assert (place.place, place.place_low, place.place_high) == (11, 5, 21)
    assert place.num_models == len(scores)
    assert place.above is not None
    assert place.below is not None
    assert place.behind == pytest.approx(scores[0] - between)
    assert (place.above[1], place.below[1]) == pytest.approx((scores[9], scores[10]))
    # a task or a regime that the board does not have has no place
    assert not places([mine], {(SERIES, "full"): {task: "any", "my own": "any"}})
    assert known_tasks([task, "my own"]) == [task]
    assert not task_mcc("5shot")
