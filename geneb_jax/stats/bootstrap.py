"""Bootstrap distributions of task scores, and of whatever is a weighted mean of them.

What varies is named by `Source`:

- ``rows``: the test rows. Rows (or groups of rows) of a task are drawn with replacement, the same resample for all
  series, regimes and draws of the task, so that any two of them are paired. The draws at hand are held fixed.
- ``draws``: the few-shot draws, the same ones for all series and, by their seed, for all tasks. The test rows are held
  fixed. Where there is a single draw nothing varies.
- ``both``: rows and draws at once; where there is a single draw, the rows alone. How the two add up without counting
  row noise twice is in `geneb_jax.stats.draws`.

Rows of different tasks are resampled independently. Tasks are held fixed; "would other tasks rank the encoders so?" is
another question (`geneb_jax.stats.task_spread`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Final, Literal, NamedTuple, Self

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.backend import devices
from geneb_jax.stats.aggregate import Metric
from geneb_jax.stats.counts import Layout, columns, scores
from geneb_jax.stats.draws import Deviations, each_without_noise, noise, without_noise
from geneb_jax.stats.samples import TaskSample, Unit
from geneb_jax.stats.testing.few_draws import ENOUGH, FewDraws
from geneb_kernels.resample import resampled_sums

Source = Literal["rows", "draws", "both"]
SOURCES: Final[tuple[Source, ...]] = ("rows", "draws", "both")

RESAMPLES: Final = 10_000

_ROWS: Final = 0
"""Last part of a key: what is resampled."""

FEWEST: Final = 1_000
"""Resamples of single draws that are kept at least, where hundreds of draws are many numbers."""

BLOCK_NUMBERS: Final = 8_000_000
"""Scores of resamples that are held at a time: hundreds of draws are scored some units at a time."""


@dataclass(frozen=True)
class Influence:
    """What influence values U of n rows add up to: Σ U²/n² (U,), an estimate of the variance, and Σ U³/n³.

    `single` is the part of the first that comes from what each draw makes of the rows by itself, and that new draws
    would bring again (the `noise` of `geneb_jax.stats.draws`). All add up over samples of different rows.
    """

    squares: NumpyFloat
    cubes: NumpyFloat
    single: NumpyFloat

    @classmethod
    def of(cls, items: Sequence[NumpyFloat]) -> Influence:
        """From U/n (n, K) of every unit's draws."""
        means = [own.mean(axis=1) for own in items]
        return cls(
            np.array([(own**2).sum() for own in means]),
            np.array([(own**3).sum() for own in means]),
            np.array([own.var(axis=1).sum() / max(own.shape[1] - 1, 1) for own in items]),
        )

    def __add__(self, other: Self) -> Influence:
        return Influence(self.squares + other.squares, self.cubes + other.cubes, self.single + other.single)

    def __mul__(self, share: float) -> Influence:
        return Influence(share**2 * self.squares, share**3 * self.cubes, share**2 * self.single)

    def __getitem__(self, units: int | NumpyInt) -> Influence:
        return Influence(self.squares[units], self.cubes[units], self.single[units])


