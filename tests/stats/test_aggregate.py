from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.run.record import Record, to_table
from geneb_jax.stats.aggregate import aggregate, category_means, macro_micro, task_scores
from geneb_jax.status import Status

SUITE = {"a1": "A", "a2": "A", "b1": "B", "c1": "C"}


def record(
    task: str, seed: int, mcc: float | None, regime: str = "10shot", encoder: str = "e", **more: object
) -> Record:
    status = Status.BAD_DATA if mcc is None else Status.CONVERGED
    fields: dict[str, object] = {
        "record_id": f"{encoder}{task}{regime}{seed}",
        "encoder": encoder,
        "encoder_digest": encoder * 8,
        "suite": "s",
        "suite_version": "1",
        "task": task,
        "category": SUITE.get(task, "A"),
        "regime": regime,
        "seed": seed,
        "probe": "logistic",
        "probe_digest": "p",
        "C": 1.0,
        "engine": "jax",
        "dtype": "float32",
        "status": status.label,
        "mcc": mcc,
    }
    return Record(**{**fields, **more})  # type: ignore[arg-type]


def whole(encoder: str = "e", shift: float = 0.0, tasks: str = "a1 a2 b1 c1") -> list[Record]:
    values = {"a1": (0.1, 0.3), "a2": (0.5, 0.7), "b1": (0.0, 0.2), "c1": (0.9, 0.9)}
    return [
        record(task, seed, values[task][i] + shift, encoder=encoder)
        for task in tasks.split()
        for i, seed in enumerate((13, 17))
    ]


def test_seeds_first_then_categories_then_macro() -> None:
    (result,) = aggregate(task_scores(to_table(whole())), SUITE)
    assert {k: v.mean for k, v in result.categories.items()} == pytest.approx({"A": 0.4, "B": 0.1, "C": 0.9})
    assert result.macro == pytest.approx((0.4 + 0.1 + 0.9) / 3)
    assert result.micro == pytest.approx((0.2 + 0.6 + 0.1 + 0.9) / 4)
    assert not result.partial


def test_spread_is_that_of_the_aggregate_draw_by_draw() -> None:
    (result,) = aggregate(task_scores(to_table(whole())), SUITE)
    first, second = (0.3 + 0.0 + 0.9) / 3, (0.5 + 0.2 + 0.9) / 3
    assert result.macro_std == pytest.approx(np.std([first, second], ddof=1))
    scores = {s.task: s for s in task_scores(to_table(whole()))}
    assert scores["a1"].std == pytest.approx(np.std([0.1, 0.3], ddof=1))


def test_full_data_has_no_spread() -> None:
    rows = [record("a1", seed, 0.5, regime="full") for seed in (13, 17)]
    (result,) = aggregate(task_scores(to_table(rows)), {"a1": "A"})
    assert result.macro_std is None
    assert task_scores(to_table(rows))[0].std is None


def test_a_partial_suite_says_what_is_missing() -> None:
    (result,) = aggregate(task_scores(to_table(whole(tasks="a1 c1"))), SUITE)
    assert result.partial
    assert result.missing == ("a2", "b1")
    assert (result.num_tasks, result.num_in_suite) == (2, 4)
    assert (len(result.categories), result.num_categories_in_suite) == (2, 3)
    assert (result.categories["A"].num_tasks, result.categories["A"].num_in_suite) == (1, 2)
    assert result.macro == pytest.approx((0.2 + 0.9) / 2)


def test_a_task_without_a_score_is_missing_and_a_failed_draw_is_left_out() -> None:
    rows = [record("a1", 13, 0.4), record("a1", 17, None), record("a2", 13, None), record("a2", 17, None)]
    scores = {s.task: s for s in task_scores(to_table(rows))}
    assert scores["a1"].mean == pytest.approx(0.4)
    assert scores["a1"].marks == {"bad_data"}
    (result,) = aggregate(scores.values(), {"a1": "A", "a2": "A"})
    assert result.missing == ("a2",)
    assert result.statuses[Status.BAD_DATA] == 3


def test_gain_counts_from_the_best_floor_over_the_same_tasks() -> None:
    rows = whole("e", 0.05) + whole("k", 0.0) + whole("l", -0.1) + whole("m", 0.3, tasks="a1 b1")
    found = {a.series.encoder: a for a in aggregate(task_scores(to_table(rows)), SUITE, floors=["k" * 8, "l" * 8])}
    assert found["e"].gain == pytest.approx(0.05)
    assert found["k"].gain == pytest.approx(0.0)
    assert found["l"].gain == pytest.approx(-0.1)
    assert found["m"].gain is None  # over other tasks: nothing to compare with


def test_the_best_macro_comes_first_within_its_regime() -> None:
    rows = whole("e", 0.0) + whole("f", 0.1) + [record("a1", 13, None, encoder="g")]
    assert [a.series.encoder for a in aggregate(task_scores(to_table(rows)), SUITE)] == ["f", "e", "g"]


@pytest.mark.parametrize("regime", ["full", "10shot", "1shot"])
def test_the_published_board_recomputes_from_its_tasks(shared_published: Path, regime: str) -> None:
    with (shared_published / "tasks.csv").open() as handle:
        categories = {row["id"]: row["category"] for row in csv.DictReader(handle)}
    assert len(categories) == 100
    with (shared_published / f"mcc_per_task_{regime}.csv").open() as handle:
        per_task = {row.pop("model"): {k: float(v) for k, v in row.items()} for row in csv.DictReader(handle)}
    with (shared_published / "leaderboard_categories.csv").open() as handle:
        board = {row["model"]: row for row in csv.DictReader(handle) if row["regime"] == regime}
    assert per_task.keys() == board.keys()
    for model, values in per_task.items():
        both = macro_micro(values, categories)
        assert both is not None
        # published to five or six decimals
        assert both == pytest.approx((float(board[model]["macro_MCC"]), float(board[model]["micro_MCC"])), abs=1.5e-5)
        for category, mean in category_means(values, categories).items():
            assert mean == pytest.approx(float(board[model][category]), abs=1.5e-5)
