"""BLAS and LAPACK keep to one thread, whichever library brings them."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import jax
from threadpoolctl import threadpool_info
from geneb_jax.probes.threads import one_blas_thread

with one_blas_thread():
    jax.numpy.linalg.cholesky(jax.numpy.eye(3)).block_until_ready()
    print(sorted(library["num_threads"] for library in threadpool_info()))
"""


def test_the_lapack_of_a_first_program_is_limited_too() -> None:
    """JAX loads it while it compiles, so a fresh process tells; the two threads are for machines with one core."""
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
    counts = set(done.stdout.strip("[]\n").split(", "))
    assert counts == {"1"}
