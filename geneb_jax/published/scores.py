"""The scores of the board: by task, by category, and their means; all MCC unless the name says otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from geneb_jax.published.table import read_table

REGIMES: Final[tuple[str, ...]] = ("full", "10shot", "1shot")


@dataclass(frozen=True)
class PublishedTask:
    """One task of the board; what more is stated of it is in `geneb_jax.task.load_suite("geneb")`."""

    id: str
    label: str
    category: str
    source_suite: str


@dataclass(frozen=True)
class BoardRow:
    """One model's line of the leaderboard in one regime; accuracy and F1 are published as macro means only."""

    model: str
    micro: float
    macro: float
    macro_accuracy: float
    macro_f1: float
    categories: Mapping[str, float]


@cache
def tasks() -> tuple[PublishedTask, ...]:
    """The 100 tasks in board order."""
    names = PublishedTask.__annotations__
    return tuple(PublishedTask(**{name: row[name] for name in names}) for row in read_table("tasks"))


@cache
def categories() -> tuple[str, ...]:
    """The 13 categories in board order."""
    return tuple(dict.fromkeys(task.category for task in tasks()))


@cache
def task_mcc(regime: str) -> Mapping[str, Mapping[str, float]]:
    """MCC of every model on every task, {model: {task: mcc}}; empty for a regime that the board does not have."""
    if regime not in REGIMES:
        return {}
    return MappingProxyType(
        {
            row["model"]: {task: float(value) for task, value in row.items() if task != "model"}
            for row in read_table(f"mcc_per_task_{regime}")
        }
    )


@cache
def leaderboard(regime: str) -> Mapping[str, BoardRow]:
    """The board's line of every model; empty for a regime that the board does not have."""
    return MappingProxyType(
        {
            row["model"]: BoardRow(
                row["model"],
                micro=float(row["micro_MCC"]),
                macro=float(row["macro_MCC"]),
                macro_accuracy=float(row["macro_Acc"]),
                macro_f1=float(row["macro_F1"]),
                categories={name: float(row[name]) for name in categories()},
            )
            for row in read_table("leaderboard_categories")
            if row["regime"] == regime
        }
    )


def category_mcc(regime: str) -> Mapping[str, Mapping[str, float]]:
    """MCC of every model in every category, {model: {category: mcc}}, as printed on the board."""
    return {model: row.categories for model, row in leaderboard(regime).items()}


def known_tasks(names: Iterable[str]) -> list[str]:
    """Those of the tasks that are on the board."""
    board = {task.id for task in tasks()}
    return [name for name in names if name in board]
