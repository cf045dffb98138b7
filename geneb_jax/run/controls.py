"""Scores of controls and real scores are never put into one table.

Which control a run is of stands in its suite's name, in its tasks' ids and in the column ``control`` of its records
(`geneb_jax.task.control`). A run directory holds one suite, so it is of one control or of none; the rule is held where
several runs are looked at together (`run.runs`) and when records become scores (`stats.aggregate`).
"""

from __future__ import annotations

from collections.abc import Iterable

from geneb_jax.errors import UsageError
from geneb_jax.task.control import split_name

NEVER = "scores of a control and other scores are never put into one table"


def control_of(task: str) -> str | None:
    """The control that a task's id or a suite's name tells of; None for a real one."""
    control = split_name(task)[1]
    return None if control is None else str(control)


def control_sentence(suite: str) -> str | None:
    """What was done to the data of a control, by its suite's name, in words; None for a real one."""
    control = split_name(suite)[1]
    return None if control is None else control.sentence


def require_one_control(sources: Iterable[tuple[str, str | None]]) -> None:
    """Raise UsageError where some sources, given with their control, are real and others are not, or of another."""
    found: dict[str | None, list[str]] = {}
    for name, control in sources:
        found.setdefault(control, []).append(name)
    if len(found) > 1:
        where = "; ".join(f"{control or 'real'}: {', '.join(dict.fromkeys(n))}" for control, n in found.items())
        raise UsageError(NEVER, where=where, cure="look at each on its own; docs/controls.md says how they are read")
