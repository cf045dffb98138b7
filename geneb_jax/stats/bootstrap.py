"""Bootstrap distributions of task scores, and of whatever is a weighted mean of them.

What varies is named by `Source`:

- ``rows``: the test rows. Rows (or groups of rows) of a task are drawn with replacement, the same resample for all
  series, regimes and draws of the task, so that any two of them are paired.
- ``draws``: the few-shot draws. Draws of a task are drawn with replacement, the same ones for all series; their
  weights are spread by √(D/(D-1)), which makes the variance of a mean of D draws unbiased (D is five in GENEB).
- ``both``: rows and draws at once, independently of each other.

Tasks are resampled independently of one another. "Would other tasks rank the encoders so?" is another question, asked
by `task_resampled`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.stats.aggregate import Metric
from geneb_jax.stats.counts import Layout, columns, scores
from geneb_jax.stats.samples import TaskSample, Unit
from geneb_kernels.resample import resample_weights, resampled_sums

Source = Literal["rows", "draws", "both"]
SOURCES: Final[tuple[Source, ...]] = ("rows", "draws", "both")

RESAMPLES: Final = 10_000

_ROWS, _DRAWS, _TASKS = 0, 1, 2
"""Last part of a key: what is resampled."""


BLOCK_NUMBERS: Final = 8_000_000
"""Scores of resamples that are held at a time: hundreds of draws are scored some units at a time."""


@dataclass(frozen=True)
class Influence:
    """What influence values U of n items add up to: Σ U²/n² (U,), an estimate of the variance, and Σ U³/n³.

    Both add up over independent samples.
    """

    squares: NumpyFloat
    cubes: NumpyFloat

    def __add__(self, other: Self) -> Influence:
        return Influence(self.squares + other.squares, self.cubes + other.cubes)

    def __mul__(self, share: float) -> Influence:
        return Influence(share**2 * self.squares, share**3 * self.cubes)

    def __getitem__(self, units: int | NumpyInt) -> Influence:
        return Influence(self.squares[units], self.cubes[units])


@dataclass(frozen=True)
class Distribution:
    """Scores of U units: estimates (U,), bootstrap values (b, U), and the influence of the rows and of the draws.

    `degenerate` (U,) is the share of values with a score of 0 by convention, in the worst of what was added up.
    Distributions of independent samples add up, and units are taken out with an index.
    """

    estimate: NumpyFloat
    values: NumpyFloat
    rows: Influence
    draws: Influence
    source: Source
    degenerate: NumpyFloat

    @property
    def acceleration(self) -> NumpyFloat:
        """BCa's a (U,), the multi-sample acceleration Σ U³/n³ / (6 (Σ U²/n²)^1.5); 0 where nothing varies."""
        both = {"rows": self.rows, "draws": self.draws, "both": self.rows + self.draws}[self.source]
        return acceleration(both.squares, both.cubes)

    def __add__(self, other: Self) -> Distribution:
        return Distribution(
            self.estimate + other.estimate,
            self.values + other.values,
            self.rows + other.rows,
            self.draws + other.draws,
            self.source,
            np.maximum(self.degenerate, other.degenerate),
        )

    def __mul__(self, share: float) -> Distribution:
        return Distribution(
            share * self.estimate,
            share * self.values,
            self.rows * share,
            self.draws * share,
            self.source,
            self.degenerate,
        )

    def __getitem__(self, units: int | NumpyInt) -> Distribution:
        return Distribution(
            self.estimate[units],
            self.values[:, units],
            self.rows[units],
            self.draws[units],
            self.source,
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
    source: Source = "rows",
    resamples: int = RESAMPLES,
    seed: int = 0,
    influence: bool = True,
) -> Distribution:
    """The distribution of every unit's score on one task: the mean over its draws.

    influence: whether that of the rows is wanted, which BCa and variances use; else it is 0.
    """
    most = max(1, BLOCK_NUMBERS // resamples)
    parts = [
        _distribution(sample.only(units), metric, source, resamples, seed, influence)
        for units in _blocks(sample.units, most)
    ]
    if len(parts) == 1:
        return parts[0]

    def joined(*columns: NumpyFloat) -> NumpyFloat:
        return np.concatenate(columns, axis=-1)

    return Distribution(
        joined(*(part.estimate for part in parts)),
        joined(*(part.values for part in parts)),
        Influence(joined(*(p.rows.squares for p in parts)), joined(*(p.rows.cubes for p in parts))),
        Influence(joined(*(p.draws.squares for p in parts)), joined(*(p.draws.cubes for p in parts))),
        source,
        joined(*(part.degenerate for part in parts)),
    )


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


def _distribution(
    sample: TaskSample, metric: Metric, source: Source, resamples: int, seed: int, influence: bool
) -> Distribution:
    by_row, layout = _columns(sample, metric)
    estimate, plain = scores(by_row.sum(axis=0, keepdims=True, dtype=np.float64), layout, metric)
    draws = [np.asarray(unit.draws) for unit in sample.units]
    means = np.array([estimate[0, places].mean() for places in draws])
    items = by_row if sample.groups is None else _summed(by_row, sample)
    by_item = _influence(items, layout, metric) / len(items) if influence else np.zeros((1, estimate.size))
    lanes, degenerate = estimate, plain
    if source != "draws":
        lanes, degenerate = scores(resampled_sums(task_key(seed, sample.task, _ROWS), items, resamples), layout, metric)
    values = np.empty((resamples, len(draws)))
    shares: dict[int, NumpyFloat] = {}
    for i, places in enumerate(draws):
        D = len(places)
        if source == "rows" or D == 1:
            values[:, i] = lanes[:, places].mean(axis=1)
            continue
        if D not in shares:
            shares[D] = _draw_shares(task_key(seed, sample.task, _DRAWS), resamples, D)
        values[:, i] = (lanes[:, places] * shares[D]).sum(axis=1)
    return Distribution(
        means,
        values,
        _sums([by_item[:, places].mean(axis=1) for places in draws]),
        _sums([_draw_influence(estimate[0, places]) for places in draws]),
        source,
        np.array([degenerate[:, places].mean() for places in draws]),
    )


def _columns(sample: TaskSample, metric: Metric) -> tuple[NumpyFloat, Layout]:
    """Columns to add up, with zeros in the rows that do not count."""
    by_row, layout = columns(sample.truth, sample.predicted, sample.k, metric)
    if sample.counted is not None:
        by_row *= sample.counted[:, None]
    return by_row, layout


def _sums(by_unit: Sequence[NumpyFloat]) -> Influence:
    """From U/n of every unit's items."""
    return Influence(np.array([(own**2).sum() for own in by_unit]), np.array([(own**3).sum() for own in by_unit]))


def _draw_influence(lanes: NumpyFloat) -> NumpyFloat:
    """U/n of D draws with scores (D,), spread as their resamples are; nothing varies with one draw."""
    D = len(lanes)
    return np.asarray((lanes - lanes.mean()) / np.sqrt(D * max(1, D - 1)))


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


def _draw_shares(key: tuple[int, ...], resamples: int, D: int) -> NumpyFloat:
    """Weights (b, D) of D draws in their mean, one row per resample."""
    generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence(key, spawn_key=(D,))))
    weights = resample_weights(generator, resamples, D).astype(np.float64)
    shares: NumpyFloat = (1 + (weights - 1) * np.sqrt(D / (D - 1))) / D
    return shares


def task_resampled(
    scores_by_task: NumpyFloat, categories: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[NumpyFloat, NumpyFloat]:
    """(macro, micro) (b, U) when the tasks themselves are drawn anew, from scores (t, U) and their categories.

    Macro draws within each category, as many as it has, so a category of one task does not vary; micro draws from
    all tasks.
    """
    names = np.asarray(categories)
    t, U = scores_by_task.shape
    macro = np.zeros((resamples, U))
    kinds = sorted(set(categories))
    for i, name in enumerate(kinds):
        rows = np.flatnonzero(names == name)
        generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, i, _TASKS))))
        macro += resample_weights(generator, resamples, len(rows)) @ scores_by_task[rows] / len(rows) / len(kinds)
    generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, len(kinds), _TASKS))))
    return macro, resample_weights(generator, resamples, t) @ scores_by_task / t
