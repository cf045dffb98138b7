"""`geneb analyse` and `geneb recommend` as they are typed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from geneb_jax.published import models, task_mcc, tasks
from geneb_jax.run import Run

FAST = ("--resamples", "200")


def test_the_board_is_analysed_without_a_run(geneb):
    status, shown = geneb("analyse", "--sizes", "paper")
    assert status == 0
    for words in ("0.565", "without Evo-1-131k", "0.488", "13 tasks have a standard deviation", "30 pairs"):
        assert words in shown
    assert "survive" not in shown  # published points are not tested
    status, shown = geneb("analyse", "--what", "scale,reversals", "--json")
    found = json.loads(shown)
    assert (found["scale"][0]["rho"]["low"], round(found["scale"][0]["rho"]["value"], 3)) == (None, 0.573)
    assert found["reversals"]["num_models"] == 36
    assert [one["scope"] for one in found["reversals"]["by_scope"]][:3] == ["macro", "micro", "Histone Mod."]
    parts = json.loads(geneb("analyse", "--what", "few-shot,leads", "--few", "1shot", "--json")[1])
    assert (len(parts["few-shot"]["categories"]), len(parts["few-shot"]["models"]), len(parts["leads"])) == (13, 40, 15)
    wider = json.loads(geneb("analyse", "--what", "reversals", "--ratio", "1.01", "--json")[1])["reversals"]
    assert 36 * 35 / 2 >= wider["num_pairs"] > found["reversals"]["num_pairs"]
    assert geneb("analyse", "--what", "scales")[1].count("did you mean scale") == 1
    assert geneb("analyse", "--what", "graph")[0] == 2
    assert geneb("analyse", "--size", "GROVER=1M")[0] == 2
    assert geneb("analyse", "--few", "full")[0] == 2


def test_runs_are_analysed_alone_and_beside_the_board(geneb, board_run: Run, tmp_path):
    sizes = ("--size", "strong=1M", "--size", "middling=100M", "--size", "weak=50B")
    status, shown = geneb("analyse", board_run.path, *sizes, *FAST)
    assert status == 0
    assert "survive" in shown
    assert "Left out: pairs. Reason: no pair of the paper has both of its models here" in shown
    found = json.loads(geneb("analyse", board_run.path, *FAST, "--what", "pareto,tiers,wins", "--json")[1])
    assert set(found["left_out"]) == {"pareto", "tiers"}  # nobody stated a size
    assert "--size NAME=NUMBER" in found["left_out"]["tiers"]
    assert geneb("analyse", board_run.path, *FAST, "--what", "pareto")[0] == 2
    edges = tmp_path / "edges.csv"
    edges.write_text("model,baseline\nstrong (yours),GROVER\n")
    status, shown = geneb("analyse", board_run.path, "--published", *sizes, *FAST, "--edges", edges)
    assert status == 0
    shown = " ".join(shown.split())  # however the lines are broken
    assert "Partial suite: 4 of the board's 100 tasks, in 2 of its 13 categories" in shown
    assert "No model of the board, or not by its registry entry: middling, strong, weak." in shown
    assert "stop at" not in shown  # this run's engine is the stock harness
    assert "strong (yours)" in shown
    assert "1 of 903 pairs of models were ever compared" in shown
    assert geneb("analyse", board_run.path, "--size", "nobody=1M")[0] == 3


def test_three_models_for_splice_sites_with_ten_labels_each(geneb):
    status, shown = geneb("recommend", "--category", "splice sites", "--regime", "10shot")
    assert status == 0
    assert shown.startswith("3 to try for Splice Sites with 10 labelled examples per class (10shot)")
    assert geneb("recommend", "--category", "splice", "--regime", "10shot")[1] == shown
    status, shown = geneb("recommend", "--category", "m")  # macro, micro, and Mouse Enh.
    assert (status, "there is no category called 'm'" in shown) == (3, True)
    status, shown = geneb("recommend", "--category", "Splice Sites", "--regime", "10shot", "--json")
    found = json.loads(shown)
    assert [one["verdict"] for one in found["candidates"][:2]] == ["best", "open"]
    assert found["candidates"][0]["model"] == found["best"]
    assert found["within"] == 0.02
    assert all(one["steps"][-1].startswith("geneb embed ") for one in found["candidates"])
    # a score that its author reports stands marked, and never first
    (unchecked,) = found["unchecked"]
    assert unchecked == next(model for model, one in models().items() if not one.official)
    shown = geneb("recommend", "--count", "41")[1]
    assert f"{models()[unchecked].display}§" in shown
    assert "§ score from the model's author, checked by nobody" in shown


def test_limits_leave_out_what_is_not_stated(geneb):
    limits = ("--max-params", "500M", "--max-memory", "2GB", "--licence", "permissive,cc-by-nc-4.0")
    found = json.loads(geneb("recommend", *limits, "--json")[1])
    held = {one["model"]: one for one in found["candidates"]}
    for model, one in models().items():
        fits = one.params_board <= 500e6 and one.params_board * 4 * 1.5 <= 2e9
        allowed = one.licence is not None and "nc-sa" not in one.licence
        assert (model in held) is (fits and allowed), model
    assert found["left_out"]["GROVER"] == "licence not stated"
    assert geneb("recommend", "--max-params", "1k")[0] == 2
    # a category of one task leaves everything open, whatever counts as good
    found = json.loads(geneb("recommend", "--category", "Coding/NC", "--within", "0.5", "--json")[1])
    assert {one["verdict"] for one in found["candidates"]} == {"best", "open"}
    assert len(found["relatives"]) == 3
    assert geneb("recommend", "--within", "-1")[0] == 2


def test_of_a_run_the_verdicts_come_from_its_resamples(geneb, board_run: Run):
    found = json.loads(geneb("recommend", board_run.path, "--category", "splice sites", *FAST, "--json")[1])
    assert found["tasks"] is None
    for one in found["candidates"]:
        if one["verdict"] == "yes":
            assert one["chance"] >= 0.95
        if one["verdict"] == "no":
            assert one["chance"] <= 0.05
            assert one["test"]["survives"]
    assert {one["verdict"] for one in found["candidates"]} >= {"best", "no"}
    wide = json.loads(geneb("recommend", board_run.path, "--within", "2", *FAST, "--json")[1])
    assert {one["verdict"] for one in wide["candidates"]} == {"best", "yes"}
    # a size that nobody stated meets no limit
    status, shown = geneb("recommend", board_run.path, "--max-params", "1B", *FAST)
    assert (status, "size not stated" in shown) == (2, True)


def test_a_run_is_placed_in_every_category_and_says_how_it_differs(geneb, board_run: Run):
    status, shown = geneb("compare", board_run.path, "--published", *FAST)
    assert status == 0
    assert "full: macro over 4 of the board's 100 tasks" in shown
    assert "10shot: each category" in shown
    assert "Partial suite: 4 of the board's 100 tasks" in shown
    found = json.loads(geneb("compare", board_run.path, "--published", *FAST, "--json")[1])
    row = next(r for r in found["places"] if (r["name"], r["regime"]) == ("Splice Sites", "full"))
    held = [task.id for task in tasks() if task.category == "Splice Sites"][:2]
    board = sorted((np.mean([task_mcc("full")[m][t] for t in held]) for m in models()), reverse=True)
    assert row["num_tasks"] == 2
    assert row["place"] == 1 + sum(score > row["estimate"] for score in board)
    assert row["behind"] == pytest.approx(board[0] - row["estimate"])
    assert row["place_low"] <= row["place"] <= row["place_high"]
