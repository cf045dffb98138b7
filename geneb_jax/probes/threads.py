"""How many threads BLAS and LAPACK take beside XLA's."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from threadpoolctl import threadpool_limits

WIDE = 2048
"""Features from which BLAS and LAPACK get all threads; below, threads that spin after a call only disturb XLA's."""


def is_wide(d: int) -> bool:
    """Whether matrices of d features are worth BLAS's own threads."""
    return d >= WIDE


def one_blas_thread(d: int = 0) -> AbstractContextManager[object]:
    """Hold BLAS and LAPACK to one thread inside the block, unless its matrices of d features are wide."""
    # the LAPACK of JAX's programs, which JAX loads with the first of them; what is loaded later has no limit, and spins
    import scipy.linalg  # noqa: F401

    limits: AbstractContextManager[object] = nullcontext() if is_wide(d) else threadpool_limits(1, "blas")
    return limits
