"""Tokens ahead, vectors here, writing behind: three stages of one run, each a block further than the next.

The vectors are computed in the calling thread, where Ctrl-C arrives. One thread prepares at most two blocks
ahead, another writes at most one block behind, so memory holds a handful of blocks whatever the suite's size.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

_AHEAD = 2
PHASES = ("read", "check", "tokenize", "encode", "write")

Block = TypeVar("Block")
Result = TypeVar("Result")


class Clock:
    """Wall time of the calling thread by phase, and how long the other threads were busy meanwhile."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.behind = {"tokenize": 0.0, "write": 0.0}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the block's time, whether or not it succeeds."""
        with _counted(self.seconds, name):
            yield


@contextmanager
def _counted(totals: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        totals[name] += time.perf_counter() - start


@dataclass
class Pipeline(Generic[Block, Result]):
    """The three stages; each is called with the blocks in order, and one call of a stage ends before its next.

    ``compute(block, prepared, check)`` calls ``check`` now and then: it raises what went wrong while writing.
    """

    prepare: Callable[[Block], Any]
    compute: Callable[[Block, Any, Callable[[], None]], Result]
    write: Callable[[Block, Result], None]
    clock: Clock = field(default_factory=Clock)

    def run(self, blocks: Sequence[Block]) -> None:
        """Work through the blocks. An error of a stage is raised when what came before it is written.

        So is an interrupt: blocks that were computed before it are kept.
        """
        reader = ThreadPoolExecutor(1, thread_name_prefix="geneb-tokens")
        writer = ThreadPoolExecutor(1, thread_name_prefix="geneb-writer")
        ahead: deque[Future[Any]] = deque()
        behind: deque[Future[None]] = deque()

        def check() -> None:
            if behind and behind[0].done():
                behind[0].result()

        try:
            for number, block in enumerate(blocks):
                while len(ahead) < _AHEAD + 1 and number + len(ahead) < len(blocks):
                    ahead.append(reader.submit(self._prepare, blocks[number + len(ahead)]))
                with self.clock.phase("tokenize"):
                    prepared = ahead.popleft().result()
                with self.clock.phase("encode"):
                    result = self.compute(block, prepared, check)
                with self.clock.phase("write"):
                    if behind:
                        behind.popleft().result()
                behind.append(writer.submit(self._write, block, result))
            with self.clock.phase("write"):
                for future in behind:
                    future.result()
        finally:
            _end(reader)
            _end(writer, wait_for_waiting=True)

    def _prepare(self, block: Block) -> Any:
        with _counted(self.clock.behind, "tokenize"):
            return self.prepare(block)

    def _write(self, block: Block, result: Result) -> None:
        with _counted(self.clock.behind, "write"):
            self.write(block, result)


def _end(pool: ThreadPoolExecutor, *, wait_for_waiting: bool = False) -> None:
    """Wait for a pool's thread, also when Ctrl-C is pressed once more: the store must not be let go of before."""
    pressed = False
    while True:
        try:
            pool.shutdown(wait=True, cancel_futures=not wait_for_waiting)
            break
        except KeyboardInterrupt:
            pressed = True
    if pressed:
        raise KeyboardInterrupt


@dataclass(frozen=True)
class Cut:
    """Sequences ``start`` to ``stop`` of the pending list, and the views whose rows are written after them."""

    start: int
    stop: int
    flush: tuple[int, ...]


def cut_blocks(needs: NDArray[np.bool_], rooms: Sequence[int], commit_rows: Sequence[int]) -> list[Cut]:
    """Cut the pending list where some view has a commit's worth of rows, so that commits end where they should.

    Args:
        needs: (views, n), which of the pending sequences a view lacks.
        rooms: rows that complete each view's first commit.
        commit_rows: rows of its later ones.
    """
    num_views, n = needs.shape
    ends: dict[int, list[int]] = {}
    for view in range(num_views):
        wanted = np.flatnonzero(needs[view]) + 1  # a commit that ends with this row ends after this position
        last = np.arange(rooms[view] - 1, len(wanted), commit_rows[view])
        stops = set(wanted[last].tolist()) | set(wanted[-1:].tolist())
        for stop in stops:
            ends.setdefault(stop, []).append(view)
    cuts, start = [], 0
    for stop in sorted(ends):
        cuts.append(Cut(start, stop, tuple(sorted(ends[stop]))))
        start = stop
    assert start == n, "every pending sequence is needed by some view"
    return cuts
