"""The grid's rivals on some cells, scaled: the stock harness in a process for each core, and torch's batched L-BFGS."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, groupby

import numpy as np

from benchmarks.batched import lbfgs_batch
from benchmarks.checks import find_reference
from benchmarks.grid import model
from benchmarks.grid.result import GridRival
from benchmarks.grid.shape import Cell, Grid, GridEncoder, GridTask, cell_of
from benchmarks.grid.synthetic import Vectors, labels_of
from benchmarks.racers import Racer, race
from benchmarks.rows.base import fit
from benchmarks.rows.yardstick_rows import SUBOPTIMALITY, relative_gap
from benchmarks.stock import harness_loop
from benchmarks.timing import seconds_of
from benchmarks.workloads import Problem, Workload, geneb_lanes
from geneb_jax.axes import NumpyFloat
from geneb_jax.probes import GENEB_SEEDS, Lane

GUESS = 5e-7
"""Seconds of the harness by row, column and output, to choose cells by; what counts is measured."""
MOST_CELLS = 24
MOST_RACES, RUNS = 6, 20
"""Cells that torch runs on, and how many times the guess each takes: iterations are counted, then timed in six runs."""

Pair = tuple[GridEncoder, GridTask]


def problem_of(encoder: GridEncoder, task: GridTask) -> Problem:
    """The arrays of one cell."""
    vectors = Vectors(Grid((encoder,), (task,)), encoder)
    X = vectors.piece(0, task.rows)
    shape = Workload(f"grid-{encoder.name}-{task.id}", "synthetic", task.id, encoder.name)
    return Problem(shape, X[: task.n], labels_of(task, "train"), X[task.n :], labels_of(task, "test"))


def guess(cell: Cell) -> float:
    """About how many seconds the harness takes."""
    return GUESS * cell.n * cell.d * cell.outputs


def choose(part: Grid, seconds: float, processes: int) -> list[Pair]:
    """Cells at even steps of their cost, none longer than a quarter of the time, that fill about so many seconds."""
    pairs = [(encoder, task) for encoder in part.encoders for task in part.tasks]
    pairs = sorted(pairs, key=lambda pair: guess(cell_of(*pair)))
    quick = [pair for pair in pairs if guess(cell_of(*pair)) <= seconds / 4] or pairs[:1]
    for count in range(min(MOST_CELLS, len(quick)), 0, -1):
        some = [quick[i] for i in np.unique(np.linspace(0, len(quick) - 1, count).round().astype(int))]
        if sum(guess(cell_of(*pair)) for pair in some) <= seconds * processes:
            return some
    return quick[:1]


def distinct_lanes() -> list[list[Lane]]:
    """GENEB's probes by regime, full data first; there every seed is the same fit, so one stands for all."""
    regimes = [list(lanes) for _, lanes in groupby(geneb_lanes(), key=lambda lane: lane.regime)]
    return [lanes[:1] if lanes[0].regime.shots is None else lanes for lanes in regimes]


def harness_seconds(encoder: GridEncoder, task: GridTask) -> float:
    """The stock harness on one cell with one BLAS thread; the five equal fits on all rows are timed once."""
    from threadpoolctl import threadpool_limits

    problem, (full, *few) = problem_of(encoder, task), distinct_lanes()
    with threadpool_limits(1):
        harness_loop(problem, few[-1][-1:], "float32")  # imports, pages
        once, _ = seconds_of(lambda: harness_loop(problem, full, "float32"))
        rest, _ = seconds_of(lambda: harness_loop(problem, list(chain(*few)), "float32"))
    return len(GENEB_SEEDS) * once + rest


def our_seconds(problem: Problem, lanes: Sequence[Lane]) -> float:
    """Our second call on the same cell, transfer and scoring included."""
    return [seconds_of(lambda: fit(problem, lanes))[0] for _ in range(2)][1]


def rivals_of(whole: Grid, part: Grid, seconds: float, say: Callable[[str], None]) -> list[GridRival]:
    """Every rival on cells of the part that fill about so many seconds, and scaled to the whole grid."""
    return [stock_harness(whole, part, 0.7 * seconds, say), *torch_lbfgs(whole, part, 0.3 * seconds, say)]


