"""Linear support vector machines on a whole training split, in host memory: Newton's method with the exact Hessian.

Half the Hessian's rows are those inside the margin, and from step to step few rows cross it. So each machine keeps the
Gram matrix of its inside rows and adds or takes away what crossed: after the first steps a step costs two passes over X
and one Cholesky factor. The first Gram matrix, with every row inside, is the scatter that the moments hold already.
The finite Newton method with an exact line search ends at the optimum itself (Keerthi & DeCoste 2005, "A Modified
Finite Newton Method for Fast Solution of Large Scale Linear SVMs", JMLR 6).

All of it is in float64. Ill-conditioned features cost nothing here, and much in conjugate gradients
(`geneb_jax.probes.heads.svm`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from geneb_jax.axes import NumpyBool, NumpyFloat, NumpyInt
from geneb_jax.probes.heads.moments import BLOCK_NUMBERS, Moments
from geneb_jax.probes.heads.specs import SvmSpec
from geneb_jax.probes.heads.svm import Fit
from geneb_jax.solve.host_factor import HostGram

TOLERANCE: Final = 1e-12
"""Half the Newton decrement, relative to the objective, at which a machine is done."""

GRAM_BYTES: Final = 256 * 2**20
"""Most memory for the Gram matrices of machines that are fitted together, so that they share the passes over X."""

LINE_STEPS: Final = 30


class _Rows:
    """X (n, d) as float64 rows of centred features and a one, a block at a time."""

    def __init__(self, X: NumpyFloat, shift: NumpyFloat) -> None:
        self.X, self.shift = X, shift
        self.n, self.q = len(X), X.shape[1] + 1

    def blocks(self, rows: NumpyInt | None = None) -> Iterator[tuple[slice, NumpyFloat]]:
        """Places and rows (b, q), of all rows or of those with the given numbers."""
        n, step = self.n if rows is None else len(rows), max(1, BLOCK_NUMBERS // self.q)
        for start in range(0, n, step):
            place = slice(start, min(start + step, n))
            part = self.X[place] if rows is None else self.X[rows[place]]
            block = np.empty((len(part), self.q))
            np.subtract(part, self.shift, out=block[:, :-1])
            block[:, -1] = 1
            yield place, block

    def times(self, V: NumpyFloat) -> NumpyFloat:
        """X V (n, o)."""
        out = np.empty((self.n, V.shape[1]))
        for place, block in self.blocks():
            out[place] = block @ V
        return out

    def times_transposed(self, R: NumpyFloat) -> NumpyFloat:
        """Xᵀ R (q, o)."""
        out = np.zeros((self.q, R.shape[1]))
        for place, block in self.blocks():
            out += block.T @ R[place]
        return out


class _Penalty:
    """½ Σ diag·u² + ½ (a·u)²: of weights on scaled features, and of the intercept at the raw origin."""

    def __init__(self, diag: NumpyFloat, a: NumpyFloat) -> None:
        self.diag, self.a = diag, a

    def times(self, V: NumpyFloat) -> NumpyFloat:
        """The Hessian's product with V (q, o)."""
        return np.asarray(self.diag[:, None] * V + np.outer(self.a, self.a @ V))

    def matrix(self) -> NumpyFloat:
        """The Hessian (q, q)."""
        return np.asarray(np.diag(self.diag) + np.outer(self.a, self.a))


class _Machine:
    """The rows inside one output's margin, and their Gram matrix."""

    def __init__(self, rows: _Rows, everything: HostGram) -> None:
        self._rows, self._everything = rows, everything
        self._gram = everything.copy()
        self._inside = np.ones(rows.n, bool)

    def gram(self, inside: NumpyBool) -> NumpyFloat:
        """XᵀX (q, q), lower triangle, of the rows inside, from whichever known Gram matrix is nearest."""
        crossed = int(np.count_nonzero(inside != self._inside))
        within = int(np.count_nonzero(inside))
        if min(within, len(inside) - within) < crossed:
            nothing = within < len(inside) - within
            whole = self._everything
            self._gram = HostGram(self._rows.q, whole.matrix.dtype) if nothing else whole.copy()
            self._inside = np.full(len(inside), not nothing)
        for rows, sign in ((inside & ~self._inside, 1.0), (self._inside & ~inside, -1.0)):
            numbers = np.flatnonzero(rows)
            for _, block in self._rows.blocks(numbers):
                self._gram.add(block, sign)
        self._inside = inside
        return self._gram.matrix