@dataclass(frozen=True)
class Distribution:
    """Scores of U units: estimates (U,), and what their resamples are made of.

    `by_rows` (b, U) are resamples in which the test rows vary, `alone` (b, U) such that a unit's do not depend on which
    other units there are: they differ where several draws share the rows. `rows` is the influence of the rows, `draws`
    are the deviations of the draws, which count where `source` has them; `seed` is that of the resamples. `degenerate`
    (U,) is the share of resamples with a score of 0 by convention, in the worst of what was added up. Distributions of
    samples with different rows add up, and units are taken out with an index.
    """

    estimate: NumpyFloat
    by_rows: NumpyFloat
    alone: NumpyFloat
    rows: Influence
    draws: Deviations
    source: Source
    seed: int
    degenerate: NumpyFloat

    @cached_property
    def values(self) -> NumpyFloat:
        """Joint resamples (b, U): quantiles are ends of intervals, also of differences and of other functions.

        With few draws they are spread wider than the standard errors, as Student's t is; `se` and `covariance` are
        those of the estimates.
        """
        return self._with_draws(self.by_rows)

    @property
    def marginal(self) -> NumpyFloat:
        """Resamples (b, U) of every unit by itself: its interval is the same in whatever company it is shown."""
        return self._with_draws(self.alone)

    def _with_draws(self, by_rows: NumpyFloat) -> NumpyFloat:
        if self.source == "rows":
            return by_rows
        return np.asarray(by_rows + self.draws.resampled(self.seed, len(by_rows)))

    @property
    def se(self) -> NumpyFloat:
        """Standard errors (U,) of the estimates."""
        return np.asarray(np.sqrt(self._variances()[1]))

    @property
    def covariance(self) -> NumpyFloat:
        """Covariance (U, U) of the estimates."""
        rows = np.atleast_2d(np.cov(self.by_rows, rowvar=False))
        return rows if self.source == "rows" else rows + self.draws.covariance

    def few_draws(self, first: NumpyInt, second: NumpyInt) -> FewDraws | None:
        """What rows and draws add to the variance of differences (h,), where draws vary and are few."""
        held = self.draws.fewest[self.draws.fewest > 0]
        if self.source == "rows" or not held.size or held.min() >= ENOUGH:
            return None
        C, S = np.atleast_2d(np.cov(self.by_rows, rowvar=False)), self.draws.covariance
        rows, draws = (np.diag(M)[first] + np.diag(M)[second] - 2 * M[first, second] for M in (C, S))
        return FewDraws(np.maximum(rows, 0), np.maximum(draws, 0), float(held.min() - 1))

    def _variances(self) -> tuple[NumpyFloat, NumpyFloat]:
        """Of the rows (U,), and of everything that varies (U,)."""
        rows = self.alone.var(axis=0, ddof=1)
        return rows, rows if self.source == "rows" else rows + self.draws.variance

    @property
    def acceleration(self) -> NumpyFloat:
        """BCa's a (U,), the multi-sample acceleration Σ U³/n³ / (6 (Σ U²/n²)^1.5); 0 where no row varies.

        Draws count as symmetric: their skewness cannot be told from five.
        """
        own = acceleration(self.rows.squares, self.rows.cubes)
        if self.source == "rows":
            return own
        rows, total = self._variances()
        return np.asarray(own * np.where(total > 0, rows / np.where(total > 0, total, 1), 0) ** 1.5)

    def __add__(self, other: Self) -> Distribution:
        return Distribution(
            self.estimate + other.estimate,
            self.by_rows + other.by_rows,
            self.alone + other.alone,
            self.rows + other.rows,
            self.draws + other.draws,
            self.source,
            self.seed,
            np.maximum(self.degenerate, other.degenerate),
        )

    def __mul__(self, share: float) -> Distribution:
        return Distribution(
            share * self.estimate,
            share * self.by_rows,
            share * self.alone,
            self.rows * share,
            self.draws * share,
            self.source,
            self.seed,
            self.degenerate,
        )

    def __getitem__(self, units: int | NumpyInt) -> Distribution:
        return Distribution(
            self.estimate[units],
            self.by_rows[:, units],
            self.alone[:, units],
            self.rows[units],
            self.draws[units],
            self.source,
            self.seed,
            self.degenerate[units],
        )


def acceleration(squares: NumpyFloat, cubes: NumpyFloat) -> NumpyFloat:
    """a from its sums; 0 where nothing varies."""
    return np.where(squares > 0, cubes / (6 * np.where(squares > 0, squares, 1) ** 1.5), 0)


def task_key(seed: int, task: str, purpose: int) -> tuple[int, ...]:
    """A key that depends on the run's seed, the task and the purpose, and on nothing else."""
    return seed, zlib.crc32(task.encode()), purpose


