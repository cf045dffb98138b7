"""Progress of an embed run: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Task
    from rich.text import Text

_LINE_EVERY = 30.0


class Meter(Protocol):
    """Something that counts sequences."""

    def advance(self, count: int) -> None:
        """``count`` more sequences are embedded."""


class _Silent:
    def advance(self, count: int) -> None:
        pass


class _Lines:
    """One line at most every 30 seconds, on standard error."""

    def __init__(self, name: str, pending: int) -> None:
        self._name, self._pending = name, pending
        self._done = 0
        self._start = self._last = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._last >= _LINE_EVERY:
            self._last = now
            rate = self._done / max(now - self._start, 1e-9)
            left = _clock((self._pending - self._done) / max(rate, 1e-9))
            _say(f"{self._name}: {self._done:,} of {self._pending:,} sequences, {rate:,.0f}/s, {left} left")


@contextmanager
def open_meter(name: str, pending: int, distinct: int, saved: int, *, shown: bool) -> Iterator[Meter]:
    """Say what is to be done, then count it."""
    if not shown:
        yield _Silent()
        return
    _say(_opening(name, pending, distinct, saved))
    if not pending:
        yield _Silent()
    elif not sys.stderr.isatty():
        yield _Lines(name, pending)
    else:
        with _bar(name, pending) as meter:
            yield meter


@contextmanager
def _bar(name: str, pending: int) -> Iterator[Meter]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} seq/s" if speed else "… seq/s", style="cyan")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        Remaining(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        row = progress.add_task(name, total=pending)

        class Bar:
            def advance(self, count: int) -> None:
                progress.advance(row, count)

        yield Bar()


def _opening(name: str, pending: int, distinct: int, saved: int) -> str:
    parts = [f"{name}: {pending:,} sequences to embed"]
    if distinct > pending:
        parts.append(f"{distinct - pending:,} are in the store already")
    if saved:
        parts.append(f"{saved:,} repeats need no work")
    return "; ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - progress is meant for the terminal