def stock_harness(whole: Grid, part: Grid, seconds: float, say: Callable[[str], None]) -> GridRival:
    """The stock harness on all cores, reading left out."""
    processes = os.cpu_count() or 1
    pairs = choose(part, seconds, processes)
    say(f"the stock harness on {len(pairs)} cells, {processes} processes")
    # new processes: JAX's threads do not survive a fork
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        theirs = list(pool.map(harness_seconds, *zip(*pairs, strict=True)))
    say(f"our fits of the same {len(pairs)} cells")
    ours = [our_seconds(problem_of(*pair), geneb_lanes()) for pair in pairs]
    note = f"{processes} processes at one BLAS thread each; reading is left out"
    return _scaled("stock harness, float32 embeddings", whole, pairs, theirs, ours, processes, note)


def torch_lbfgs(whole: Grid, part: Grid, seconds: float, say: Callable[[str], None]) -> list[GridRival]:
    """torch's batched L-BFGS on all probes of a cell, to our race's suboptimality, without scoring."""
    if not importlib.util.find_spec("torch"):
        return []
    pairs, theirs, ours, missed = [], [], [], 0
    for pair in choose(part, seconds / RUNS, 1)[::-1][:MOST_RACES]:
        problem = problem_of(*pair)
        say(f"torch L-BFGS on {problem.n:,} × {problem.d:,}")
        took = [_race_batch(problem, lanes, seconds) for lanes in distinct_lanes()]
        if None in took:
            missed += 1
            continue
        pairs.append(pair)
        theirs.append(sum(filter(None, took)))
        ours.append(our_seconds(problem, geneb_lanes()))
    if not pairs:
        return []
    note = (
        f"each regime's probes as one batch, in as many iterations as suffice for a relative suboptimality of "
        f"{SUBOPTIMALITY:g}, in float32 or else float64, without transfer and scoring, which ours has"
    )
    if missed:
        note += f"; {missed} cells where it did not get there are left out"
    return [_scaled("torch L-BFGS, batched", whole, pairs, theirs, ours, 1, note)]


def _race_batch(problem: Problem, lanes: Sequence[Lane], cap: float) -> float | None:
    """Seconds to the suboptimality for the worst of the lanes; None where no precision gets there."""
    best = find_reference(problem, lanes).values

    def largest_gap(coefs: NumpyFloat, intercepts: NumpyFloat) -> float:
        found = zip(lanes, coefs, intercepts, strict=True)
        return max(relative_gap(problem, lane, best[lane], coef, intercept) for lane, coef, intercept in found)

    for dtype in ("float32", "float64"):
        racer = Racer("torch L-BFGS, batched", dtype, lbfgs_batch(problem, lanes, dtype), blas=False)
        took = race(racer, largest_gap, SUBOPTIMALITY, cap).best
        if took is not None:
            return took
    return None


def _scaled(
    name: str,
    whole: Grid,
    pairs: Sequence[Pair],
    theirs: list[float],
    ours: list[float],
    processes: int,
    note: str,
) -> GridRival:
    cells = [cell_of(*pair) for pair in pairs]
    parts = [model.looping(cell) for cell in cells]
    fitted = model.extrapolate(parts, theirs, model.summed(map(model.looping, whole.cells)))
    return GridRival(
        name=name,
        cells=[[c.n, c.m, c.d, c.k] for c in cells],
        seconds=theirs,
        ours=ours,
        whole_seconds=fitted.whole / processes,
        processes=processes,
        held_out_error=fitted.held_out,
        note=f"{note}; {_beyond(cells, whole)}",
    )


def _beyond(cells: Sequence[Cell], whole: Grid) -> str:
    top = max(guess(cell) for cell in cells)
    larger = sum(guess(cell) for cell in whole.cells if guess(cell) > top) / sum(map(guess, whole.cells))
    return f"{100 * larger:.0f} % of the work lies in cells larger than the largest that was timed"
