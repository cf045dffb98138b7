"""The rival of most rows: GENEB's stock harness, a loop over scikit-learn fits, at several thread settings."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks.checks import lane_rows
from benchmarks.record import Rival
from benchmarks.timing import seconds_of
from benchmarks.workloads import Problem
from geneb_jax.probes import Lane


def harness_loop(problem: Problem, lanes: Sequence[Lane], dtype: str, keep: dict[str, Any] | None = None) -> str:
    """Fit and score every lane as GENEB-0.1.0 does, one after the other; returns the precision of the coefficients.

    `keep` receives the fitted model of the first lane under `dtype`.

    The five full-data fits are really fitted five times, as the harness does.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    X_train, X_test = problem.X_train.astype(dtype, copy=False), problem.X_test.astype(dtype, copy=False)
    computed = dtype
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lbfgs that hits max_iter, classes that are never predicted
        for lane in lanes:
            rows = lane_rows(problem, lane)
            model = LogisticRegression(C=lane.spec.C, max_iter=1000, random_state=lane.seed)
            model.fit(X_train[rows], problem.y_train[rows])
            predicted = model.predict(X_test)
            matthews_corrcoef(problem.y_test, predicted)
            accuracy_score(problem.y_test, predicted)
            f1_score(problem.y_test, predicted, average="macro")
            computed = model.coef_.dtype.name
            if keep is not None:
                keep.setdefault(dtype, model)
    return computed


def blas_threads() -> int:
    """The BLAS threads scikit-learn uses when nobody limits them."""
    import scipy.linalg  # noqa: F401  # its BLAS is the one that counts, and must be loaded to be seen

    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)


def settings() -> Iterator[tuple[str, contextlib.AbstractContextManager[object]]]:
    """Thread settings under which a rival is timed: as shipped first, then 1, 2, 4, … up to the cores."""
    shipped = blas_threads()
    yield f"as shipped, {shipped} thread{'s' * (shipped > 1)}", contextlib.nullcontext()
    threads = 1
    while threads <= (os.cpu_count() or 1):
        if threads != shipped:  # the same setting twice would only cost time
            limits: contextlib.AbstractContextManager[object] = threadpool_limits(threads, user_api="blas")
            yield f"{threads} thread{'s' * (threads > 1)}", limits
        threads *= 2


def time_settings(
    name: str,
    call: Callable[[], str],
    *,
    repeats: int = 3,
    scale: float = 1.0,
    scaled: str | None = None,
    note: str | None = None,
) -> Rival:
    """Time a rival at every setting, `repeats` times unless that takes long; the median counts."""
    seconds: dict[str, float] = {}
    dtype = ""
    for label, limits in settings():
        with limits:
            times = []
            while len(times) < repeats and sum(times) < 6:
                elapsed, dtype = seconds_of(call)
                times.append(elapsed)
        seconds[label] = float(np.median(times)) * scale
    return Rival(
        name=name,
        dtype=dtype,
        seconds=seconds,
        as_shipped=next(iter(seconds.values())),
        best=min(seconds.values()),
        scaled=scaled,
        note=note,
    )


def stock_rivals(
    problem: Problem,
    lanes: Sequence[Lane],
    *,
    dtypes: Sequence[str] = ("float32", "float64"),
    sample: Sequence[Lane] | None = None,
    repeats: int = 3,
    keep: dict[str, Any] | None = None,
) -> list[Rival]:
    """The stock harness on float32 embeddings, as extractors write them, and on float64 ones.

    scikit-learn 1.9 fits in the precision of its input; older releases, GENEB's own audit environment among them,
    convert to float64 before lbfgs. `keep` is `harness_loop`'s;
    `sample`: lanes that are timed in place of all, and scaled.
    """
    timed = list(lanes if sample is None else sample)
    scale = len(lanes) / len(timed)
    scaled = None if sample is None else f"timed on {len(timed)} of {len(lanes)} lanes and scaled"
    harness_loop(problem, [lane for lane in timed if lane.regime.shots is not None][:1], "float32")  # imports, pages
    return [
        time_settings(
            f"stock harness, {dtype} embeddings",
            lambda dtype=dtype: harness_loop(problem, timed, dtype, keep),  # type: ignore[misc]
            repeats=repeats,
            scale=scale,
            scaled=scaled,
        )
        for dtype in dtypes
    ]
