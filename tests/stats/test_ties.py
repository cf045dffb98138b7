"""Scores that only rounding tells apart are equal, wherever scores rank, sort, count or name something."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from geneb_jax.published import leaderboard, models, task_mcc
from geneb_jax.stats.aggregate import Series, TaskScore, aggregate
from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.few_shot import reranks
from geneb_jax.stats.analysis.macro_micro import macro_micro_agreement
from geneb_jax.stats.analysis.pareto import pareto
from geneb_jax.stats.analysis.reversals import reversals
from geneb_jax.stats.analysis.variance import variable_tasks
from geneb_jax.stats.analysis.wins import wins
from geneb_jax.stats.placing import places as board_places
from geneb_jax.stats.placing import published_means
from geneb_jax.stats.rankings import kendall, membership, ranks, spearman
from geneb_jax.stats.ties import above, best_first, comparable, leaders, order_of, reaches
from geneb_jax.stats.uncertainty import Score

THIRDS = (0.1, 0.2, 0.3)
"""In any order these add up to one of two neighbouring numbers."""


def board(
    scores: dict[str, list[float]], regime: str = "full", few: dict[str, list[float]] | None = None
) -> ScoreBoard:
    tables = {regime: np.array(list(scores.values()))}
    if few is not None:
        tables["10shot"] = np.array(list(few.values()))
    t = tables[regime].shape[1]
    return ScoreBoard(
        models=tuple(scores),
        names={name: name for name in scores},
        tasks=tuple(f"t{i}" for i in range(t)),
        categories=tuple(f"c{i}" for i in range(t)),
        scores=tables,
        sizes={name: 10 ** (i + 1) for i, name in enumerate(scores)},
    )


ORDERS = {f"m{i}": list(order) for i, order in enumerate(permutations(THIRDS))}


def test_the_mean_of_the_same_scores_in_another_order_is_equal() -> None:
    means = np.array([np.array(order).cumsum()[-1] / 3 for order in ORDERS.values()])
    assert len(set(means.tolist())) > 1, "without a last bit that differs nothing is tested"
    assert len(set(comparable(means).tolist())) == 1
    np.testing.assert_array_equal(ranks(means), np.full(6, 3.5))
    np.testing.assert_array_equal(membership(means, 3), np.full(6, 0.5))
    assert leaders(means).all()
    assert np.isnan(spearman(means, np.arange(6.0)))
    assert np.isnan(kendall(means, np.arange(6.0)))
    assert best_first(zip(means, "fedcba", strict=True), lambda x: x[0], lambda x: x[1])[0][1] == "a"
    assert order_of(np.array([0.1, means[0], means[1]]), ["x", "z", "y"]).tolist() in ([2, 1, 0],)
    # what is further apart than rounding stays apart
    assert ranks(np.array([0.5, 0.5 + 1e-9])).tolist() == [2, 1]


def test_no_fraction_of_counts_lies_between_two_steps() -> None:
    """1/8192 does at twelve decimals: its neighbours in float64 would be rounded to two numbers."""
    for rows in (8192, 65_536, 3 * 8192, 99_999, 40 * 4096):
        share = np.arange(1, rows, max(1, rows // 500)) / rows
        for neighbour in (np.nextafter(share, 0), np.nextafter(share, 1)):
            np.testing.assert_array_equal(comparable(share), comparable(neighbour))
    assert len({round(x, 12) for x in (np.nextafter(1 / 8192, 0), np.nextafter(1 / 8192, 1))}) == 2


def test_limits_hold_up_to_rounding() -> None:
    assert reaches(0.1 + 0.2, 0.3)
    assert reaches(0.3, 0.1 + 0.2)
    assert not above(0.1 + 0.2, 0.3)
    assert reaches(1 - 0.9, 0.1)  # p = 0.1 is significant at a level of 90 %
    assert above(0.3 + 1e-9, 0.3)
    assert not reaches(0.3 - 1e-9, 0.3)


@pytest.mark.parametrize("turned", [False, True])
def test_analyses_call_equal_models_equal_whatever_the_order(turned: bool) -> None:
    scores = dict(reversed(ORDERS.items())) if turned else ORDERS
    one = replace(board(scores), sizes={name: 10 ** (int(name[1]) + 1) for name in scores})
    found = reversals(one, one.models)
    assert (found.count.value, found.found) == (0, ())
    assert [p.model for p in pareto(one) if p.on_frontier] == ["m0"]
    moved = macro_micro_agreement(one).moved
    assert [m.model for m in moved] == sorted(scores)
    assert {m.macro_rank for m in moved} == {3.5}
    assert np.isnan(macro_micro_agreement(one).rho.value)


def test_places_in_a_task_of_equal_scores_go_by_name() -> None:
    one = board({name: [0.0 if name == "b" else 0.9, 0.5] for name in "dcba"})
    (task,) = variable_tasks(one, ddof=0)
    assert (task.first, task.last) == (("a", "c", "d"), ("b", "a", "c"))
    tied = {w.model: w.count.value for w in wins(one)}
    assert tied == {"a": 2, "c": 2, "d": 2, "b": 1}


def test_a_shared_lead_is_no_other_winner() -> None:
    full = {"b": [0.1 + 0.2], "a": [0.3]}
    found = reranks(board(full, few={"b": [0.3], "a": [0.1 + 0.2]}))
    assert [r.changed for r in found] == [False]
    found = reranks(board(full, few={"b": [0.5], "a": [0.1]}))
    assert [(r.full, r.few, r.changed) for r in found] == [("b", "b", False)]


def test_the_leaderboard_of_a_run_orders_equal_encoders_by_name() -> None:
    categories = {f"t{i}": f"c{i}" for i in range(3)}
    held = [
        TaskScore(Series(name, name, "p", "p", 1.0, "jax", "float32"), "full", f"t{i}", f"c{i}", {13: value}, {})
        for name, order in reversed(ORDERS.items())
        for i, value in enumerate(order)
    ]
    assert [a.series.encoder for a in aggregate(held, categories)] == sorted(ORDERS)


def test_a_score_equal_to_a_published_one_shares_its_place() -> None:
    tasks = dict.fromkeys(list(task_mcc("full")[next(iter(models()))])[:7], "x")
    own = published_means("full", tasks)["macro", "macro"]
    name, value = list(own.items())[4]
    series = Series("e", "e", "p", "p", 1.0, "jax", "float32")
    for close in (np.nextafter(value, 0), value, np.nextafter(value, 1)):
        score = Score("macro", "macro", series, "full", "mcc", float(close), value - 1, value + 1, 0.1, 7, 100)
        (place,) = board_places([score], {(series, "full"): tasks})
        assert place.place == 1 + sum(v > value for v in own.values())
        assert place.below is not None
        assert place.below[0] == name
    assert len(leaderboard("full")) == place.num_models
