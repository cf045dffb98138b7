"""The scores of a study, from the records of runs: every encoder under every setting, on the tasks that all have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.errors import UsageError
from geneb_jax.run.runs import Runs
from geneb_jax.run.views import View, find_views
from geneb_jax.stats.aggregate import Metric, Series, TaskScore, task_scores
from geneb_jax.stats.sensitivity.settings import NONE, Setting
from geneb_jax.status import Status

Grid = list[tuple[str | None, str | None]]


@dataclass(frozen=True)
class Study:
    """Encoders (E) under settings, on tasks (T) that all of them have.

    `series` names for every setting and encoder what was fitted, None where an encoder lacks that view. `draws` are
    scores (E, T, D), NaN where there is none; D is the number of draws that all tasks and encoders have, and their
    mean what is ranked where draws are not looked at. `statuses` counts, for every setting and encoder, the fits of
    these tasks that did not simply converge.
    """

    encoders: tuple[str, ...]
    settings: tuple[Setting, ...]
    tasks: tuple[str, ...]
    categories: tuple[str, ...]
    series: Mapping[Setting, tuple[Series | None, ...]]
    means: Mapping[Setting, NumpyFloat]
    draws: Mapping[Setting, NumpyFloat]
    left_out: tuple[str, ...]
    statuses: Mapping[Setting, tuple[Mapping[Status, int], ...]]


def read_study(runs: Runs, *, metric: Metric = "mcc", regimes: Sequence[str] | None = None) -> Study:
    """Gather the scores of runs by encoder and setting. `means` are (E, T), over each task's own draws.

    An encoder with a single view has the same vectors whatever the pooling and layer: it stands in all of them. Tasks
    without a score of some encoder and setting that occur are left out everywhere, and named.

    Raises:
        UsageError: one setting was fitted in two ways (engine, precision), or no task has all scores.
    """
    scored = set(runs.records["encoder_digest"].unique().to_pylist())
    views = find_views(encoder for encoder in runs.meta.encoders if encoder.digest in scored)
    probes = {probe["digest"]: probe for probe in runs.meta.settings.probes}
    names = {view.model: view.name for view in views.values()}
    rows = {model: row for row, model in enumerate(names)}
    grid = _grid(views.values())
    units: dict[tuple[int, Setting], dict[str, TaskScore]] = {}
    categories: dict[str, str] = {}
    for score in task_scores(runs.records, metric):
        if regimes is not None and score.regime not in regimes:
            continue
        categories[score.task] = score.category
        view = views[score.series.encoder_digest]
        for setting in _settings(score, view, grid, probes[score.series.probe_digest]):
            unit = units.setdefault((rows[view.model], setting), {})
            known = next(iter(unit.values()), score).series
            if known != score.series:
                raise UsageError(
                    f"{view.name} was fitted in two ways under one setting",
                    where=f"{setting.words()}: {_ways(known)} and {_ways(score.series)}",
                    cure="analyse runs of one engine and precision at a time",
                )
            unit.setdefault(score.task, score)
    held = {key: {task for task, score in unit.items() if score.mean is not None} for key, unit in units.items()}
    tasks = [task for task in categories if all(task in own for own in held.values())]
    if not tasks:
        raise _nothing_shared(list(names.values()), held)
    settings = tuple(dict.fromkeys(setting for _, setting in units))
    by_setting = {setting: [units.get((row, setting)) for row in rows.values()] for setting in settings}
    return Study(
        encoders=tuple(names.values()),
        settings=settings,
        tasks=tuple(tasks),
        categories=tuple(categories[task] for task in tasks),
        series={s: tuple(u[tasks[0]].series if u else None for u in own) for s, own in by_setting.items()},
        means={s: np.array([_means(u, tasks) for u in own], np.float64) for s, own in by_setting.items()},
        draws={s: _draws(own, tasks) for s, own in by_setting.items()},
        left_out=tuple(task for task in categories if task not in tasks),
        statuses={s: tuple(_statuses(u, tasks) for u in own) for s, own in by_setting.items()},
    )


def probe_type(probe: str) -> str:
    """A probe's name without what says that features are standardized."""
    return probe.replace("-standardized", "", 1)


def _nothing_shared(names: Sequence[str], held: Mapping[tuple[int, Setting], set[str]]) -> UsageError:
    """The error where no task is shared by all; it shows the first unit beside the one that shares least with it."""
    if not held:
        return UsageError("the runs hold no score to analyse", cure="fit some with `geneb probe`")
    first = next(iter(held))
    least = min(held, key=lambda key: len(held[key] & held[first]))
    return UsageError(
        "no task has a score of every encoder under every setting",
        where="; ".join(
            f"{names[row]} ({setting.words()}): {', '.join(sorted(held[row, setting])) or 'no task'}"
            for row, setting in dict.fromkeys((first, least))
        ),
        cure="name runs of the same tasks, or fit what is missing",
    )


def _ways(series: Series) -> str:
    return f"{series.engine} in {series.dtype} (probe {series.probe_digest[:6]}, encoder {series.encoder_digest[:6]})"


def _grid(views: Iterable[View]) -> Grid:
    """Every pooling and layer that some encoder with several views has."""
    return list(dict.fromkeys((v.pooling, v.layer) for v in views if v.pooling is not None)) or [(None, None)]


def _settings(score: TaskScore, view: View, grid: Grid, probe: Mapping[str, Any]) -> Iterable[Setting]:
    penalty = probe.get("C")
    pooled = len({pooling for pooling, _ in grid}) > 1
    layered = len({layer for _, layer in grid}) > 1
    for pooling, layer in grid if view.pooling is None else [(view.pooling, view.layer)]:
        yield Setting(
            probe=probe_type(score.series.probe),
            C=NONE if penalty is None else penalty if penalty == "auto" else f"{penalty:g}",
            pooling=str(pooling) if pooled else NONE,
            layer=str(layer) if layered else NONE,
            shots=score.regime,
            standardize="yes" if probe.get("standardize") else "no",
        )


def _statuses(unit: Mapping[str, TaskScore] | None, tasks: Sequence[str]) -> Mapping[Status, int]:
    found = Counter[Status]()
    for score in [] if unit is None else [unit[task] for task in tasks]:
        found.update({status: count for status, count in score.statuses.items() if status.mark})
    return found


def _means(unit: Mapping[str, TaskScore] | None, tasks: Sequence[str]) -> list[float | None]:
    return [None if unit is None else unit[task].mean for task in tasks]


def _draws(units: Sequence[Mapping[str, TaskScore] | None], tasks: Sequence[str]) -> NumpyFloat:
    """Scores (E, T, D) of the draws that all have a score of; at full data their mean alone, since there is one fit."""
    present = [unit[task] for unit, task in product((u for u in units if u is not None), tasks)]
    if present[0].regime == "full":
        return np.array([_means(unit, tasks) for unit in units], np.float64)[..., None]
    shared = set.intersection(*({seed for seed, value in one.draws.items() if value is not None} for one in present))
    seeds = [seed for seed in present[0].draws if seed in shared]
    nothing = [None] * len(seeds)
    return np.array(
        [[nothing if u is None else [u[task].draws[seed] for seed in seeds] for task in tasks] for u in units],
        np.float64,
    ).reshape(len(units), len(tasks), len(seeds))
