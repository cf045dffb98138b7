"""Bootstrap scores of a whole study: the same resamples of test rows for every encoder under every setting."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.stats.aggregate import Metric, Series
from geneb_jax.stats.bootstrap import RESAMPLES, Distribution, Source, task_distribution
from geneb_jax.stats.means import CategorySums
from geneb_jax.stats.samples import TaskSample
from geneb_jax.stats.sensitivity.settings import Setting
from geneb_jax.stats.sensitivity.study import Study
from geneb_jax.stats.testing.few_draws import FewDraws
from geneb_jax.stats.ties import comparable


@dataclass(frozen=True)
class Resampled:
    """Bootstrap distributions of every mean over tasks by its name, and `columns`, where in them a unit is."""

    distributions: dict[str, Distribution]
    columns: dict[tuple[Series, str], int]

    def of(self, study: Study, setting: Setting, name: str) -> NumpyFloat:
        """Values (b, E) of all encoders under one setting; NaN where an encoder lacks it."""
        values = self.distributions[name].values
        out = np.full((len(values), len(study.encoders)), np.nan)
        for row, series in enumerate(study.series[setting]):
            if series is not None:
                out[:, row] = comparable(values[:, self.columns[series, setting.shots]])
        return out

    def few_draws(
        self, study: Study, setting: Setting, name: str, first: NumpyInt, second: NumpyInt
    ) -> FewDraws | None:
        """What draws add to differences (h,) of encoders under one setting, where they are few."""
        series = study.series[setting]
        columns = np.array([-1 if s is None else self.columns[s, setting.shots] for s in series])
        return self.distributions[name].few_draws(columns[first], columns[second])


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
    sums: CategorySums[Distribution] = CategorySums()
    for sample in samples:
        if sample.task in study.tasks:
            own = sample.only([unit for unit in sample.units if unit.name in columns])
            spread = task_distribution(own, metric, source=source, resamples=resamples, seed=seed, influence=False)
            place = {unit.name: i for i, unit in enumerate(own.units)}
            sums.add(sample.category, spread[np.array([place[name] for name in columns])])
        if done is not None:
            done(sample)
    return Resampled({mean.name: mean.value for mean in sums.means() if mean.scope != "micro"}, columns)
