"""Weighted Gram on the host's BLAS, for the CPU device: half the work of a general product, and a higher rate."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

ROW_BLOCK = 1024
"""Rows weighted at a time; the scratch is ROW_BLOCK × d for every thread."""


def weighted_gram_host(X: np.ndarray, w: np.ndarray, threads: int | None = None) -> np.ndarray:
    """Xᵀ diag(w) X, (d, d), of X (n, d) and w (n,) ≥ 0; exactly symmetric.

    `threads` parts of the rows are multiplied side by side: leave BLAS one thread where there are several parts, since
    its own would keep spinning on the cores that the solver needs next. None: one for each core.
    """
    used = np.flatnonzero(w)
    rows = int(used[-1]) + 1 if len(used) else 0
    alike = len(used) == rows and rows > 0 and bool((w[:rows] == w[0]).all())
    parts = max(1, min(threads or os.cpu_count() or 1, rows // ROW_BLOCK))
    edges = [rows * i // parts for i in range(parts + 1)]

    def part(i: int) -> np.ndarray:
        lo, hi = edges[i], edges[i + 1]
        if alike:
            return np.asarray(X[lo:hi].T @ X[lo:hi])
        G = np.zeros((X.shape[1], X.shape[1]), X.dtype)
        for start in range(lo, hi, ROW_BLOCK):
            block = slice(start, min(start + ROW_BLOCK, hi))
            rooted = X[block] * np.sqrt(w[block])[:, None]
            G += rooted.T @ rooted
        return G

    with np.errstate(all="ignore"):  # what is no number ends as a status
        if parts == 1:
            total = part(0)
        else:
            with ThreadPoolExecutor(parts) as pool:
                total = sum(pool.map(part, range(1, parts)), start=part(0))
        return total * w[0] if alike else total