def task_distribution(
    sample: TaskSample,
    metric: Metric,
    *,
    source: Source = "both",
    resamples: int = RESAMPLES,
    seed: int = 0,
    influence: bool = True,
) -> Distribution:
    """The distribution of every unit's score on one task: the mean over its draws.

    influence: whether that of the rows is wanted, which BCa and variances use; else it is 0.
    """
    most = max(1, BLOCK_NUMBERS // resamples)
    kept = max(FEWEST, BLOCK_NUMBERS // len(sample.predicted)) if source == "both" else 0
    parts = [
        _part(sample.only(units), metric, source, resamples, seed, kept, influence)
        for units in _blocks(sample.units, most)
    ]
    plain = [lanes for part in parts for lanes in part.plain]
    estimate = np.array([lanes.mean() for lanes in plain])
    by_rows = np.broadcast_to(estimate, (resamples, len(plain)))
    seeds = [unit.seeds for unit in sample.units]
    if source != "draws":
        by_rows = np.concatenate([part.by_rows for part in parts], axis=1)
    alone = by_rows
    if source == "both":
        alone = by_rows.copy()
        lanes = [drawn for part in parts for drawn in part.drawn]
        for places in _varying(sample.units):
            hidden = noise([lanes[i] for i in places], [seeds[i] for i in places])
            alone[:, places] = each_without_noise(alone[:, places], estimate[places], np.diag(hidden))
            by_rows[:, places] = without_noise(by_rows[:, places], estimate[places], hidden)
    return Distribution(
        estimate,
        by_rows,
        alone,
        Influence(*(np.concatenate([getattr(part.rows, own.name) for part in parts]) for own in fields(Influence))),
        Deviations.of(plain, seeds),
        source,
        seed,
        np.concatenate([part.degenerate for part in parts]),
    )


def _varying(units: Sequence[Unit]) -> list[NumpyInt]:
    """The places of units with several draws, regime by regime."""
    found: dict[str, list[int]] = {}
    for place, unit in enumerate(units):
        if len(unit.draws) > 1:
            found.setdefault(unit.regime, []).append(place)
    return [np.array(places) for places in found.values()]


def _blocks(units: Sequence[Unit], most: int) -> Iterator[tuple[Unit, ...]]:
    """Units with at most so many draws together, each with at least one unit."""
    block: list[Unit] = []
    held = 0
    for unit in units:
        if block and held + len(unit.draws) > most:
            yield tuple(block)
            block, held = [], 0
        block.append(unit)
        held += len(unit.draws)
    yield tuple(block)


class _Part(NamedTuple):
    """Of some units: scores (K,) of their draws, resamples (b, U) of the means and (b', K) of the draws, the influence
    of the rows, and the share of degenerate resamples (U,)."""

    plain: list[NumpyFloat]
    by_rows: NumpyFloat
    drawn: list[NumpyFloat]
    rows: Influence
    degenerate: NumpyFloat


def _part(
    sample: TaskSample, metric: Metric, source: Source, resamples: int, seed: int, kept: int, influence: bool
) -> _Part:
    by_row, layout = _columns(sample, metric)
    estimate, plain = scores(by_row.sum(axis=0, keepdims=True, dtype=np.float64), layout, metric)
    draws = [np.asarray(unit.draws) for unit in sample.units]
    items = by_row if sample.groups is None else _summed(by_row, sample)
    by_item = _influence(items, layout, metric) / len(items) if influence else np.zeros((1, estimate.size))
    lanes, degenerate = estimate, plain
    if source != "draws":
        devices()
        lanes, degenerate = scores(resampled_sums(task_key(seed, sample.task, _ROWS), items, resamples), layout, metric)
    return _Part(
        [estimate[0, places] for places in draws],
        np.stack([lanes[:, places].mean(axis=1) for places in draws], axis=1),
        [lanes[: kept if len(places) > 1 else 0, places] for places in draws],
        Influence.of([by_item[:, places] for places in draws]),
        np.array([degenerate[:, places].mean() for places in draws]),
    )


def _columns(sample: TaskSample, metric: Metric) -> tuple[NumpyFloat, Layout]:
    """Columns to add up, with zeros in the rows that do not count."""
    by_row, layout = columns(sample.truth, sample.predicted, sample.k, metric)
    if sample.counted is not None:
        by_row *= sample.counted[:, None]
    return by_row, layout


def draw_scores(sample: TaskSample, metric: Metric) -> list[NumpyFloat]:
    """Every unit's scores on one task, one per draw."""
    by_row, layout = _columns(sample, metric)
    lanes, _ = scores(by_row.sum(axis=0, keepdims=True, dtype=np.float64), layout, metric)
    return [lanes[0, list(unit.draws)] for unit in sample.units]


def plain_scores(sample: TaskSample, metric: Metric) -> list[float]:
    """Every unit's score on one task: the mean over its draws."""
    return [float(draws.mean()) for draws in draw_scores(sample, metric)]


def _summed(by_row: NumpyFloat, sample: TaskSample) -> NumpyFloat:
    """Columns summed over the rows of each group."""
    out = np.zeros((sample.num_groups, by_row.shape[1]), np.float32)
    np.add.at(out, np.asarray(sample.groups), by_row)
    return out


def _influence(items: NumpyFloat, layout: Layout, metric: Metric) -> NumpyFloat:
    """Jackknife influence values (n, L): (n - 1) times what leaving an item out takes away from the mean of these.

    Items that count the same are left out once.
    """
    kinds, of = np.unique(items, axis=0, return_inverse=True)
    total = items.sum(axis=0, dtype=np.float64)
    without, _ = scores(total - kinds, layout, metric)
    counts = np.bincount(np.ravel(of), minlength=len(kinds))
    centre = (counts[:, None] * without).sum(axis=0) / len(items)
    values: NumpyFloat = ((len(items) - 1) * (centre - without))[np.ravel(of)]
    return values
