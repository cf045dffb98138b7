"""Rows against the machine and against other solvers: one Gram, the race to 1e-6, peak memory."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks import machine
from benchmarks.ceilings import gram_seconds
from benchmarks.checks import check_lanes, find_reference, value_at
from benchmarks.racers import race, racers
from benchmarks.record import Row
from benchmarks.rows.base import Bench, Context, finish, fit, time_fit
from benchmarks.workloads import Problem, full_lane
from geneb_jax.axes import NumpyFloat
from geneb_jax.probes import Lane, LogisticSpec

SUBOPTIMALITY = 1e-6
TOLERANCES = (1e-6, 1e-7, 1e-8, None)
"""Our tolerances, loosest first: the first whose float64 gap is small enough runs in the race."""


def gram(context: Context, bench: Bench) -> Row:
    """One full-data fit, in units of one product XᵀX of the same X in the same run."""
    load = machine.load_average()
    problem, lanes = bench.problem(context), bench.lanes(context.size)
    timed = time_fit(context, problem, lanes)
    context.say("one Gram product")
    seconds = gram_seconds(problem.X_train)
    solver = fit(problem, lanes)[0].seconds
    measures = {
        "fit_over_gram": timed.median / min(seconds.values()),
        "fit_over_gram_xla": timed.median / seconds["xla"],
        "fit_over_gram_numpy": timed.median / seconds["numpy"],
        "solver_s": solver,
        "solver_over_gram": solver / min(seconds.values()),
        "newton_steps": float(timed.value[0].num_steps),
    }
    context.say("correctness against the optimum")
    check = check_lanes(problem, timed.value)
    return finish(context, bench, problem, lanes, timed, check, measures=measures, load=load)


def relative_gap(problem: Problem, lane: Lane, best: float, coef: NumpyFloat, intercept: NumpyFloat) -> float:
    """(F - best) / best at raw coefficients, in float64."""
    coef, intercept = np.asarray(coef, np.float64), np.asarray(intercept, np.float64)
    return value_at(problem, lane, coef, intercept) / best - 1


def to_suboptimality(context: Context, bench: Bench) -> Row:
    """Seconds to a relative suboptimality of 1e-6 at full data, ours with transfer and scoring, theirs without."""
    load = machine.load_average()
    problem, (lane,) = bench.problem(context), bench.lanes(context.size)
    context.say("the optimum")
    reference = find_reference(problem, [lane])
    gap_of = partial(relative_gap, problem, lane, reference.values[lane])
    chosen, reached = lane, np.inf
    for tolerance in TOLERANCES:
        chosen = replace(lane, spec=LogisticSpec(tolerance=tolerance))
        (result,) = fit(problem, [chosen])
        if result.coef is not None and result.intercept is not None:
            reached = gap_of(result.coef, result.intercept)
        if reached <= SUBOPTIMALITY:
            break
    timed = time_fit(context, problem, [chosen])
    rivals = []
    for racer in racers(problem):
        context.say(f"{racer.name}, {racer.dtype}")
        rival = race(racer, gap_of, SUBOPTIMALITY, context.cap)
        rivals.append(rival.model_copy(update={"dtype": racer.dtype}))
    measures = {
        "our_gap": reached,
        "our_tolerance": chosen.spec.resolved_tolerance("float32"),
        "newton_steps": float(timed.value[0].num_steps),
    }
    (plain,) = full_lane()
    check = check_lanes(problem, fit(problem, [plain]), reference)
    row = finish(
        context,
        bench,
        problem,
        [chosen],
        timed,
        check,
        rivals=rivals,
        main=len(rivals),
        measures=measures,
        load=load,
    )
    if reached > SUBOPTIMALITY:
        late = f"our fit stood at {reached:.1e}, not {SUBOPTIMALITY:g}"
        row = row.model_copy(
            update={"check": check.model_copy(update={"ok": False, "trouble": [*check.trouble, late]})}
        )
    return row


def memory(context: Context, bench: Bench) -> Row:
    """Largest resident size of a fresh process that loads X and runs the whole protocol."""
    load = machine.load_average()
    problem, lanes = bench.problem(context), bench.lanes(context.size)
    timed = time_fit(context, problem, lanes)
    context.say("correctness against the optimum")
    check = check_lanes(problem, timed.value)
    return finish(context, bench, problem, lanes, timed, check, load=load, ceilings=False)
