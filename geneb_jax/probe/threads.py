"""How many threads BLAS and LAPACK take beside XLA's."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from threadpoolctl import threadpool_limits

WIDE = 2048
"""Columns from which BLAS and LAPACK get all threads; below, threads that spin after a call only disturb XLA's."""


def one_blas_thread(*, unless: bool = False) -> AbstractContextManager[object]:
    """Hold BLAS and LAPACK to one thread inside the block; `unless` lets them have all."""
    limits: AbstractContextManager[object] = nullcontext() if unless else threadpool_limits(1, "blas")
    return limits
