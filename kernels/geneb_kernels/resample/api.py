"""Entry points of the bootstrap."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from geneb_kernels.choice import Implementation, dispatch
from geneb_kernels.resample import host, xla


def resampled_sums(key: tuple[int, ...], columns: NDArray[np.float32], b: int) -> NDArray[np.float32]:
    """(b, c): each column of `columns` (n, c) summed over b resamples with replacement of its n rows.

    Resamples depend on `key`, n, b and the kind of device alone, so that tables scored with the same key are paired.
    Exact while sums stay below 2²⁴. On CPU the host computes it (three times faster than XLA's scatter there).
    """
    if columns.ndim != 2 or not len(columns):
        raise ValueError(f"columns must be (n, c) with at least one row, not {columns.shape}")
    columns = np.ascontiguousarray(columns, np.float32)
    on_host = jax.default_backend() == "cpu"
    return host.resampled_sums(key, columns, b) if on_host else xla.resampled_sums(key, columns, b)


def resampled_mcc(
    key: tuple[int, ...],
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    k: int,
    b: int,
    implementation: Implementation | None = None,
) -> NDArray[np.float32]:
    """MCC (b, l) of l sets of predictions (l, n) of true classes (n,), all in 0 … k-1, in each of b resamples of rows.

    This is the Poisson bootstrap: every row counts an independent Poisson(1) number of times, so that a resample holds
    n rows only on average. MCC depends on proportions alone, and its spread differs from that of n draws by a share of
    about 1/n. A weight depends on `key`, the resample and the row alone: not on device, b, l or what else is scored.
    implementation: see `geneb_kernels.choice.dispatch`. Raises ValueError when the shapes do not fit.
    """
    if predicted.ndim != 2 or truth.shape != predicted.shape[1:] or not len(truth):
        raise ValueError(f"truth must be (n,) and predicted (l, n), not {truth.shape} and {predicted.shape}")
    words = jnp.asarray(np.random.SeedSequence(key).generate_state(2))
    classes = jnp.asarray(truth, jnp.int32), jnp.asarray(predicted, jnp.int32)

    def kernel() -> jax.Array:
        from geneb_kernels.resample import mosaic_gpu

        return mosaic_gpu.resampled_mcc(words, *classes, k, b)

    return np.asarray(
        dispatch(
            "resampled_mcc", implementation, mosaic=kernel, reference=lambda: xla.resampled_mcc(words, *classes, k, b)
        )
    )