def fit_svm_host(X: NumpyFloat, index: NumpyInt, m: Moments, specs: Sequence[SvmSpec]) -> list[Fit]:
    """Fit on rows X (n, d) with class numbers index (n,); each C starts at the next smaller one's optimum.

    Returns the fits in the order of `specs`, in the shifted coordinates of the moments `m`, which need `within`.
    """
    rows = _Rows(X, m.origin + m.mean)
    k = len(m.counts)
    Y = np.where(index[:, None] == np.arange(k), 1.0, -1.0)
    Y = Y[:, 1:] if k == 2 else Y
    everything = HostGram(rows.q, np.dtype(np.float64))
    everything.matrix[:-1, :-1] = m.scatter
    everything.matrix[-1, -1] = rows.n
    together = max(1, GRAM_BYTES // everything.matrix.nbytes)
    found: dict[int, list[Fit]] = {i: [] for i in range(len(specs))}
    for start in range(0, Y.shape[1], together):
        signs = Y[:, start : start + together]
        machines = [_Machine(rows, everything) for _ in range(signs.shape[1])]
        for standardize in sorted({spec.standardize for spec in specs}):
            diag = np.append(m.scale**2 if standardize else np.ones_like(m.scale), 0.0)
            offset = np.zeros_like(rows.shift) if standardize else rows.shift
            penalty = _Penalty(diag, np.append(-offset, 1.0))
            U = np.zeros((rows.q, signs.shape[1]))
            places = [i for i, spec in enumerate(specs) if spec.standardize == standardize]
            for i in sorted(places, key=lambda i: specs[i].C):
                U, fit = _newton(rows, signs, machines, penalty, U, specs[i].C, specs[i].max_steps)
                W = U[:-1]
                found[i].append(fit._replace(head=(W, U[-1] - m.mean @ W)))
    return [_joined(parts) for parts in found.values()]


def _joined(parts: list[Fit]) -> Fit:
    """The outputs of one specification that were fitted in groups."""
    objective = sum(part.objective for part in parts)
    return Fit(
        head=(np.concatenate([p.head[0] for p in parts], axis=1), np.concatenate([p.head[1] for p in parts])),
        steps=max(part.steps for part in parts),
        converged=all(part.converged for part in parts),
        objective=objective,
        gap=sum(part.gap * part.objective for part in parts) / objective,
    )


def _newton(
    rows: _Rows,
    Y: NumpyFloat,
    machines: list[_Machine],
    penalty: _Penalty,
    U: NumpyFloat,
    C: float,
    max_steps: int,
) -> tuple[NumpyFloat, Fit]:
    """U (q, o) from where it starts to the optimum; outputs that are done wait for the others."""
    U = U.copy()
    o = U.shape[1]
    Z, P = rows.times(U), penalty.matrix()
    objective, excess = np.zeros(o), np.full(o, np.inf)
    steps, left = 0, np.arange(o)
    while len(left) and steps < max_steps:
        y, z, u = Y[:, left], Z[:, left], U[:, left]
        short = np.maximum(0, 1 - y * z)
        Pu = penalty.times(u)
        G = Pu - 2 * C * rows.times_transposed(y * short)
        objective[left] = 0.5 * np.einsum("qo,qo->o", u, Pu) + C * np.einsum("no,no->o", short, short)
        D = np.empty_like(u)
        for column, j in enumerate(left):
            H = P + 2 * C * machines[j].gram(short[:, column] > 0)
            D[:, column] = _direction(H, G[:, column])
        # half the Newton decrement estimates how far the objective is above its minimum
        excess[left] = np.maximum(-0.5 * np.einsum("qo,qo->o", D, G), 0)
        dz = rows.times(D)
        along, curve = np.einsum("qo,qo->o", D, Pu), np.einsum("qo,qo->o", D, penalty.times(D))
        t = np.array([
            _line(y[:, i] * z[:, i], y[:, i] * dz[:, i], C, along[i], curve[i]) for i in range(len(left))
        ])  # fmt: skip
        U[:, left] += t * D
        Z[:, left] += t * dz
        steps += 1
        left = left[excess[left] > TOLERANCE * objective[left]]
    total = float(objective.sum())
    none = np.zeros((0, o)), np.zeros(o)
    return U, Fit(none, steps, not len(left), total, float(excess.sum()) / total)


def _direction(H: NumpyFloat, g: NumpyFloat) -> NumpyFloat:
    """-H⁻¹ g for the lower triangle of a positive matrix, scaled to a diagonal of ones; H is used up."""
    size = np.sqrt(np.diag(H))
    H /= size
    H /= size[:, None]
    jitter = 1e-15
    while True:
        H[np.diag_indices_from(H)] = 1 + jitter
        try:
            factor = cho_factor(H, lower=True, check_finite=False)
        except LinAlgError:
            jitter *= 100
            continue
        return np.asarray(-cho_solve(factor, g / size, check_finite=False) / size)


def _line(margin: NumpyFloat, change: NumpyFloat, C: float, along: float, curve: float) -> float:
    """The step t that minimises the objective along a direction: the root of a rising, piecewise linear slope.

    margin (n,) is y·z and `change` how much of it a step of 1 adds; along + t·curve is the penalty's part of the slope.
    """
    low, high, t = 0.0, np.inf, 1.0
    for _ in range(LINE_STEPS):
        short = 1 - margin - t * change
        inside = short > 0
        slope = along + t * curve - 2 * C * float(change[inside] @ short[inside])
        steep = curve + 2 * C * float(change[inside] @ change[inside])
        if slope > 0:
            high = t
        else:
            low = t
        if steep <= 0 or abs(slope) <= 1e-12 * steep * t:
            break
        step = t - slope / steep
        if not low < step < high:
            step = 0.5 * (low + high) if np.isfinite(high) else 2 * t
        if step == t:
            break
        t = step
    return t
