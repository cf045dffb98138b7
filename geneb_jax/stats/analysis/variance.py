"""Tasks on which models differ most, and which kinds of model take the first and the last places there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from geneb_jax.published import LabelVersion, models
from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, Estimate
from geneb_jax.stats.ties import above, best_first, order_of

THRESHOLD: Final = 0.12
PLACES: Final = 3

Kind = Literal["architecture", "pretraining", "tokenization"]
KINDS: Final[tuple[Kind, ...]] = ("architecture", "pretraining", "tokenization")


@dataclass(frozen=True)
class VariableTask:
    """A task, the standard deviation of its scores over models, and the models in its first and last places.

    Models with equal scores stand by their ids.
    """

    task: str
    category: str
    std: Estimate
    first: tuple[str, ...]
    last: tuple[str, ...]


@dataclass(frozen=True)
class PlacesOfLabel:
    """How many of the first and last places fall to models of one label, which `num_models` of the board have."""

    kind: Kind
    label: str
    num_models: int
    first: int
    last: int


def variable_tasks(
    board: ScoreBoard,
    *,
    ddof: Literal[0, 1],
    regime: str = "full",
    threshold: float = THRESHOLD,
    places: int = PLACES,
    level: float = LEVEL,
) -> list[VariableTask]:
    """Tasks whose standard deviation is above `threshold`, largest first.

    ddof: 0 divides by the number of models (population), 1 by one less (sample), as the deviations do
    that the paper prints.
    """
    keep = np.flatnonzero(board.common(regime))
    scores = board.by_task(regime)
    spread = scores.map(lambda x: x.std(axis=-2, ddof=ddof)).estimates(level)
    first, last = order_of(scores.value, board.models), order_of(-scores.value, board.models)
    found = [
        VariableTask(
            board.tasks[task],
            board.categories[task],
            std,
            tuple(board.models[i] for i in first[:places, t]),
            tuple(board.models[i] for i in last[:places, t]),
        )
        for t, (task, std) in enumerate(zip(keep, spread, strict=True))
        if above(std.value, threshold)
    ]
    return best_first(found, lambda one: one.std.value, lambda one: one.task)


def places_by_label(
    board: ScoreBoard, tasks: Iterable[VariableTask], *, kind: Kind, labels: LabelVersion
) -> list[PlacesOfLabel]:
    """Places in `tasks` by a label of the published models; others have none and are left out."""
    published = models()
    label = {m: getattr(published[m].labels(labels), kind) for m in board.models if m in published}
    tasks = list(tasks)
    first = Counter(label[m] for task in tasks for m in task.first if m in label)
    last = Counter(label[m] for task in tasks for m in task.last if m in label)
    held = Counter(label.values())
    found = [PlacesOfLabel(kind, name, number, first[name], last[name]) for name, number in held.items()]
    return sorted(found, key=lambda one: (-one.first, one.last, one.label))
