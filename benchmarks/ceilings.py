"""What the machine can do, measured in the same run: copy rate, matrix rate, one Gram product of the same X."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.record import Ceilings
from benchmarks.timing import best_of
from benchmarks.workloads import Problem, Size
from geneb_jax.axes import NumpyFloat
from geneb_jax.probes import Lane, rounds
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
    """Float32 flops per second of one large square product at full precision, the faster of XLA's and NumPy's."""
    side = SQUARE[size]
    on_host = np.random.default_rng(1).random((2, side, side), dtype=np.float32)
    a, b = jnp.asarray(on_host)
    quickest = min(
        best_of(lambda: _product(a, b).block_until_ready(), 3),
        best_of(lambda: on_host[0] @ on_host[1], 3),
    )
    return 2 * side**3 / quickest


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


def gram_flops(n: int, d: int) -> int:
    """Multiplications and additions of XᵀX (n, d) on and above the diagonal, or of XXᵀ where that is less."""
    small, large = sorted((n, d))
    return large * small * (small + 1)


def forms_gram(fit: Callable[[], object]) -> bool:
    """Whether a fit on all rows forms a Gram matrix of them: one that the penalty rules is solved without."""
    with mock.patch.object(rounds, "_gram_of_all", wraps=rounds._gram_of_all) as of_columns:
        fit()
    return bool(of_columns.called)


def floor_work(problem: Problem, lanes: Sequence[Lane], *, gram: bool) -> tuple[int, int]:
    """(flops, bytes) that solving these lanes along the path taken needs at least.

    For each penalty and output of the full fits one forward and one backward product, without which no solver knows
    that it is done; one symmetric Gram where the path forms one (`gram`); scoring of every distinct lane; each
    embedding read once.
    """
    full = {lane.spec for lane in lanes if lane.regime.shots is None}
    few = {(lane.regime, lane.seed, lane.spec) for lane in lanes if lane.regime.shots is not None}
    n, m, d, o = problem.n, problem.m, problem.d, problem.outputs
    flops = 2 * m * d * o * (len(full) + len(few)) + 4 * n * d * o * len(full)
    flops += gram_flops(n, d) if full and gram else 0
    return flops, problem.bytes_X


def measure_ceilings(
    flops: int, traffic: int, steady: float, size: Size, *, gram_of: NumpyFloat | None = None
) -> Ceilings:
    """The machine's rates now, and which fraction of them a steady call of `steady` seconds reached.

    A product XᵀX of the row's own X, `gram_of`, counts among the matrix rates: its shape may suit the machine better
    than a square's.
    """
    copy, matrix = copy_rate(size), matrix_rate(size)
    grams = {} if gram_of is None else gram_seconds(gram_of)
    if gram_of is not None:
        matrix = max(matrix, gram_flops(*gram_of.shape) / min(grams.values()))
    floor = max(flops / matrix, traffic / copy)
    return Ceilings(
        copy_bytes_per_s=copy,
        matrix_flops_per_s=matrix,
        gram_s=grams,
        floor_s=floor,
        fraction=floor / steady,
    )
