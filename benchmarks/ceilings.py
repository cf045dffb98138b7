"""What the machine can do, measured in the same run: copy rate, matrix rate, one Gram product of the same X."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.record import Ceilings
from benchmarks.timing import best_of
from benchmarks.workloads import Problem, Size
from geneb_jax.axes import NumpyFloat
from geneb_jax.probe import Lane
from geneb_kernels.precision import HIGHEST

COPY_BYTES = {"toy": 8 << 20, "real": 256 << 20}
SQUARE = {"toy": 256, "real": 2048}


@jax.jit
def _copy(x: jax.Array) -> jax.Array:
    return x + 1


@jax.jit
def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.matmul(a, b, precision=HIGHEST)


@jax.jit
def _gram(X: jax.Array) -> jax.Array:
    return jnp.matmul(X.T, X, precision=HIGHEST)


@jax.jit
def _gram_of_transpose(Xt: jax.Array) -> jax.Array:
    return jnp.matmul(Xt, Xt.T, precision=HIGHEST)


def copy_rate(size: Size) -> float:
    """Bytes read and written per second by one float32 array going through the device."""
    x = jnp.asarray(np.random.default_rng(0).random(COPY_BYTES[size] // 4, dtype=np.float32))
    return 2 * x.nbytes / best_of(lambda: _copy(x).block_until_ready(), 5)


def matrix_rate(size: Size) -> float:
    """Float32 flops per second of one large square product at full precision."""
    side = SQUARE[size]
    a, b = jnp.asarray(np.random.default_rng(1).random((2, side, side), dtype=np.float32))
    return 2 * side**3 / best_of(lambda: _product(a, b).block_until_ready(), 3)


def gram_seconds(X: NumpyFloat) -> dict[str, float]:
    """Seconds of XᵀX: XLA's better layout, and NumPy's BLAS, which uses the symmetry."""
    on_device, transposed = jnp.asarray(X), jnp.asarray(np.ascontiguousarray(X.T))
    return {
        "xla": min(
            best_of(lambda: _gram(on_device).block_until_ready(), 3),
            best_of(lambda: _gram_of_transpose(transposed).block_until_ready(), 3),
        ),
        "numpy": best_of(lambda: X.T @ X, 3),
    }


def floor_work(problem: Problem, lanes: Sequence[Lane]) -> tuple[int, int]:
    """(flops, bytes) that any solver of these lanes needs at least.

    One symmetric Gram of the training rows where a full fit is asked for, one forward and one backward product for
    each penalty and output, scoring of every distinct lane; each embedding read once.
    """
    full = {lane.spec for lane in lanes if lane.regime.shots is None}
    few = {(lane.regime, lane.seed, lane.spec) for lane in lanes if lane.regime.shots is not None}
    n, m, d, o = problem.n, problem.m, problem.d, problem.outputs
    flops = 2 * m * d * o * (len(full) + len(few))
    flops += (n * d * (d + 1) if full else 0) + 4 * n * d * o * len(full)
    return flops, problem.bytes_X


def measure_ceilings(problem: Problem, lanes: Sequence[Lane], steady: float, size: Size) -> Ceilings:
    """The machine's rates now, and which fraction of them a steady call of `steady` seconds reached."""
    copy, matrix = copy_rate(size), matrix_rate(size)
    flops, traffic = floor_work(problem, lanes)
    floor = max(flops / matrix, traffic / copy)
    return Ceilings(
        copy_bytes_per_s=copy,
        matrix_flops_per_s=matrix,
        gram_s=gram_seconds(problem.X_train),
        floor_s=floor,
        fraction=floor / steady,
    )
