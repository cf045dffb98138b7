"""Entry point of the resampled sums."""

from __future__ import annotations

import jax
import numpy as np
from numpy.typing import NDArray

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
