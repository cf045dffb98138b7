"""Preconditioners in host memory: Gram matrices added up in place, factored in place, one d × d array in all.

`geneb_jax.solve.precondition` states the same matrices for rows that lie on the device; here the point is that
nothing beyond the array itself is ever held, because the array is what a memory budget can least spare.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from geneb_jax.axes import NumpyFloat


class HostGram:
    """Xᵀ X of rows that come in blocks: the lower triangle of one (d, d) array."""

    def __init__(self, d: int, dtype: np.dtype[Any]) -> None:
        self.matrix = np.zeros((d, d), dtype, order="F")

    def add(self, rows: NumpyFloat, sign: float = 1.0) -> None:
        """Add `sign` times rowsᵀ rows, for row-major rows (b, d) that carry the square roots of their weights."""
        (syrk,) = get_blas_funcs(("syrk",), (self.matrix,))
        # row-major (b, d) is column-major (d, b): nothing is copied
        self.matrix = syrk(sign, rows.T, beta=1.0, c=self.matrix, lower=1, overwrite_c=1)

    def copy(self) -> HostGram:
        """The same sums in memory of their own."""
        other = HostGram.__new__(HostGram)
        other.matrix = self.matrix.copy(order="F")
        return other


class HostFactor:
    """M⁻¹ for M = L Lᵀ, one L for all columns or one for each; or for a diagonal M.

    For k > 2 columns the result is projected on columns that sum to zero, for the reason given at
    `geneb_jax.solve.newton_cg.precondition`.
    """

    def __init__(self, triangles: list[NumpyFloat] | None, diagonal: NumpyFloat) -> None:
        self._triangles, self._diagonal = triangles, diagonal

    @property
    def renewable(self) -> bool:
        """Whether a factor of this kind gets better when made at other probabilities."""
        return self._triangles is not None

    def solve(self, R: NumpyFloat) -> NumpyFloat:
        """M⁻¹ R for R (d, o), in float64 around a solve in the factor's precision."""
        if self._triangles is None:
            V = R / self._diagonal[:, None]
        elif len(self._triangles) == 1:
            V = _solve(self._triangles[0], R)
        else:
            V = np.concatenate([_solve(L, R[:, [j]]) for j, L in enumerate(self._triangles)], axis=1)
        return V if V.shape[1] == 1 else V - V.mean(axis=1, keepdims=True)


def _solve(L: NumpyFloat, R: NumpyFloat) -> NumpyFloat:
    (trsm,) = get_blas_funcs(("trsm",), (L,))
    # gradients near the optimum are tiny and those of large features huge: keep clear of both ends of float32
    size = float(np.max(np.abs(R), initial=0.0))
    if not (np.isfinite(size) and size > 0):
        return R * 0.0
    T = np.asfortranarray(R / size, dtype=L.dtype)
    T = trsm(1.0, L, T, lower=1, overwrite_b=1)
    T = trsm(1.0, L, T, lower=1, trans_a=1, overwrite_b=1)
    return np.asarray(T, np.float64) * size


def factor_grams(grams: list[HostGram], scale: float, penalty: NumpyFloat) -> HostFactor:
    """The factor of scale·G + diag(penalty) for each G, made in G's own memory; G is gone afterwards.

    Jittered like `geneb_jax.solve.precondition.inverse_factor`; where a factorisation fails all the same, the diagonal
    stands in for that column's.
    """
    triangles = []
    diagonal = np.asarray(penalty, np.float64)
    for gram in grams:
        M = gram.matrix
        d = len(M)
        (potrf,) = get_lapack_funcs(("potrf",), (M,))
        M *= scale
        M[np.diag_indices(d)] += penalty.astype(M.dtype)
        M[np.diag_indices(d)] += 4 * np.finfo(M.dtype).eps * np.trace(M) / d
        diagonal = np.diag(M).astype(np.float64)
        L, info = potrf(M, lower=1, clean=0, overwrite_a=1)
        if info != 0 or not np.isfinite(L[-1, -1]):
            L[:] = 0
            L[np.diag_indices(d)] = np.sqrt(np.maximum(diagonal, np.finfo(M.dtype).tiny))
        triangles.append(L)
    return HostFactor(triangles, diagonal)
