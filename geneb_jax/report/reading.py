"""What encoders did not read of a run's tasks: the mark beside a score, and a line for each below it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from geneb_jax.run.reading import Letters, letter_lines, letters_of_records
from geneb_jax.stats.aggregate import Aggregate, TaskScore

if TYPE_CHECKING:
    from geneb_jax.run.runs import Runs

UNREAD: Final = "¶"
"""The sign behind scores of tasks that the encoder did not read in full."""
UNREAD_SIGN: Final = (UNREAD, "the encoder did not read all letters: some were cut off, or over 1 % unknown to it")
_MARKED: Final = 0.01


class Reading:
    """What the records of runs say of every (encoder, task); older records say nothing, and so mark nothing."""

    def __init__(self, runs: Runs) -> None:
        self._tasks = letters_of_records(runs.records)

    def mark(self, found: Aggregate | TaskScore) -> str:
        """The sign where some letters were cut, or more than 1 % of a task's were unknown, or the user went on."""
        tasks = self._tasks.get(found.series.encoder_digest, {})
        chosen = [tasks.get(found.task)] if isinstance(found, TaskScore) else list(tasks.values())
        return UNREAD if any(one is not None and _is_marked(one) for one in chosen) else ""

    def lines(self, digest: str, name: str, most: int = 3) -> Iterator[str]:
        """What one encoder did not read, the worst tasks first."""
        tasks = self._tasks.get(digest)
        if tasks:
            yield from letter_lines(name, tasks, most)


def _is_marked(letters: Letters) -> bool:
    return bool(letters.cut_letters or letters.allowed or letters.unread > _MARKED * letters.letters)
