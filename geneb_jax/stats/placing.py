"""Our scores beside the published ones, on the tasks that both have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from geneb_jax.errors import UsageError
from geneb_jax.published import known_tasks, task_mcc
from geneb_jax.stats.aggregate import Series, category_means, macro_micro
from geneb_jax.stats.means import Scope
from geneb_jax.stats.ties import best_first, comparable
from geneb_jax.stats.uncertainty import Score


def no_common_task() -> UsageError:
    """The error for runs of which no task is on the board."""
    return UsageError(
        "none of the tasks in these runs is on the official board",
        cure="the board has the 100 tasks of the suite geneb: `geneb run … --suite geneb`",
    )


@dataclass(frozen=True)
class Place:
    """Where one of our macro or category scores would stand among the published models: 1 is in front of all.

    `place_low` … `place_high` are its places at the ends of our interval. The published scores are points: what is
    uncertain about them is not in these numbers. `above` and `below` are the published neighbours, `best` is the
    first published model; what our score is behind it is negative where ours is in front.
    """

    scope: Scope
    name: str
    series: Series
    regime: str
    estimate: float
    low: float
    high: float
    place: int
    place_low: int
    place_high: int
    num_models: int
    num_tasks: int
    above: tuple[str, float] | None
    below: tuple[str, float] | None
    best: tuple[str, float]
    marks: tuple[str, ...] = ()

    @property
    def behind(self) -> float:
        """The best published score minus ours."""
        return self.best[1] - self.estimate


def published_means(regime: str, categories: Mapping[str, str]) -> dict[tuple[Scope, str], dict[str, float]]:
    """Macro and category MCC of the published models over some tasks {task: category}, each best first."""
    found: dict[tuple[Scope, str], dict[str, float]] = {}
    for model, values in task_mcc(regime).items():
        own = {task: values[task] for task in categories}
        both = macro_micro(own, categories)
        if both is not None:
            found.setdefault(("macro", "macro"), {})[model] = both[0]
        for name, mean in category_means(own, categories).items():
            found.setdefault(("category", name), {})[model] = mean
    return {
        where: dict(best_first(means.items(), lambda item: item[1], lambda item: item[0]))
        for where, means in found.items()
    }


def places(scores: Iterable[Score], tasks: Mapping[tuple[Series, str], Mapping[str, str]]) -> list[Place]:
    """Places of the macro and category scores among `scores`, which must be MCC over published tasks alone.

    `tasks` gives {task: category} of every (series, regime). Regimes that the board does not have are left out. Of each
    regime macro comes first.
    """
    found = []
    boards: dict[tuple[str, tuple[str, ...]], dict[tuple[Scope, str], dict[str, float]]] = {}
    for score in scores:
        own = tasks.get((score.series, score.regime), {})
        if score.metric != "mcc" or not own or len(known_tasks(own)) < len(own):
            continue
        key = score.regime, tuple(own)
        if key not in boards:
            boards[key] = published_means(score.regime, own)
        board = boards[key].get((score.scope, score.name))
        if board:
            found.append(_place(score, board))
    order = list(dict.fromkeys(place.regime for place in found))
    return sorted(found, key=lambda place: (order.index(place.regime), place.scope != "macro"))


def _place(score: Score, board: Mapping[str, float]) -> Place:
    """Of one score among the published ones {model: score}, best first."""
    values = comparable(np.array(list(board.values())))
    place, low, high = (int((values > comparable(own)).sum()) + 1 for own in (score.estimate, score.high, score.low))
    ahead, behind = list(board.items())[: place - 1], list(board.items())[place - 1 :]
    return Place(
        score.scope, score.name, score.series, score.regime, score.estimate, score.low, score.high,
        place=place, place_low=low, place_high=high,
        num_models=len(board), num_tasks=score.num_tasks,
        above=ahead[-1] if ahead else None, below=behind[0] if behind else None,
        best=next(iter(board.items())),
        marks=score.marks,
    )  # fmt: skip
