"""Seconds by phase inside a fit: its steps are wrapped while it runs, and waited for.

Waiting takes away what an accelerator would do behind the host's back, so phases add up to a little more than a call
that nobody watches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import jax

from benchmarks.timing import compile_counter
from geneb_jax.probes import fit

STEPS = {
    "build_design": "transfer",
    "transform_rows": "transfer",
    "solve_part": "solve",
    "solve_own": "solve",
    "score_lanes": "score",
    "settled": "score",
    "lane_results": "score",
}
"""Function of `geneb_jax.probes.fit` -> phase."""

PHASES = ("transfer", "solve", "score", "compile")


class Watch:
    """Seconds by phase, added up over all calls; compilation is a phase of its own, wherever it happens."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch every fit in the block."""
        with ExitStack() as stack:
            for name, phase in STEPS.items():
                stack.enter_context(mock.patch.object(fit, name, self.timed(getattr(fit, name), phase)))
            yield

    def timed(self, call: Callable[..., Any], phase: str) -> Callable[..., Any]:
        """The function with its time counted to a phase."""

        def counted(*arguments: Any, **named: Any) -> Any:
            with self.counting(phase):
                return jax.block_until_ready(call(*arguments, **named))

        return counted

    @contextmanager
    def counting(self, phase: str) -> Iterator[None]:
        """Count the block's time to a phase, without what is compiled in it."""
        counter = compile_counter()
        began, compiled = time.perf_counter(), counter.seconds
        try:
            yield
        finally:
            compiled = counter.seconds - compiled
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - began - compiled
            self.seconds["compile"] += compiled

    def since(self, before: dict[str, float]) -> dict[str, float]:
        """Seconds by phase since a copy of `seconds` was taken."""
        return {phase: seconds - before.get(phase, 0.0) for phase, seconds in self.seconds.items()}
