"""The official GENEB board as data: MCC by model, task and regime. Points only; see data/ATTRIBUTION.md."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files

REGIMES: tuple[str, ...] = ("full", "10shot", "1shot")


@lru_cache(maxsize=len(REGIMES))
def task_mcc(regime: str) -> Mapping[str, Mapping[str, float]]:
    """MCC of every model on every task, {model: {task: mcc}}; empty for a regime that the board does not have."""
    if regime not in REGIMES:
        return {}
    text = files(__package__).joinpath("data", f"mcc_per_task_{regime}.csv").read_text(encoding="utf-8")
    return {
        row["model"]: {task: float(value) for task, value in row.items() if task != "model"}
        for row in csv.DictReader(text.splitlines())
    }


def known_tasks(tasks: Iterable[str]) -> list[str]:
    """Those of the tasks that are on the board."""
    board = next(iter(task_mcc("full").values()))
    return [task for task in tasks if task in board]
