"""What encoders did not read of a run's tasks: the mark beside a score, and a line for each below it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from geneb_jax.run.reading import letter_lines, letters_of_records
from geneb_jax.stats.marks import is_unread

if TYPE_CHECKING:
    from geneb_jax.run.runs import Runs


class Reading:
    """What the records of runs say of every (encoder, task); older records say nothing, and so mark nothing."""

    def __init__(self, runs: Runs) -> None:
        self._tasks = letters_of_records(runs.records)

    def is_marked(self, digest: str, task: str) -> bool:
        """Whether some letters were cut, or more than 1 % of the task's were unknown, or the user went on."""
        return is_unread(self._tasks.get(digest, {}).get(task))

    def lines(self, digest: str, name: str, most: int = 3) -> Iterator[str]:
        """What one encoder did not read, the worst tasks first."""
        tasks = self._tasks.get(digest)
        if tasks:
            yield from letter_lines(name, tasks, most)
