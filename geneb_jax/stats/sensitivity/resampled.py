"""Bootstrap scores of a whole study: the same resamples of test rows for every encoder under every setting."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.stats.aggregate import Metric, Series
from geneb_jax.stats.bootstrap import RESAMPLES, Source, task_distribution
from geneb_jax.stats.means import CategorySums
from geneb_jax.stats.samples import TaskSample
from geneb_jax.stats.sensitivity.settings import Setting
from geneb_jax.stats.sensitivity.study import Study
from geneb_jax.stats.ties import comparable


@dataclass(frozen=True)
class Resampled:
    """Bootstrap values of every mean over tasks: `values` (b, U) by the name of the mean, `columns` where a unit is."""

    values: dict[str, NumpyFloat]
    columns: dict[tuple[Series, str], int]

    def of(self, study: Study, setting: Setting, name: str) -> NumpyFloat:
        """Values (b, E) of all encoders under one setting; NaN where an encoder lacks it."""
        values = self.values[name]
        out = np.full((len(values), len(study.encoders)), np.nan)
        for row, series in enumerate(study.series[setting]):
            if series is not None:
                out[:, row] = comparable(values[:, self.columns[series, setting.shots]])
        return out


def resample_study(
    study: Study,
    samples: Iterable[TaskSample],
    *,
    metric: Metric = "mcc",
    source: Source = "both",
    resamples: int = RESAMPLES,
    seed: int = 0,
    done: Callable[[TaskSample], None] | None = None,
) -> Resampled:
    """Category means and macro of every encoder and setting in `resamples` resamples, over the study's tasks."""
    names = {(s, setting.shots) for setting, own in study.series.items() for s in own if s is not None}
    columns = {name: place for place, name in enumerate(sorted(names, key=str))}
    sums: CategorySums[NumpyFloat] = CategorySums()
    for sample in samples:
        if sample.task in study.tasks:
            own = sample.only([unit for unit in sample.units if unit.name in columns])
            spread = task_distribution(own, metric, source=source, resamples=resamples, seed=seed, influence=False)
            values = np.empty((resamples, len(columns)))
            values[:, [columns[unit.name] for unit in own.units]] = spread.values
            sums.add(sample.category, values)
        if done is not None:
            done(sample)
    return Resampled({mean.name: mean.value for mean in sums.means() if mean.scope != "micro"}, columns)
