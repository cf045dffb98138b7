"""From timed calls to the whole grid: what a phase costs as a sum over cells, fitted and held out.

A call's seconds are a sum of parts, each a rate times something counted: bytes, rows times columns times outputs,
a Gram matrix, shapes met for the first time. Rates are found by non-negative least squares with each call weighed by
one over its seconds, so that neither the smallest nor the largest decides alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from benchmarks.grid.shape import Cell
from geneb_jax.axes import NumpyFloat
from geneb_jax.probes import GENEB_SEEDS
from geneb_jax.probes.design import padded_rows

Parts = dict[str, float]

LANES = 1 + 2 * len(GENEB_SEEDS)
"""Distinct probes of a cell: the full fit, and each draw of two regimes."""
SHOTS = (10, 1)


def single(cell: Cell) -> Parts:
    """The same for every cell."""
    return {"cell": 1}


def storing(cell: Cell) -> Parts:
    """Generating, writing, reading, handing over: bytes, and something for each cell."""
    return {"cell": 1, "byte": cell.bytes}


def solving(cell: Cell) -> Parts:
    """The full fit's Gram matrix, factors and passes, and the draws' in the span of their rows."""
    n, d, o = cell.n, cell.d, cell.outputs
    few = sum((shots * cell.k) ** 2 * d for shots in SHOTS) * len(GENEB_SEEDS)
    return {
        "cell": 1,
        "value": n * d,
        "pass": n * d * o,
        "gram": min(n, d) ** 2 * max(n, d),
        "factor": min(n, d) ** 3,
        "draws": few,
    }


def scoring(cell: Cell) -> Parts:
    """One product over the test rows for all lanes, and their tables."""
    return {"cell": 1, "product": LANES * cell.m * cell.d * cell.outputs, "prediction": LANES * cell.m * cell.outputs}


def looping(cell: Cell) -> Parts:
    """A loop of fits by passes over all rows, each lane scored by itself."""
    return {"cell": 1, "pass": cell.n * cell.d * cell.outputs, "product": cell.m * cell.d * cell.outputs}


def recording(cell: Cell) -> Parts:
    """Records, and predictions of every lane."""
    return {"cell": 1, "prediction": LANES * cell.m}


class Shapes:
    """Which compiled programs are met for the first time, in the order of the cells."""

    def __init__(self) -> None:
        self._seen: set[tuple[object, ...]] = set()

    def __call__(self, cell: Cell) -> Parts:
        """New shapes of whole fits, of draws and of scoring."""
        n, m = padded_rows(cell.n), padded_rows(cell.m)
        asked = {"fit": (n, cell.d, cell.k), "draws": (cell.d, cell.k), "score": (m, cell.d, cell.k)}
        new = {name: float((name, shape) not in self._seen) for name, shape in asked.items()}
        self._seen |= set(asked.items())
        return new


def resampling(resamples: int) -> Callable[[Cell], Parts]:
    """Weights of the test rows times the lanes' columns: a task's cells share the weights."""

    def parts(cell: Cell) -> Parts:
        return {
            "cell": 1,
            "product": LANES * resamples * cell.m * cell.outputs,
            "score": LANES * resamples * cell.k,
            "row": LANES * cell.m * cell.k,
        }

    return parts


def summed(parts: Iterable[Parts]) -> Parts:
    """The parts of several cells together."""
    total: Parts = {}
    for one in parts:
        for name, amount in one.items():
            total[name] = total.get(name, 0.0) + amount
    return total


@dataclass(frozen=True)
class Fitted:
    """Seconds of the whole, the rates behind them, and how well calls are predicted from the others."""

    whole: float
    rates: Parts
    held_out: float | None
    held_out_largest: float | None


def extrapolate(calls: Sequence[Parts], seconds: Sequence[float], whole: Parts) -> Fitted:
    """Fit the rates on timed calls and apply them to the parts of the whole grid.

    The held-out errors are None where there are too few calls to leave one out; no calls cost nothing.
    """
    names = sorted(whole)
    y = np.asarray(seconds, np.float64)
    A = np.array([[call.get(name, 0.0) for name in names] for call in calls], np.float64).reshape(
        len(calls), len(names)
    )
    rates = _rates(A, y)
    held_out = largest = None
    if len(calls) > 2 and y.sum() > 0:
        others = [np.delete(np.arange(len(y)), i) for i in range(len(y))]
        predicted = np.array([float(A[i] @ _rates(A[rest], y[rest])) for i, rest in enumerate(others)])
        held_out = float(predicted.sum() / y.sum() - 1)
        top = int(y.argmax())
        largest = float(predicted[top] / y[top] - 1)
    total = sum(rate * whole[name] for name, rate in zip(names, rates, strict=True))
    return Fitted(float(total), dict(zip(names, map(float, rates), strict=True)), held_out, largest)


def _rates(A: NumpyFloat, y: NumpyFloat) -> NumpyFloat:
    if not len(y):
        return np.zeros(A.shape[1])
    weights = 1 / np.maximum(y, 0.02 * y.max(initial=0.0) + 1e-9)
    size = np.maximum(np.abs(A).max(axis=0, initial=0.0), 1e-300)
    found, _ = nnls(A / size * weights[:, None], y * weights)
    return np.asarray(found / size)
