"""New values, new penalties and another number of rows in the same padded size compile nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np
import pytest

from geneb_jax.probes.fit import fit_task
from geneb_jax.probes.lane import Lane
from geneb_jax.probes.regime import Regime
from geneb_jax.probes.spec import LogisticSpec
from tests.problems import FULL, SPECS, lanes, make_task

COMPILED = "/jax/core/compile/backend_compile_duration"


@contextmanager
def compilations() -> Iterator[list[float]]:
    """Seconds of each compilation inside the block."""
    seen: list[float] = []

    def listen(event: str, duration: float, **_: object) -> None:
        if event == COMPILED:
            seen.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def few_shot(spec: LogisticSpec) -> list[Lane]:
    return [Lane(Regime(shots), seed, spec) for shots in (1, 10) for seed in (13, 997)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [2, 3])
def test_other_values_compile_nothing(k: int, dtype: str) -> None:
    fit_task(*make_task(70, k), [*lanes(), *few_shot(SPECS[0])], dtype=dtype)  # type: ignore[arg-type]
    with compilations() as seen:
        for seed, n, m in ((71, 100, 1000), (72, 97, 1000), (73, 104, 970), (74, 103, 1024)):
            specs = tuple(LogisticSpec(C=C) for C in (0.02 * seed, 0.5, 0.2, 0.7))
            fit_task(*make_task(seed, k, n=n, m=m), [*lanes(specs), *few_shot(specs[0])], dtype=dtype)  # type: ignore[arg-type]
        # the seeds of the full data are one fit, and class names are no part of a shape
        X, y, X_test, y_test = make_task(75, k)
        asked = [*lanes(), *(Lane(FULL, 42, spec) for spec in SPECS), *few_shot(SPECS[0])]
        fit_task(X, 3 * y - 1, X_test, 3 * y_test - 1, asked, dtype=dtype)  # type: ignore[arg-type]
    assert seen == []


def test_lanes_that_need_more_rounds_compile_them_once() -> None:
    """The hard lane is left alone in the second round; other values that do the same find it compiled."""
    asked = lanes((*SPECS[:3], LogisticSpec(C=1e5)))
    fit_task(*make_task(64, 2), asked, dtype="float64")
    X, y, X_test, y_test = make_task(64, 2)
    with compilations() as seen:
        for factor, C in ((1.25, 0.8e5), (0.75, 1.5e5)):
            more = lanes((*SPECS[:3], LogisticSpec(C=C)))
            fit_task(X * np.float32(factor), y, X_test * np.float32(factor), y_test, more, dtype="float64")
    assert seen == []


@pytest.mark.parametrize("k", [2, 3])
def test_a_first_fit_compiles_few_programs(k: int) -> None:
    """On a width of its own: one program for each part of the work, and none for single operations between them."""
    task = make_task(76, k, d=26)
    with compilations() as seen:
        fit_task(*task, [*lanes(), *few_shot(SPECS[0])])
    assert 0 < len(seen) <= 11


def test_the_counter_counts() -> None:
    with compilations() as seen:
        jax.jit(lambda x: x * 2 + 1)(np.ones(3, np.float32))
    assert len(seen) == 1
