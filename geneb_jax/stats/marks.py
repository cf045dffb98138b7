"""What must be said beside a score wherever it stands: the marks of its fits and of its task, by name.

A mark is named by the label of a status (`geneb_jax.status`), or by one of the names here. A mean has the marks of all
that is in it. Signs and sentences are in `geneb_jax.report.marks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from geneb_jax.run.meta import TaskMeta
from geneb_jax.run.reading import Letters
from geneb_jax.status import Status

LEAKED: Final = "leaked"
"""Some test rows of the task also stand in its training rows."""
SHORT: Final = "short of rows"
"""Some class of the training rows has fewer rows than the regime asks for."""
DEFAULT_C: Final = "default C"
"""No C could be chosen on held-out rows."""

UNREAD: Final = "unread"
"""The encoder did not read all letters of the task: some were cut, or over `UNREAD_SHARE` were unknown to it."""
UNREAD_SHARE: Final = 0.01

STATUS_MARKS: Final = tuple(status.label for status in Status if status.mark)
DEGENERATE_MARKS: Final = frozenset(status.label for status in Status if status.is_degenerate)


def is_unread(letters: Letters | None) -> bool:
    """Whether letters of a task were cut or too many unknown, or the user went on in spite of that."""
    if letters is None:
        return False
    return bool(letters.cut_letters or letters.allowed or letters.unread > UNREAD_SHARE * letters.letters)


def is_short(regime: str, n_train: int | None, num_classes: int | None) -> bool:
    """Whether a few-shot fit saw fewer rows than its regime asks for of every class."""
    if regime == "full" or not n_train or not num_classes:
        return False
    return n_train < int(regime.removesuffix("shot")) * num_classes


def fit_marks(row: Mapping[str, Any], task: TaskMeta | None, letters: Letters | None) -> frozenset[str]:
    """The marks of one record, by its columns status, regime, n_train, num_classes and c_selection."""
    found = {row["status"]} & set(STATUS_MARKS)
    found |= {SHORT} if is_short(row["regime"], row["n_train"], row["num_classes"]) else set()
    found |= {UNREAD} if is_unread(letters) else set()
    found |= {DEFAULT_C} if row["c_selection"] == "default" else set()
    return frozenset(found | ({LEAKED} if task is not None and task.leaked else set()))
