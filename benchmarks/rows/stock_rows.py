"""Rows against the stock harness: GENEB's protocol, many draws; and a grid of penalties against one."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.checks import check_lanes, find_reference, value_at
from benchmarks.record import Row
from benchmarks.rows.base import Bench, Context, finish, fit, time_fit
from benchmarks.stock import stock_rivals
from benchmarks.timing import time_call
from benchmarks.workloads import full_lane

TIMED_DRAWS = {"toy": 5, "real": 50}
"""Draws on which the loop over scikit-learn is timed; the rest is scaled."""
RIVAL_REPEATS = {"toy": 1, "real": 3}


def protocol(context: Context, bench: Bench) -> Row:
    """Five seeds by three regimes of one (encoder, task), fitted and scored."""
    load = machine.load_average()
    problem, lanes = bench.problem(context), bench.lanes(context.size)
    timed = time_fit(context, problem, lanes)
    context.say("the stock harness in scikit-learn, at each thread setting")
    models: dict[str, Any] = {}
    repeats = RIVAL_REPEATS[context.size]
    rivals = stock_rivals(problem, lanes, dtypes=context.stock_dtypes, repeats=repeats, keep=models)
    context.say("correctness against the optimum")
    reference = find_reference(problem, lanes)
    check = check_lanes(problem, timed.value, reference)
    measures = {"newton_steps_full": float(timed.value[0].num_steps)}
    for dtype, model in models.items():
        # where the rival stopped: a quick rival far from the optimum did less work
        value = value_at(problem, lanes[0], model.coef_.T, model.intercept_)
        measures[f"stock_gap_{dtype}"] = value / reference.values[lanes[0]] - 1
        measures[f"stock_iterations_{dtype}"] = float(np.max(model.n_iter_))
    return finish(context, bench, problem, lanes, timed, check, rivals=rivals, measures=measures, load=load)


def draws(context: Context, bench: Bench) -> Row:
    """Many ten-shot draws; the loop is timed on some and scaled, and those are checked."""
    load = machine.load_average()
    problem, lanes = bench.problem(context), bench.lanes(context.size)
    timed = time_fit(context, problem, lanes)
    some = TIMED_DRAWS[context.size]
    context.say(f"the stock harness on {some} of {len(lanes)} draws, at each thread setting")
    rivals = stock_rivals(
        problem, lanes, dtypes=context.stock_dtypes, sample=lanes[:some], repeats=RIVAL_REPEATS[context.size]
    )
    context.say("correctness against the optimum")
    check = check_lanes(problem, timed.value[:some])
    return finish(context, bench, problem, lanes, timed, check, rivals=rivals, load=load)


def penalties(context: Context, bench: Bench) -> Row:
    """Several C at full data in one call, against one C in one call of the same engine."""
    load = machine.load_average()
    problem, lanes = bench.problem(context), bench.lanes(context.size)
    timed = time_fit(context, problem, lanes)
    one = time_call(lambda: fit(problem, full_lane()), repeats=context.repeats, clear=False)
    measures = {"one_C_s": one.median, "grid_over_one_C": timed.median / one.median}
    for lane, result in zip(lanes, timed.value, strict=True):
        measures[f"steps_at_C_{lane.spec.C:g}"] = float(result.num_steps)
    context.say("correctness against the optimum")
    check = check_lanes(problem, timed.value, find_reference(problem, lanes))
    return finish(context, bench, problem, lanes, timed, check, measures=measures, load=load)
