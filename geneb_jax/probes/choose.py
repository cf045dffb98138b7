"""Choose C on a held-out part of a probe's own training rows; test rows play no part in it.

Per lane (regime, seed): its training rows are split class by class (`geneb_jax.probes.regime.split_rows`), every C of
the grid is fitted on the one part and scored by MCC on the other, and the C with the highest MCC wins; of equal ones
the smallest, the strongest penalty. The probe is then fitted with that C on all rows of the lane, which is the
caller's business. Where a class has too few rows to hold any out, the C of `HeldOutC.base` is taken, and said so.

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
from geneb_jax.probes.blocks import Rows, select
from geneb_jax.probes.design import Design, pad, padded_rows
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.problems import Targets, solve_own_rows
from geneb_jax.probes.programs import fitting, program
from geneb_jax.probes.regime import Regime, draw_rows, split_rows
from geneb_jax.probes.score import score_rows, table_scores
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
            scores = _score_draws(X_train, y_train, chosen, logistic)
        else:
            scores = [_score_one(X_train, y_train, split, spec, fit) for split in chosen]
        made |= {(regime, seed, spec): Choice(spec.base.C, "default", spec.grid) for seed in seeds}
        for seed, split, mcc in zip(possible, chosen, scores, strict=True):
            made[regime, seed, spec] = _best(spec, mcc, len(split.held))
    return [made[key] for key in keys]


def _split(y: NumpyInt, regime: Regime, seed: int | None, spec: HeldOutC) -> _Split:
    rows = np.arange(len(y)) if regime.shots is None or seed is None else draw_rows(y, regime.shots, seed)
    first, second = split_rows(y[rows], spec.share, spec.key, seed)
    return _Split(rows[first], rows[second])


def _best(spec: HeldOutC, mcc: Sequence[float], held: int) -> Choice:
    scored = [(-value, C) for C, value in zip(spec.grid, mcc, strict=True) if math.isfinite(value)]
    if not scored:
        return Choice(spec.base.C, "default", spec.grid, tuple(mcc), held)
    return Choice(min(scored)[1], "held-out", spec.grid, tuple(mcc), held)


def _score_one(X: NumpyFloat | Rows, y: NumpyInt, split: _Split, spec: HeldOutC, fit: FitTask) -> list[float]:
    """MCC of every C on the held-out rows: all of them full-data fits of the rows that are left."""
    lanes = [Lane(Regime(None), 0, spec.with_C(C)) for C in spec.grid]
    results = fit(select(X, split.fit), y[split.fit], select(X, split.held), y[split.held], lanes)
    return [result.mcc if result.status.has_score else math.nan for result in results]


def _score_draws(
    X: NumpyFloat | Rows, y: NumpyInt, splits: Sequence[_Split], specs: Sequence[LogisticSpec]
) -> list[list[float]]:
    """The same for many draws, in batches of equal size so that they share what is compiled; float64 throughout."""
    if not splits:
        return []
    classes, index = np.unique(y, return_inverse=True)
    fit, held = (padded_rows(max(len(split[part]) for split in splits)) for part in (0, 1))
    each = 8 * X.shape[1] * (2 * fit + held)
    size = min(len(splits), max(8, 1 << (BATCH_BYTES // each).bit_length() >> 1))
    found: list[list[float]] = []
    with fitting("float64"):
        for start in range(0, len(splits), size):
            part = list(splits[start : start + size])
            real = len(part)
            part += part[:1] * (size - real)
            drawn = np.unique(np.concatenate([np.concatenate(split) for split in part]))
            own = [_Split(*(np.searchsorted(drawn, rows) for rows in split)) for split in part]
            mcc = _score_batch(_take(X, drawn), Targets(index[drawn], len(classes)), own, specs, held)
            found += mcc[:, :real].T.tolist()
    return found


def _take(X: NumpyFloat | Rows, rows: NumpyInt) -> NumpyFloat:
    return X[rows] if isinstance(X, np.ndarray) else X.take(rows)


def _score_batch(
    X: NumpyFloat, targets: Targets, splits: Sequence[_Split], specs: Sequence[LogisticSpec], padded: int
) -> NumpyFloat:
    """MCC (c, p) of c penalties on the held-out rows of p draws, NaN where a fit came to nothing."""
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
    scores = []
    for spec in specs:
        fitted = solve_own_rows(X, design, targets, [split.fit for split in splits], spec)
        confusion = _own_scores(test, jax.device_put(fitted.W), truth, keep, columns, targets.k)
        mcc = np.array(table_scores(np.asarray(confusion)).mcc)
        mcc[[not Status(int(status)).has_score for status in fitted.status]] = np.nan
        scores.append(mcc)
    return np.stack(scores)


@partial(program, static_argnames="k")
def _own_scores(X: jax.Array, W: jax.Array, truth: jax.Array, keep: jax.Array, columns: jax.Array, k: int) -> jax.Array:
    """Confusion counts (p, k, k) of lanes W (p, q, o), each on rows X (p, m, q) of its own."""

    def one(X: jax.Array, W: jax.Array, truth: jax.Array, keep: jax.Array) -> jax.Array:
        return score_rows(X, W[None], truth, keep, columns, k).confusion[0]

    return jax.vmap(one)(X, W, truth, keep)
