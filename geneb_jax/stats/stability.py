"""How many draws a ranking needs: the ranking by a few draws against the ranking by all the others.

Of D draws, d are taken at random without replacement, and their means rank the series; the means of the other D - d
rank them again. So the two rankings share no draw, and their agreement is what a study of d draws has with another,
large one. A ranking by all D draws would be the wrong reference: it contains the d, and agrees with them the better
the closer d comes to D, whatever the noise. The reference is noisy as well, the more the closer d comes to D/2, which
makes agreement too small rather than too large. The test rows stay the same throughout.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import NamedTuple

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.stats.aggregate import Metric, Series
from geneb_jax.stats.bootstrap import draw_scores, task_key
from geneb_jax.stats.means import CommonSums, Scope
from geneb_jax.stats.rankings import kendall, ranks, top_overlap
from geneb_jax.stats.samples import TaskSample, shots_of

REPEATS = 2_000

_SUBSETS = 3
"""Last part of a key: which draws are taken."""


@dataclass(frozen=True)
class Agreement:
    """The ranking of `num_series` series by `draws` draws against that by `others` other draws, over random choices.

    kendall: mean tau-b, None where all series are always equal.
    best: chance that the same one leads. order: chance that the whole ranking is the same.
    """

    scope: Scope
    name: str
    regime: str
    num_series: int
    draws: int
    others: int
    kendall: float | None
    best: float
    order: float


@dataclass(frozen=True)
class Enough:
    """Fewest draws, of those tried up to `most`, from which on the chances of `Agreement` are at least `chance`.

    None: more than `most`.
    """

    scope: Scope
    name: str
    regime: str
    chance: float
    best: int | None
    order: int | None
    most: int


def ranking_agreement(
    samples: Iterable[TaskSample],
    *,
    scopes: Collection[Scope],
    metric: Metric = "mcc",
    repeats: int = REPEATS,
    seed: int = 0,
) -> list[Agreement]:
    """Agreement in every regime with draws, on the tasks that all of its series have."""
    tables: dict[str, list[_Table]] = {}
    for sample in samples:
        by_unit = draw_scores(sample, metric)
        for regime, places in sample.by_regime().items():
            own = {series: by_unit[place] for series, place in places.items()}
            most = max(map(len, own.values()))
            # of a series that lost draws it is not known which
            own = {series: draws for series, draws in own.items() if len(draws) == most}
            tables.setdefault(regime, []).append(
                _Table(sample.task, sample.category, tuple(own), np.stack(list(own.values()), axis=1))
            )
    found: list[Agreement] = []
    for regime in sorted(tables, key=lambda regime: shots_of(regime) or math.inf):
        of_tasks = tables[regime]
        D = min(len(table.scores) for table in of_tasks)
        sums: CommonSums[NumpyFloat] = CommonSums()
        for table in of_tasks:
            sums.add(regime, table.task, table.category, table.series, table.scores[:D])
            if "task" in scopes and len(table.series) > 1:
                found += _agreements("task", table.task, regime, table.scores[:D], repeats, seed)
        for common in sums.common().values():
            for mean in common.means:
                if mean.scope in scopes:
                    found += _agreements(mean.scope, mean.name, regime, mean.value, repeats, seed)
    return found


class _Table(NamedTuple):
    """Scores (D, s) of every draw and series of a task."""

    task: str
    category: str
    series: tuple[Series, ...]
    scores: NumpyFloat


def _agreements(
    scope: Scope, name: str, regime: str, scores: NumpyFloat, repeats: int, seed: int
) -> Iterator[Agreement]:
    D, num_series = scores.shape
    generator = np.random.default_rng(task_key(seed, f"{scope} {name} {regime}", _SUBSETS))
    place = generator.random((repeats, D)).argsort(axis=1)
    for d in _steps(D // 2):
        chosen = (place < d).astype(np.float64) @ scores
        few = chosen / d
        rest = (scores.sum(axis=0) - chosen) / (D - d)
        tau = kendall(few, rest)
        told = tau[~np.isnan(tau)]
        yield Agreement(
            scope, name, regime, num_series, d, D - d,
            kendall=float(np.mean(told)) if told.size else None,
            best=float(top_overlap(few, rest, 1).mean()),
            order=float((ranks(few) == ranks(rest)).all(axis=-1).mean()),
        )  # fmt: skip


def _steps(most: int) -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, … up to `most`."""
    return takewhile(lambda d: d <= most, (f * 10**e for e in count() for f in (1, 2, 5)))


def enough_draws(agreements: Iterable[Agreement], chance: float = 0.95) -> list[Enough]:
    """From how many draws on the leader, and the whole ranking, are those of the other draws with this chance."""
    groups: dict[tuple[Scope, str, str], list[Agreement]] = {}
    for one in agreements:
        groups.setdefault((one.scope, one.name, one.regime), []).append(one)
    return [
        Enough(
            *place,
            chance,
            _first([(one.draws, one.best >= chance) for one in group]),
            _first([(one.draws, one.order >= chance) for one in group]),
            group[-1].draws,
        )
        for place, group in groups.items()
    ]


def _first(passed: Sequence[tuple[int, bool]]) -> int | None:
    """The first number from which on all pass."""
    good = list(takewhile(lambda one: one[1], reversed(passed)))
    return good[-1][0] if good else None
