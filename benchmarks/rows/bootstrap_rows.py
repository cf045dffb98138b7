"""Rows about the bootstrap: resampled MCC of many encoders against a loop over scikit-learn's `matthews_corrcoef`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import matthews_corrcoef

from benchmarks import machine
from benchmarks.ceilings import measure_ceilings
from benchmarks.record import Check, Rival, Row, Shape
from benchmarks.rows.base import Bench, Context, assemble
from benchmarks.timing import time_call
from benchmarks.workloads import Size
from geneb_jax.stats.aggregate import Series
from geneb_jax.stats.bootstrap import Distribution, task_distribution
from geneb_jax.stats.counts import columns, scores
from geneb_jax.stats.samples import TaskSample, Unit

ROWS = {"real": 10_000, "toy": 200}
RESAMPLES = {"real": 10_000, "toy": 300}
TIMED = {"real": 5, "toy": 5}
"""Resamples that the loop is timed on, for all encoders."""
ENCODERS = 40
CHECKED = 3


@dataclass(frozen=True)
class BootstrapBench(Bench):
    """A row that needs no data: MCC depends on classes alone, and these are drawn."""

    k: int = 2

    def source(self, size: Size) -> tuple[str, str]:
        """Neither has a name."""
        return "drawn classes", "drawn predictions"

    def here(self, size: Size, data: Path | None) -> bool:
        """Always."""
        return True


def sample(rows: int, k: int) -> TaskSample:
    """Encoders that are right on 60 to 95 % of the rows, and agree with each other where rows are easy."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, k, rows)
    hard = rng.random(rows)
    level = np.linspace(0.6, 0.95, ENCODERS)[:, None]
    right = 0.5 * hard + 0.5 * rng.random((ENCODERS, rows)) < level
    predicted = np.where(right, truth, rng.integers(0, k, (ENCODERS, rows)))
    units = tuple(
        Unit(Series(f"encoder {i}", str(i), "logistic", "", 1.0, "jax", "float32"), "full", (i,))
        for i in range(ENCODERS)
    )
    return TaskSample("drawn", "drawn", k, truth, predicted, units)


def resampling(context: Context, bench: BootstrapBench) -> Callable[[], Distribution]:
    """The row's bootstrap, to be called."""
    one, b = sample(ROWS[context.size], bench.k), RESAMPLES[context.size]
    return lambda: task_distribution(one, "mcc", resamples=b)


def paired(context: Context, bench: BootstrapBench) -> Row:
    """All resamples of all encoders on one task, paired, with what intervals need."""
    load = machine.load_average()
    b = RESAMPLES[context.size]
    one = sample(ROWS[context.size], bench.k)
    context.say(f"{b:,} resamples of {len(one.truth):,} rows, {ENCODERS} encoders")
    timed = time_call(lambda: task_distribution(one, "mcc", resamples=b), repeats=context.repeats, clear=context.clear)
    context.say("the loop over matthews_corrcoef")
    rng = np.random.default_rng(1)
    began = time.perf_counter()
    for _ in range(TIMED[context.size]):
        rows = rng.integers(0, len(one.truth), len(one.truth))
        for predicted in one.predicted:
            matthews_corrcoef(one.truth[rows], predicted[rows])
    seconds = (time.perf_counter() - began) / TIMED[context.size] * b
    rival = Rival(
        name="NumPy loop over matthews_corrcoef", dtype="float64", seconds={"as shipped": seconds}, as_shipped=seconds,
        best=seconds, scaled=f"timed on {TIMED[context.size]} of {b:,} resamples",
    )  # fmt: skip
    # weights of every resample times what each row adds to the tables of all encoders
    b_m, (columns_of, _) = b * len(one.truth), columns(one.truth, one.predicted, one.k, "mcc")
    flops, traffic = 2 * b_m * columns_of.shape[1], columns_of.nbytes
    context.say("ceilings of the machine")
    return assemble(
        context,
        bench,
        Shape(name="drawn classes", n=0, m=len(one.truth), d=0, k=bench.k, lanes=ENCODERS),
        timed,
        _check(one, timed.value),
        rivals=[rival],
        measures={"resamples": float(b), "encoders": float(ENCODERS)},
        work=(flops, traffic),
        ceilings=measure_ceilings(flops, traffic, timed.median, context.size),
        precision="exact counts, scores in float64",
        load=load,
    )


def _check(one: TaskSample, found: Distribution) -> Check:
    """Scores of given resamples are scikit-learn's, and the spread is that of a plain loop."""
    rng = np.random.default_rng(2)
    by_row, layout = columns(one.truth, one.predicted, one.k, "mcc")
    gap, trouble = 0.0, []
    loop = []
    for i in range(200):
        rows = rng.integers(0, len(one.truth), len(one.truth))
        expected = matthews_corrcoef(one.truth[rows], one.predicted[0, rows])
        loop.append(expected)
        if i < CHECKED:
            weights = np.bincount(rows, minlength=len(one.truth))[None].astype(np.float32)
            gap = max(gap, abs(float(scores(weights @ by_row, layout, "mcc")[0][0, 0]) - expected))
    spread = found.values[:, 0].std() / np.std(loop)
    if gap > 1e-12:
        trouble.append(f"a resample's MCC differs by {gap:.1e} from scikit-learn's")
    if not 0.8 < spread < 1.25:  # 200 resamples know a spread to 5 %
        trouble.append(f"the spread is {spread:.2f} of the loop's")
    return Check(
        ok=not trouble, reference="matthews_corrcoef of the resampled rows", reference_bound=0.0, gap=gap,
        rows_compared=CHECKED * len(one.truth), rows_tied=0, rows_different=0, mcc_difference=gap, trouble=trouble,
    )  # fmt: skip
