"""The grid's rival: the stock harness on some cells, as many processes at once as there are cores, scaled."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from benchmarks.grid import model
from benchmarks.grid.result import GridRival
from benchmarks.grid.shape import Cell, Grid, GridEncoder, GridTask, cell_of
from benchmarks.grid.synthetic import Vectors, labels_of
from benchmarks.stock import harness_loop
from benchmarks.timing import seconds_of
from benchmarks.workloads import Problem, Workload, geneb_lanes
from geneb_jax.probe import GENEB_SEEDS, fit_task

GUESS = 5e-7
"""Seconds of the harness by row, column and output, to choose cells by; what counts is measured."""
MOST_CELLS = 24

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


def harness_seconds(encoder: GridEncoder, task: GridTask) -> float:
    """The stock harness on one cell with one BLAS thread; the five equal fits on all rows are timed once."""
    from threadpoolctl import threadpool_limits

    problem, lanes = problem_of(encoder, task), geneb_lanes()
    full = [lane for lane in lanes if lane.regime.shots is None]
    few = [lane for lane in lanes if lane.regime.shots is not None]
    with threadpool_limits(1):
        harness_loop(problem, few[-1:], "float32")  # imports, pages
        once, _ = seconds_of(lambda: harness_loop(problem, full[:1], "float32"))
        rest, _ = seconds_of(lambda: harness_loop(problem, few, "float32"))
    return len(GENEB_SEEDS) * once + rest


def our_seconds(encoder: GridEncoder, task: GridTask) -> float:
    """Our second call on the same cell, transfer and scoring included."""
    problem = problem_of(encoder, task)
    arrays = (problem.X_train, problem.y_train, problem.X_test, problem.y_test)
    return [seconds_of(lambda: fit_task(*arrays, geneb_lanes()))[0] for _ in range(2)][1]


def stock_harness(whole: Grid, part: Grid, seconds: float, say: Callable[[str], None]) -> list[GridRival]:
    """The stock harness on cells of the part, and scaled to the whole grid on all cores."""
    processes = os.cpu_count() or 1
    pairs = choose(part, seconds, processes)
    say(f"the stock harness on {len(pairs)} cells, {processes} processes")
    # new processes: JAX's threads do not survive a fork
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        theirs = list(pool.map(harness_seconds, *zip(*pairs, strict=True)))
    say(f"our fits of the same {len(pairs)} cells")
    ours = [our_seconds(*pair) for pair in pairs]
    cells = [cell_of(*pair) for pair in pairs]
    fitted = model.extrapolate(
        [model.looping(cell) for cell in cells], theirs, model.summed(map(model.looping, whole.cells))
    )
    return [
        GridRival(
            name="stock harness, float32 embeddings in memory",
            cells=[[c.n, c.m, c.d, c.k] for c in cells],
            seconds=theirs,
            ours=ours,
            whole_seconds=fitted.whole / processes,
            processes=processes,
            held_out_error=fitted.held_out,
            note=f"{processes} processes at one BLAS thread each; reading is left out; " + _beyond(cells, whole),
        )
    ]


def _beyond(cells: Sequence[Cell], whole: Grid) -> str:
    top = max(guess(cell) for cell in cells)
    larger = sum(guess(cell) for cell in whole.cells if guess(cell) > top) / sum(map(guess, whole.cells))
    return f"{100 * larger:.0f} % of the work lies in cells larger than the largest that was timed"
