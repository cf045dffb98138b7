"""How the fits' programs are compiled and under which settings they run, and what becomes of the compiler's memory."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import jax
import numpy as np

from geneb_jax.backend import devices
from geneb_jax.probes.spec import Dtype
from geneb_jax.probes.threads import one_blas_thread

UNMEASURED = (0, 11)
"""First version of JAX whose compiler has not been measured: from there on it chooses for itself. An option that a
version does not know would fail every fit."""

OPTIONS: dict[str, bool | int | str] = (
    {"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < UNMEASURED else {}
)
"""XLA on CPU writes loops through MLIR by default. For a round of Newton-CG that takes 2.8 s and 146 MB, and its older
emitter 1.5 s and 33 MB, for the same numbers at the same speed."""

program = partial(jax.jit, compiler_options=OPTIONS)
"""`jax.jit` for functions that the host calls; inside another program JAX refuses it."""

_COMPILED = "/jax/core/compile/backend_compile_duration"


@contextmanager
def compiler_memory_returned() -> Iterator[None]:
    """After every compilation inside the block, give back to the system what the compiler has freed, in milliseconds.

    glibc would keep it: 4 to 29 MB for each program of the GENEB protocol on 32,378 × 256.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None

    def give_back(event: str, duration_secs: float, **kwargs: str | int | float) -> None:
        if event == _COMPILED and trim is not None:
            trim(0)

    jax.monitoring.register_event_duration_secs_listener(give_back)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(give_back)


@contextmanager
def fitting(dtype: Dtype, d: int = 0) -> Iterator[None]:
    """What fits on d features that are whole in memory run under. Raises BackendError where JAX cannot compute."""
    devices()
    with (
        np.errstate(over="ignore"),  # what overflows the asked precision ends as a status
        jax.enable_x64(dtype == "float64"),
        compiler_memory_returned(),
        one_blas_thread(d),
    ):
        yield
