"""Our scores beside the published ones, on the tasks that both have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from geneb_jax.published import known_tasks, task_mcc
from geneb_jax.stats.aggregate import Series, macro_micro
from geneb_jax.stats.uncertainty import Score


@dataclass(frozen=True)
class Place:
    """Where one of our macro scores would stand among the published models: 1 is in front of all.

    `place_low` … `place_high` are its places at the ends of our interval. The published scores are points: what is
    uncertain about them is not in these numbers. `above` and `below` are the published neighbours.
    """

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


def published_macro(regime: str, categories: Mapping[str, str]) -> dict[str, float]:
    """Macro MCC of the published models over some tasks {task: category}, best first."""
    found = {}
    for model, values in task_mcc(regime).items():
        both = macro_micro({task: values[task] for task in categories}, categories)
        if both is not None:
            found[model] = both[0]
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def places(scores: Iterable[Score], tasks: Mapping[tuple[Series, str], Mapping[str, str]]) -> list[Place]:
    """Places of the macro scores among `scores`, which must be MCC over published tasks alone.

    `tasks` gives {task: category} of every (series, regime). Regimes that the board does not have are left out.
    """
    found = []
    for score in scores:
        own = tasks.get((score.series, score.regime), {})
        if score.scope != "macro" or score.metric != "mcc" or not own or len(known_tasks(own)) < len(own):
            continue
        board = published_macro(score.regime, own)
        if not board:
            continue
        ahead = [(name, value) for name, value in board.items() if value > score.estimate]
        behind = [(name, value) for name, value in board.items() if value <= score.estimate]
        found.append(
            Place(
                score.series, score.regime, score.estimate, score.low, score.high,
                place=len(ahead) + 1,
                place_low=sum(value > score.high for value in board.values()) + 1,
                place_high=sum(value > score.low for value in board.values()) + 1,
                num_models=len(board), num_tasks=len(own),
                above=ahead[-1] if ahead else None, below=behind[0] if behind else None,
            )
        )  # fmt: skip
    return found
