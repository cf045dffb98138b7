"""Sign and meaning of every mark: one list for tables, pages, charts, files and headlines."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from geneb_jax.stats.marks import DEFAULT_C, DEGENERATE_MARKS, LEAKED, SHORT, UNREAD
from geneb_jax.stats.uncertainty import DEGENERATE, SMALL, SMALL_CLASS
from geneb_jax.status import Status

MARKS: Final = {
    **{status.label: (status.mark, f"{status.label.replace('_', ' ')}: {status.sentence}")
       for status in Status if status.mark},
    LEAKED: ("∩", "test rows of the task also stand in its training rows, so the score is too high where sequences are "
             "remembered; `geneb leakage` scores without them"),
    SHORT: ("↓", "some class has fewer training rows than the regime asks for: all that there are were taken"),
    UNREAD: ("¶", "the encoder did not read all letters: some were cut off, or over 1 % unknown to it"),
    DEFAULT_C: ("§", "too few rows per class to hold any out: no C was chosen, a fixed one was used"),
    "one class": (
        "°", f"in {DEGENERATE:.0%} or more of the resamples one class was all there was, and the score 0 by rule"
    ),
    "few rows": (
        "˙", f"fewer than {SMALL} test rows, or {SMALL_CLASS} of the rarest class (or groups): too short an interval"
    ),
    "perfect": (
        "⁺", "no wrong row in a task: the lower end comes from Clopper and Pearson's bound of the share of wrong rows"
    ),
    "no draws": ("¹", "a single draw or fit: its interval holds no variance of draws"),
    "one task": (
        "²", "a category of one task cannot tell how its tasks differ: they are taken to differ as the others' do"
    ),
    "partial": ("…", "tasks of the suite are missing; not to be compared with other sets of tasks"),
}  # fmt: skip
"""(sign, meaning) by the mark's name, in the order in which signs stand."""


def signs_of(marks: Collection[str]) -> str:
    """The signs of some marks, each once."""
    return "".join(dict.fromkeys(sign for name, (sign, _) in MARKS.items() if name in marks))


def is_certain(low: float, high: float, marks: Collection[str]) -> bool:
    """Whether an interval has no width because its score is 0 by rule, which is no certainty about the encoder."""
    return low == high and bool(DEGENERATE_MARKS & set(marks))


def ends_text(low: float | None, high: float | None, marks: Collection[str], *, to: str = " to ") -> str:
    """An interval; a dash where there is none, and for a score that is 0 by rule and would look certain."""
    if low is None or high is None or is_certain(low, high, marks):
        return "–"
    return f"{low:.3f}{to}{high:.3f}"
