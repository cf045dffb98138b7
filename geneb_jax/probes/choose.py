"""Choose C on a held-out part of a probe's own training rows; test rows play no part in it.

Per lane (regime, seed): its training rows are split class by class (`geneb_jax.probes.regime.split_rows`), every C of
the grid is fitted on the one part and scored by MCC on the other, and the C with the highest MCC wins; of equal ones
the smallest, the strongest penalty. Scores are compared exactly, as fractions of whole counts
(`geneb_jax.metric.exact_mcc`), so no rounding decides. The probe is then fitted with that C on all rows of the lane,
which is the caller's business. Where a class has too few rows to hold any out, the C of `HeldOutC.base` is taken, and
said so.

Full data have no seed, so their split depends on the run's key alone and the choice is made once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.errors import ProbeError
from geneb_jax.metric import exact_mcc, mcc
from geneb_jax.probes.blocks import Rows, select
from geneb_jax.probes.design import Design, pad, padded_rows
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.problems import Targets, solve_own_rows
from geneb_jax.probes.programs import fitting, program
from geneb_jax.probes.regime import Regime, draw_rows, split_rows
from geneb_jax.probes.score import score_rows
from geneb_jax.probes.spec import HeldOutC, LogisticSpec
from geneb_jax.status import Status
from geneb_jax.whole import whole_numbers

FitTask = Callable[[Any, NumpyInt, Any, NumpyInt, Sequence[Lane[Any]]], list[LaneResult]]
"""Fits arrays or, where it can, `Rows`."""

Selection = Literal["held-out", "default"]

BATCH_BYTES = 128 * 2**20
"""Most memory for the gathered rows of one batch of draws, and their basis."""


@dataclass(frozen=True)
class Choice:
    """The C of one lane, and how it came about.

    ``mcc`` are the scores of the candidates on the held-out rows, in the order of the grid, NaN where a fit failed;
    empty where nothing was held out, and then ``selection`` is "default".
    """

    C: float
    selection: Selection
    grid: tuple[float, ...]
    mcc: tuple[float, ...] = ()
    num_held_out: int = 0


class _Split(NamedTuple):
    """Row numbers of the training split: what a lane is fitted on, and what is held out of it."""

    fit: NumpyInt
    held: NumpyInt


def choose_penalties(
    X_train: NumpyFloat | Rows,
    y_train: NumpyInt,
    lanes: Sequence[tuple[Regime, int, HeldOutC]],
    fit: FitTask,
    *,
    batched: bool = True,
) -> list[Choice]:
    """Choose C for each (regime, seed, probe) on training rows (n, d) with labels (n,); choices in lane order.

    `fit` fits full data and the draws one by one; `batched` solves all draws of a logistic probe together.
    Rows that are not in memory are passed on to `fit` as such; of draws, only the rows drawn are read.
    """
    y_train = whole_numbers(y_train, what="training labels", error=ProbeError)
    keys = [(regime, None if regime.shots is None else seed, spec) for regime, seed, spec in lanes]
    made: dict[tuple[Regime, int | None, HeldOutC], Choice] = {}
    groups: dict[tuple[Regime, HeldOutC], list[int | None]] = {}
    for regime, seed, spec in dict.fromkeys(keys):
        groups.setdefault((regime, spec), []).append(seed)
    for (regime, spec), seeds in groups.items():
        splits = {seed: _split(y_train, regime, seed, spec) for seed in seeds}
        possible = [seed for seed in seeds if len(splits[seed].held)]
        chosen = [splits[seed] for seed in possible]
        if regime.shots is not None and batched and isinstance(spec.base, LogisticSpec):
            logistic = [spec.base.with_C(C) for C in spec.grid]
            tables = _draw_tables(X_train, y_train, chosen, logistic)
        else:
            tables = [_tables(X_train, y_train, split, spec, fit) for split in chosen]
        made |= {(regime, seed, spec): Choice(spec.base.C, "default", spec.grid) for seed in seeds}
        for seed, split, own in zip(possible, chosen, tables, strict=True):
            made[regime, seed, spec] = _best(spec, own, len(split.held))
    return [made[key] for key in keys]


def _split(y: NumpyInt, regime: Regime, seed: int | None, spec: HeldOutC) -> _Split:
    rows = np.arange(len(y)) if regime.shots is None or seed is None else draw_rows(y, regime.shots, seed)
    first, second = split_rows(y[rows], spec.share, spec.key, seed)
    return _Split(rows[first], rows[second])


_Tables = list[NumpyInt | None]
"""Confusion tables (k, k) of the held-out rows, one for each C; None where a fit came to nothing."""


def _best(spec: HeldOutC, tables: _Tables, held: int) -> Choice:
    scores = tuple(math.nan if table is None else float(mcc(table)) for table in tables)
    scored = [(-exact_mcc(table), C) for C, table in zip(spec.grid, tables, strict=True) if table is not None]
    if not scored:
        return Choice(spec.base.C, "default", spec.grid, scores, held)
    return Choice(min(scored)[1], "held-out", spec.grid, scores, held)


def _tables(X: NumpyFloat | Rows, y: NumpyInt, split: _Split, spec: HeldOutC, fit: FitTask) -> _Tables:
    """Of every C: all of them full-data fits of the rows that are left."""
    lanes = [Lane(Regime(None), 0, spec.with_C(C)) for C in spec.grid]
    results = fit(select(X, split.fit), y[split.fit], select(X, split.held), y[split.held], lanes)
    return [result.confusion if result.status.has_score else None for result in results]


def _draw_tables(
    X: NumpyFloat | Rows, y: NumpyInt, splits: Sequence[_Split], specs: Sequence[LogisticSpec]
) -> list[_Tables]:
    """The same for many draws, in batches of equal size so that they share what is compiled; float64 throughout."""
    if not splits:
        return []
    classes, index = np.unique(y, return_inverse=True)
    fit, held = (padded_rows(max(len(split[part]) for split in splits)) for part in (0, 1))
    each = 8 * X.shape[1] * (2 * fit + held)
    size = min(len(splits), max(8, 1 << (BATCH_BYTES // each).bit_length() >> 1))
    found: list[_Tables] = []
    with fitting("float64"):
        for start in range(0, len(splits), size):
            part = list(splits[start : start + size])
            real = len(part)
            part += part[:1] * (size - real)
            drawn = np.unique(np.concatenate([np.concatenate(split) for split in part]))
            own = [_Split(*(np.searchsorted(drawn, rows) for rows in split)) for split in part]
            by_C = _batch_tables(_take(X, drawn), Targets(index[drawn], len(classes)), own, specs, held)
            found += [list(tables) for tables in zip(*by_C, strict=True)][:real]
    return found


def _take(X: NumpyFloat | Rows, rows: NumpyInt) -> NumpyFloat:
    return X[rows] if isinstance(X, np.ndarray) else X.take(rows)


def _batch_tables(
    X: NumpyFloat, targets: Targets, splits: Sequence[_Split], specs: Sequence[LogisticSpec], padded: int
) -> list[_Tables]:
    """For each of c penalties the tables of p draws."""
    # coefficients come back in coordinates that share one shift, where exact ties survive
    wide, width = np.dtype(np.float64), X.shape[1]
    shift = X.mean(axis=0, dtype=wide)
    empty = np.zeros((0, width + 1))
    none, at, scale, constant = jax.device_put((empty, shift, np.ones(width), np.zeros(width, bool)))
    design = Design(none, at, scale, constant, len(X))
    rows = np.stack([pad(split.held, padded) for split in splits])
    ones = np.ones((*rows.shape, 1))
    test = jax.device_put(np.concatenate([X[rows] - shift, ones], axis=2))
    keep = np.stack([np.arange(padded) < len(split.held) for split in splits])
    truth, keep, columns = jax.device_put((targets.index[rows], keep, np.arange(targets.k)))
    found = []
    for spec in specs:
        fitted = solve_own_rows(X, design, targets, [split.fit for split in splits], spec)
        confusion = _own_tables(test, jax.device_put(fitted.W), truth, keep, columns, targets.k)
        scored = [Status(int(status)).has_score for status in fitted.status]
        found.append([table if own else None for table, own in zip(np.asarray(confusion), scored, strict=True)])
    return found


@partial(program, static_argnames="k")
def _own_tables(X: jax.Array, W: jax.Array, truth: jax.Array, keep: jax.Array, columns: jax.Array, k: int) -> jax.Array:
    """Confusion counts (p, k, k) of lanes W (p, q, o), each on rows X (p, m, q) of its own."""

    def one(X: jax.Array, W: jax.Array, truth: jax.Array, keep: jax.Array) -> jax.Array:
        return score_rows(X, W[None], truth, keep, columns, k).confusion[0]

    return jax.vmap(one)(X, W, truth, keep)
