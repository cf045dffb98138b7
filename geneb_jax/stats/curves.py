"""Learning curves: scores by labelled rows per class, what makes them uncertain, and where they pass a given score."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.stats.aggregate import Metric, Series
from geneb_jax.stats.bootstrap import RESAMPLES, Source
from geneb_jax.stats.intervals import Method
from geneb_jax.stats.means import Scope
from geneb_jax.stats.samples import TaskSample, shots_of
from geneb_jax.stats.ties import reaches
from geneb_jax.stats.uncertainty import Score, Spread, spreads

USUAL_DRAWS = 5
"""Draws whose mean GENEB reports."""


@dataclass(frozen=True)
class Point:
    """A series at one number of labelled rows per class (`shots`; None: all training rows).

    `num_draws` draws are averaged, the fewest of any task. `sd_draw` is the standard deviation of the score of a single
    draw, `se_draws` = sd_draw/√num_draws what draws add to the standard error of the mean; both None for a single fit.
    `se_rows` is what the test rows add while these draws are held fixed. `usual_share` is the part of the variance of a
    mean over GENEB's five draws that more draws would take away.
    """

    score: Score
    shots: int | None
    num_draws: int
    sd_draw: float | None
    se_draws: float | None
    se_rows: float
    usual_share: float | None


@dataclass(frozen=True)
class Reach:
    """Labelled rows per class from which a series has the score `target`, with an interval.

    Between two numbers of rows the score is taken to be linear in the logarithm of the number. None: not up to `most`
    rows. A value of `fewest` means so many or fewer. `full` is whether the score of all training rows reaches it, None
    where there is none.
    """

    scope: Scope
    name: str
    series: Series
    target: float
    shots: float | None
    low: float | None
    high: float | None
    fewest: int
    most: int
    full: bool | None


@dataclass(frozen=True)
class Curves:
    """Points by scope, name, series and rows per class, and where curves pass the targets."""

    points: tuple[Point, ...]
    reaches: tuple[Reach, ...]


def learning_curves(
    samples: Iterable[TaskSample],
    *,
    scopes: Collection[Scope],
    targets: Sequence[float] = (),
    num_in_suite: int | None = None,
    metric: Metric = "mcc",
    source: Source = "both",
    method: Method = "bca",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    done: Callable[[TaskSample], None] | None = None,
) -> Curves:
    """The curves of all series; a resample takes the same rows, and draws of the same seeds, all along a curve."""
    curves: dict[tuple[Scope, str, Series], dict[int | None, Spread]] = {}
    for spread in spreads(
        samples, num_in_suite=num_in_suite, metric=metric, source=source, resamples=resamples, seed=seed, done=done
    ):
        if spread.scope in scopes:
            curves.setdefault((spread.scope, spread.name, spread.series), {})[shots_of(spread.regime)] = spread
    points, reaches = [], []
    for curve in curves.values():
        ordered = {shots: curve[shots] for shots in sorted(curve, key=lambda shots: shots or math.inf)}
        points += [_point(spread, shots, spread.score(metric, method, level)) for shots, spread in ordered.items()]
        if sum(shots is not None for shots in ordered) > 1:
            reaches += [_reach(ordered, target, level) for target in targets]
    return Curves(tuple(points), tuple(reaches))


def _point(spread: Spread, shots: int | None, score: Score) -> Point:
    D, found = spread.part.num_draws, spread.part.distribution
    by_draws, by_rows = float(found.draws.variance), float(found.rows.squares)
    if D == 1:
        return Point(score, shots, D, None, None, math.sqrt(by_rows), None)
    usual = D * by_draws / USUAL_DRAWS
    shared = max(by_rows - float(found.rows.single), 0.0)
    share = usual / (usual + shared) if usual + shared else None
    return Point(score, shots, D, math.sqrt(D * by_draws), math.sqrt(by_draws), math.sqrt(by_rows), share)


def _reach(curve: dict[int | None, Spread], target: float, level: float) -> Reach:
    shots = [number for number in curve if number is not None]
    found = [curve[number].part.distribution for number in shots]
    own = crossing(np.stack([one.estimate for one in found]), shots, target)
    tail = (1 - level) / 2
    drawn = crossing(np.stack([one.values for one in found], axis=-1), shots, target)
    # values themselves, since between a number and "never" there is nothing
    ends = np.quantile(drawn, [tail, 1 - tail], method="inverted_cdf")
    first = curve[shots[0]]
    full = bool(reaches(curve[None].part.distribution.estimate, target)) if None in curve else None
    return Reach(
        first.scope, first.name, first.series, target, _number(own), _number(ends[0]), _number(ends[1]),
        shots[0], shots[-1], full,
    )  # fmt: skip


def crossing(scores: NumpyFloat, shots: Sequence[int], target: float) -> NumpyFloat:
    """Where curves (..., s) over ascending `shots` (s,) first reach `target`: ∞ where they do not."""
    reached = reaches(scores, target)
    after = np.argmax(reached, axis=-1, keepdims=True)
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(scores, place, axis=-1) for place in (before, after))
    place = np.log(np.asarray(shots, np.float64))
    part = np.where(after > 0, (target - low) / np.where(high > low, high - low, 1), 0)
    found = np.exp(place[before] + part * (place[after] - place[before]))
    return np.where(reached.any(axis=-1), found[..., 0], np.inf)


def _number(value: NumpyFloat) -> float | None:
    return float(value) if np.isfinite(value) else None
