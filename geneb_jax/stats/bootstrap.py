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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from geneb_jax.axes import NumpyBool, NumpyFloat
from geneb_jax.stats.aggregate import Metric
from geneb_jax.stats.counts import Layout, columns, scores
from geneb_jax.stats.samples import TaskSample
from geneb_kernels.resample import resample_weights, resampled_sums

Source = Literal["rows", "draws", "both"]
SOURCES: Final[tuple[Source, ...]] = ("rows", "draws", "both")

RESAMPLES: Final = 10_000

_ROWS, _DRAWS, _TASKS = 0, 1, 2
"""Last part of a key: what is resampled."""


@dataclass(frozen=True)
class Distribution:
    """Scores of U units: estimates (U,), bootstrap values (b, U), and sums over influence values (U,).

    `cubes` and `squares` are Σ U³/n³ and Σ U²/n² of the multi-sample acceleration a = Σ U³/n³ / (6 (Σ U²/n²)^1.5);
    both add up over independent samples. `degenerate` (U,) is the share of values with a score of 0 by convention.
    """

    estimate: NumpyFloat
    values: NumpyFloat
    squares: NumpyFloat
    cubes: NumpyFloat
    degenerate: NumpyFloat

    @property
    def acceleration(self) -> NumpyFloat:
        """BCa's a (U,); 0 where nothing varies."""
        return acceleration(self.squares, self.cubes)


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

    influence: whether `squares` and `cubes` are wanted, which BCa alone uses; else they hold nothing of the rows.
    """
    by_row, layout = columns(sample.truth, sample.predicted, sample.k, metric)
    estimate, plain = scores(by_row.sum(axis=0, keepdims=True, dtype=np.float64), layout, metric)
    draws = [np.asarray(unit.draws) for unit in sample.units]
    means = np.array([estimate[0, places].mean() for places in draws])
    squares, cubes = np.zeros(len(draws)), np.zeros(len(draws))
    lanes, degenerate = estimate, plain
    if source != "draws":
        items = by_row if sample.groups is None else _summed(by_row, sample)
        lanes, degenerate = scores(resampled_sums(task_key(seed, sample.task, _ROWS), items, resamples), layout, metric)
        if influence:
            by_item = _influence(items, layout, metric)
            for i, places in enumerate(draws):
                own = by_item[:, places].mean(axis=1) / len(items)
                squares[i] += (own**2).sum()
                cubes[i] += (own**3).sum()
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
        own = (estimate[0, places] - means[i]) / np.sqrt(D * (D - 1))
        squares[i] += (own**2).sum()
        cubes[i] += (own**3).sum()
    lost = _by_unit(degenerate, draws)
    return Distribution(means, values, squares, cubes, lost)


def plain_scores(sample: TaskSample, metric: Metric) -> list[float]:
    """Every unit's score on one task: the mean over its draws."""
    by_row, layout = columns(sample.truth, sample.predicted, sample.k, metric)
    lanes, _ = scores(by_row.sum(axis=0, keepdims=True, dtype=np.float64), layout, metric)
    return [float(lanes[0, list(unit.draws)].mean()) for unit in sample.units]


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


def _by_unit(degenerate: NumpyBool, draws: Sequence[NumpyFloat]) -> NumpyFloat:
    return np.array([degenerate[:, places].mean() for places in draws])


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
