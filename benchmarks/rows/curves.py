"""Rows that draw a curve: how the cost grows with rows, width, classes, draws and penalties."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import machine
from benchmarks.checks import check_lanes, worst
from benchmarks.record import Row
from benchmarks.rows.base import Bench, Context, finish, time_fit
from benchmarks.timing import Timed
from benchmarks.workloads import (
    Problem,
    Workload,
    draw_lanes,
    load_problem,
    penalty_lanes,
    workload,
)
from geneb_jax.probes import Lane, LaneResult

CHECKED_LANES = 20
"""Of many draws only the first so many are compared with the optimum."""


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of log y over log x by least squares: cost grows like x to this power."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def _curve(
    context: Context, bench: Bench, at: Callable[[Workload, int], tuple[Workload, list[Lane]]], axis: str
) -> Row:
    load = machine.load_average()
    assert bench.points is not None
    points, checks = [], []
    last: tuple[Problem, list[Lane], Timed[list[LaneResult]]] | None = None
    for x in bench.points[context.size]:
        shape, lanes = at(workload(bench.workload_name(context.size)), x)
        problem = load_problem(shape, context.data)
        timed = time_fit(context, problem, lanes)
        checks.append(check_lanes(problem, timed.value[:CHECKED_LANES]))
        points.append(
            {axis: float(x), "median": timed.median, "min": min(timed.steady), "max": max(timed.steady)}
            | {"compile_s": timed.compile or 0.0, "steps": float(max(result.num_steps for result in timed.value))}
        )
        last = problem, lanes, timed
    assert last is not None
    xs, ys = [point[axis] for point in points], [point["median"] for point in points]
    measures = {"exponent": exponent(xs, ys), "exponent_last_two": exponent(xs[-2:], ys[-2:])}
    # the common columns hold the largest point
    return finish(context, bench, *last, worst(checks), measures=measures, points=points, load=load)


def rows(context: Context, bench: Bench) -> Row:
    """The protocol on more and more rows."""
    return _curve(context, bench, lambda w, x: (w.but(rows=x), bench.lanes(context.size)), "n")


def width(context: Context, bench: Bench) -> Row:
    """The protocol on more and more columns of the same rows."""
    return _curve(context, bench, lambda w, x: (w.but(columns=x), bench.lanes(context.size)), "d")


def classes(context: Context, bench: Bench) -> Row:
    """The protocol with the labels merged to fewer classes (label modulo k), rows unchanged."""
    return _curve(context, bench, lambda w, x: (w.but(merge=x), bench.lanes(context.size)), "k")


def draws(context: Context, bench: Bench) -> Row:
    """More and more ten-shot draws."""
    return _curve(context, bench, lambda w, x: (w, draw_lanes(x)), "lanes")


def grid(context: Context, bench: Bench) -> Row:
    """More and more penalties at full data, evenly spaced in log C from 0.01 to 100."""
    return _curve(
        context,
        bench,
        lambda w, x: (w, penalty_lanes(np.round(np.geomspace(0.01, 100, x), 6).tolist() if x > 1 else [1.0])),
        "lanes",
    )
