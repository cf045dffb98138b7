"""Timing that says what it timed: first call, steady calls and their spread, compilations."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

import jax

T = TypeVar("T")

_COMPILE = "/jax/core/compile/"
_BACKEND = f"{_COMPILE}backend_compile_duration"
_CACHE_HIT = "/jax/compilation_cache/cache_hits"


class CompileCounter:
    """Counts XLA compilations and hits of the persistent compilation cache, for the life of the process.

    `seconds` is the time spent tracing, lowering and compiling, steps within steps counted once.
    """

    def __init__(self) -> None:
        self.compilations = 0
        self.cache_hits = 0
        self._spans: list[tuple[float, float]] = []
        jax.monitoring.register_event_duration_secs_listener(self._duration)
        jax.monitoring.register_event_listener(self._event)

    def _duration(self, event: str, seconds: float, **_: object) -> None:
        self.compilations += event == _BACKEND
        if event.startswith(_COMPILE):
            ended = time.perf_counter()
            while self._spans and self._spans[-1][0] >= ended - seconds:
                self._spans.pop()  # a step of this one
            self._spans.append((ended - seconds, ended))

    @property
    def seconds(self) -> float:
        """So far."""
        return sum(ended - began for began, ended in self._spans)

    def _event(self, event: str, **_: object) -> None:
        self.cache_hits += event == _CACHE_HIT


_counter: CompileCounter | None = None


def compile_counter() -> CompileCounter:
    """The process's one counter; listeners cannot be taken back one by one."""
    global _counter
    if _counter is None:
        _counter = CompileCounter()
    return _counter


@dataclass(frozen=True)
class Timed(Generic[T]):
    """Wall seconds of a call and what it returned.

    first: the first call in a cleared process, with compilation; steady: the calls after it. Counts of compilations
    are None where nothing is compiled.
    """

    value: T
    first: float
    steady: tuple[float, ...]
    compilations: int | None = None
    steady_compilations: int | None = None
    cache_hits: int | None = None

    @property
    def median(self) -> float:
        """Median of the steady calls."""
        return median(self.steady)

    @property
    def compile(self) -> float | None:
        """What the first call took beyond a steady one; None where nothing is compiled."""
        return None if self.compilations is None else max(0.0, self.first - self.median)


def seconds_of(call: Callable[[], T]) -> tuple[float, T]:
    """Wall seconds of one call that returns host arrays or waits for the device itself."""
    began = time.perf_counter()
    value = call()
    return time.perf_counter() - began, value


def time_call(call: Callable[[], T], *, repeats: int, clear: bool = True) -> Timed[T]:
    """The first call and `repeats` steady ones. `clear` forgets what this process compiled before.

    One steady call more than asked is made and left out: the second call still pays for memory that the first
    one freed.
    """
    counter = compile_counter()
    if clear:
        jax.clear_caches()
    before, hits = counter.compilations, counter.cache_hits
    first, value = seconds_of(call)
    compiled, cache_hits = counter.compilations - before, counter.cache_hits - hits
    seconds_of(call)
    before = counter.compilations
    steady = tuple(seconds_of(call)[0] for _ in range(repeats))
    return Timed(value, first, steady, compiled, counter.compilations - before, cache_hits)


def best_of(call: Callable[[], object], repeats: int) -> float:
    """Shortest of `repeats` calls after a warm-up: for ceilings, where the best the machine does is asked."""
    call()
    return min(seconds_of(call)[0] for _ in range(repeats))
