"""Scores of many models on many tasks: the published board, runs of ours, or both, as one table per regime."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from geneb_jax.axes import NumpyBool, NumpyFloat
from geneb_jax.errors import UsageError, unknown_name
from geneb_jax.published import REGIMES, SizeVersion, models, task_mcc, tasks
from geneb_jax.stats.aggregate import Series
from geneb_jax.stats.analysis.sampled import Sampled
from geneb_jax.stats.bootstrap import RESAMPLES, Source, task_distribution
from geneb_jax.stats.placing import no_common_task
from geneb_jax.stats.samples import TaskSample
from geneb_jax.stats.ties import comparable

OURS: Final = " (yours)"
"""Stands behind the name of a model of a run, beside published ones."""


@dataclass(frozen=True)
class Entry:
    """How a series of a run stands on a board: a key that is unique there, a name for tables, its number of weights.

    The key of a registry model is its official id, so that labels and pairs of the board apply. `size` is None where it
    is not known.
    """

    key: str
    name: str
    size: int | None = None


@dataclass(frozen=True, eq=False)
class ScoreBoard:
    """MCC of models on tasks, by regime: `scores` (n, t) with NaN where one is missing.

    `resamples` (b, v, t) are bootstrap values of the models in `ours` (v,), the same resamples of test rows for all.
    """

    models: tuple[str, ...]
    names: Mapping[str, str]
    tasks: tuple[str, ...]
    categories: tuple[str, ...]
    scores: Mapping[str, NumpyFloat]
    sizes: Mapping[str, int]
    ours: tuple[str, ...] = ()
    resamples: Mapping[str, NumpyFloat] = field(default_factory=dict)

    @classmethod
    def published(cls, sizes: SizeVersion = "board", *, self_reported: bool = False) -> ScoreBoard:
        """The official board: the 40 models of the paper, and with `self_reported` the one that joined since."""
        held = [one for one in models().values() if one.official or self_reported]
        known = {one.model: one.size(sizes) for one in held}
        return cls(
            models=tuple(known),
            names={one.model: one.display for one in held},
            tasks=tuple(task.id for task in tasks()),
            categories=tuple(task.category for task in tasks()),
            scores={
                regime: np.array([[task_mcc(regime)[one.model][task.id] for task in tasks()] for one in held])
                for regime in REGIMES
            },
            sizes={model: size for model, size in known.items() if size is not None},
        )

    @classmethod
    def of_runs(
        cls,
        samples: Iterable[TaskSample],
        entries: Mapping[Series, Entry],
        *,
        source: Source = "both",
        resamples: int = RESAMPLES,
        seed: int = 0,
        done: Callable[[TaskSample], None] | None = None,
    ) -> ScoreBoard:
        """The board of the series in `samples`, with resamples; `entries` says how each of them stands on it.

        Raises:
            UsageError: two series have one key.
        """
        keys = [one.key for one in entries.values()]
        for key in keys:
            if keys.count(key) > 1:
                raise UsageError(f"two series of these runs would both stand as {key!r} on the board",
                                 cure="name runs of one probe setting, or fewer of them")  # fmt: skip
        held: dict[str, tuple[str, dict[tuple[str, str], tuple[float, NumpyFloat]]]] = {}
        for sample in samples:
            spread = task_distribution(
                sample, "mcc", source=source, resamples=resamples, seed=seed, influence=False
            )  # fmt: skip
            held[sample.task] = (sample.category, {
                (unit.regime, entries[unit.series].key): (float(spread.estimate[i]), spread.values[:, i])
                for i, unit in enumerate(sample.units)
            })  # fmt: skip
            if done is not None:
                done(sample)
        regimes = dict.fromkeys(regime for _, units in held.values() for regime, _ in units)
        scores = {regime: np.full((len(keys), len(held)), np.nan) for regime in regimes}
        drawn = {regime: np.full((resamples, len(keys), len(held)), np.nan) for regime in regimes}
        for t, (_, units) in enumerate(held.values()):
            for (regime, key), (estimate, values) in units.items():
                scores[regime][keys.index(key), t] = estimate
                drawn[regime][:, keys.index(key), t] = values
        return cls(
            models=tuple(keys),
            names={one.key: one.name for one in entries.values()},
            tasks=tuple(held),
            categories=tuple(category for category, _ in held.values()),
            scores=scores,
            sizes={one.key: one.size for one in entries.values() if one.size is not None},
            ours=tuple(keys),
            resamples=drawn,
        )

    def beside(self, other: ScoreBoard) -> ScoreBoard:
        """This board with the models of a run's board behind its own, on the tasks and regimes that both have.

        Raises:
            UsageError: they share no task.
        """
        shared = [task for task in self.tasks if task in other.tasks]
        if not shared:
            raise no_common_task()
        mine, theirs = ([board.tasks.index(task) for task in shared] for board in (self, other))
        keys = {key: f"{key}{OURS}" for key in other.models}
        regimes = [regime for regime in self.scores if regime in other.scores]
        return ScoreBoard(
            models=(*self.models, *keys.values()),
            names={**self.names, **{keys[key]: f"{name}{OURS}" for key, name in other.names.items()}},
            tasks=tuple(shared),
            categories=tuple(self.categories[t] for t in mine),
            scores={r: np.concatenate([self.scores[r][:, mine], other.scores[r][:, theirs]]) for r in regimes},
            sizes={**self.sizes, **{keys[key]: size for key, size in other.sizes.items()}},
            ours=tuple(keys[key] for key in other.ours),
            resamples={r: other.resamples[r][..., theirs] for r in regimes if r in other.resamples},
        )

    @property
    def regimes(self) -> tuple[str, ...]:
        """Regimes with scores."""
        return tuple(self.scores)

    def select(self, wanted: Collection[str]) -> ScoreBoard:
        """The board of some of its models."""
        keep = [i for i, model in enumerate(self.models) if model in wanted]
        own = [i for i, model in enumerate(self.ours) if model in wanted]
        return replace(
            self,
            models=tuple(self.models[i] for i in keep),
            scores={regime: table[keep] for regime, table in self.scores.items()},
            ours=tuple(self.ours[i] for i in own),
            resamples={regime: table[:, own] for regime, table in self.resamples.items()} if own else {},
        )

    def sized(self) -> tuple[ScoreBoard, NumpyFloat]:
        """The board of the models whose size is known, and the sizes (n,). Raises UsageError where there is none."""
        board = self.select(self.sizes)
        if not board.models:
            raise UsageError(
                "the size of no model is known",
                cure="say the sizes with --size NAME=NUMBER, or look at the runs beside the board with --published",
            )
        return board, np.array([self.sizes[model] for model in board.models], np.float64)

    def place(self, model: str) -> int:
        """The model's row. Raises UnknownNameError."""
        if model not in self.models:
            raise unknown_name("model", model, self.models)
        return self.models.index(model)

    def common(self, *regimes: str) -> NumpyBool:
        """Which tasks (t,) every model has in all of these regimes: the means are over these."""
        for regime in regimes:
            if regime not in self.scores:
                raise unknown_name("regime", regime, self.scores)
        finite: NumpyBool = np.all([np.isfinite(self.scores[regime]).all(axis=0) for regime in regimes], axis=0)
        return finite

    def by_task(self, regime: str, tasks: NumpyBool | None = None) -> Sampled:
        """Scores (n, t) on `tasks`, by default those that every model has.

        These and all means of them are multiples of 2⁻⁴⁰ (`geneb_jax.stats.ties`), so that equal ones are equal.
        """
        keep = self.common(regime) if tasks is None else tasks
        if regime not in self.resamples:
            return Sampled(comparable(self.scores[regime][:, keep]))
        rows = np.array([self.models.index(model) for model in self.ours], np.int64)
        return Sampled(comparable(self.scores[regime][:, keep]), comparable(self.resamples[regime][..., keep]), rows)

    def scopes(self, regime: str) -> tuple[str, ...]:
        """The categories that have a task in this regime."""
        return self.by_category(regime)[0]

    def by_category(self, regime: str, tasks: NumpyBool | None = None) -> tuple[tuple[str, ...], Sampled]:
        """The categories of `tasks`, and their means (n, k)."""
        keep = self.common(regime) if tasks is None else tasks
        kinds = np.asarray(self.categories)[keep]
        names = tuple(dict.fromkeys(map(str, kinds)))
        members = [kinds == name for name in names]
        return names, self.by_task(regime, keep).each(
            lambda x: comparable(np.stack([x[..., own].mean(axis=-1) for own in members], axis=-1))
        )

    def score(self, regime: str, scope: str = "macro", tasks: NumpyBool | None = None) -> Sampled:
        """Means (n,) of one scope: macro, micro, or the name of a category.

        Raises:
            UsageError: no task is left that every model has.
            UnknownNameError: no such scope.
        """
        keep = self.common(regime) if tasks is None else tasks
        if not keep.any():
            raise UsageError(f"no task has a score of every model in the regime {regime}", cure="name fewer runs")
        if scope == "micro":
            return self.by_task(regime, keep).each(lambda x: comparable(x.mean(axis=-1)))
        names, means = self.by_category(regime, keep)
        if scope == "macro":
            return means.each(lambda x: comparable(x.mean(axis=-1)))
        if scope not in names:
            raise unknown_name("category", scope, names)
        return means.each(lambda x: x[..., names.index(scope)])
