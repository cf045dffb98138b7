"""Running batches on one or several workers, with smaller ones where memory does not suffice."""

from __future__ import annotations

import gc
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from geneb_jax.errors import EncoderError

Work = Callable[[list[int]], None]
_SIGNS = ("out of memory", "resource_exhausted", "can't allocate memory", "not enough memory")


@dataclass
class Budget:
    """The most that goes into one batch, as members times the longest one's length; None: no limit.

    It is halved for all later batches whenever memory runs out; ``halvings`` counts how often.
    """

    most: int | None = None
    halvings: int = 0


@dataclass
class _Queue:
    """Batches in order, cut further to what the budget allows when they are taken."""

    waiting: deque[list[int]]
    lengths: Sequence[int]
    budget: Budget
    where: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: bool = False

    def take(self) -> list[int] | None:
        with self.lock:
            if self.stopped or not self.waiting:
                return None
            batch = self.waiting.popleft()
            rows = len(batch)
            if self.budget.most is not None:
                rows = max(1, self.budget.most // self._longest(batch))
            if rows < len(batch):
                self.waiting.appendleft(batch[rows:])
            return batch[:rows]

    def too_large(self, batch: list[int]) -> None:
        longest = self._longest(batch)
        if len(batch) == 1:
            raise EncoderError(
                f"memory does not suffice for one sequence of {longest:,} tokens or letters",
                where=self.where,
                cure="use a smaller max_tokens, overflow=windows, dtype=bfloat16, or a device with more memory",
            )
        with self.lock:
            self.budget.halvings += 1
            half = len(batch) * longest // 2
            self.budget.most = half if self.budget.most is None else min(half, self.budget.most)
            self.waiting.appendleft(batch)

    def _longest(self, batch: list[int]) -> int:
        return max(1, max(self.lengths[i] for i in batch))


def run_batches(
    batches: Sequence[list[int]],
    lengths: Sequence[int],
    workers: Sequence[Work],
    budget: Budget,
    *,
    where: str,
    done: Work | None = None,
) -> None:
    """Give every batch of indices into ``lengths`` to one of the workers; ``done`` hears of each that is finished.

    One worker runs in the calling thread; several run in a thread each, take the next batch when they are free,
    and share the processor's cores meanwhile. A batch for which memory does not suffice is halved, and so are
    those after it. Raises EncoderError when it does not suffice for one sequence, and whatever else a worker or
    ``done`` raises, after all stopped.
    """
    queue = _Queue(deque(batches), lengths, budget, where)

    def serve(work: Work, threads: int | None = None) -> None:
        try:
            _set_threads(threads)
            while (batch := queue.take()) is not None:
                if not _attempt(work, batch):
                    free_memory()
                    queue.too_large(batch)
                elif done is not None:
                    with queue.lock:
                        done(batch)
        except BaseException:
            queue.stopped = True
            raise

    if len(workers) == 1 or len(batches) < 2:
        serve(workers[0])
        return
    threads = _count_threads()
    share = None if threads is None else max(1, threads // len(workers))
    with _threads_restored(threads), ThreadPoolExecutor(len(workers), thread_name_prefix="geneb-device") as pool:
        futures = [pool.submit(serve, work, share) for work in workers]
        try:
            for future in futures:
                future.result()
        finally:
            queue.stopped = True


def _count_threads() -> int | None:
    """Threads that torch spreads one operation over; None where torch is not in use."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def _set_threads(count: int | None) -> None:
    # in each worker: OpenMP keeps this number by thread, and other libraries for the process
    if count is not None:
        sys.modules["torch"].set_num_threads(count)


@contextmanager
def _threads_restored(count: int | None) -> Iterator[None]:
    try:
        yield
    finally:
        _set_threads(count)


def _attempt(work: Work, batch: list[int]) -> bool:
    """Whether there was memory enough. The error is let go of here: its frames keep the batch's tensors alive."""
    try:
        work(batch)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, says that memory does not suffice: torch's, JAX's, Python's."""
    for cause in _causes(error):
        if isinstance(cause, MemoryError) or type(cause).__name__ == "OutOfMemoryError":
            return True
        if isinstance(cause, RuntimeError) and any(sign in str(cause).lower() for sign in _SIGNS):
            return True
    return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        yield at
        seen.add(id(at))
        at = at.__cause__ or at.__context__


def free_memory() -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
