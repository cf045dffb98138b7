"""From specifications to lanes of numbers: problems on all rows of a design, and problems on rows of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Bool, Float, NumpyBool, NumpyFloat, NumpyInt
from geneb_jax.probes.design import Design, aligned, pad, padded_rows
from geneb_jax.probes.lanes import Fitted, Lanes
from geneb_jax.probes.programs import program
from geneb_jax.probes.select import solve_with
from geneb_jax.probes.solvers import Solver
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.solve.span import from_span, own_rows, span

GRID_BYTES = 256 * 2**20
"""Most memory for the features of draws, repeated for each of their penalties; beyond it one penalty at a time."""


@dataclass(frozen=True)
class Targets:
    """Training labels as class indices (n,) in 0 … k-1."""

    index: NumpyInt
    k: int

    def encode(self, rows: NumpyInt | slice, dtype: np.dtype[Any]) -> NumpyFloat:
        """Targets (…, o) of some rows: 0/1 in one column for two classes, else one-hot."""
        index = self.index[rows]
        return index.astype(dtype)[..., None] if self.k == 2 else np.asarray(np.eye(self.k, dtype=dtype)[index])

    def class_weights(self, rows: NumpyInt | slice, spec: LogisticSpec, dtype: np.dtype[Any]) -> NumpyFloat:
        """Row weights before C: ones, or scikit-learn's "balanced" n / (k · n_class) over those rows."""
        index = self.index[rows]
        if not spec.balanced:
            return np.ones(len(index), dtype)
        counts = np.bincount(index, minlength=self.k)
        return (len(index) / (self.k * counts))[index].astype(dtype)


def solve_all_rows(
    design: Design,
    targets: Targets,
    specs: Sequence[LogisticSpec],
    *,
    tolerance: float,
    max_steps: int,
    solver: Solver = "newton-cg",
) -> Fitted:
    """Lanes that share every row: one matrix, one Gram, all penalties in the columns of the same products."""
    dtype = np.dtype(design.X.dtype)
    rows = design.X.shape[0]
    weights = [pad(targets.class_weights(slice(None), spec, dtype), rows) for spec in specs]
    lanes = Lanes(
        X=design.X,
        Y=jax.device_put(pad(targets.encode(slice(None), dtype), rows)),
        C=np.asarray([spec.C for spec in specs], dtype),
        weights=np.stack(weights),
        penalty=np.stack([_penalty(design, spec) for spec in specs]),
    )
    return solve_with(solver, lanes, tolerance=tolerance, max_steps=max_steps)


def _penalty(design: Design, spec: LogisticSpec) -> NumpyFloat:
    """π (q,) in solver coordinates: 1/scale² on raw features, 1 on standardised ones, 0 for the intercept."""
    scale = np.asarray(design.scale)
    body = np.ones_like(scale) if spec.standardize else scale**-2.0
    return np.append(body, np.asarray(0.0 if spec.fit_intercept else 1.0, scale.dtype))


class Draws(NamedTuple):
    """Sets of rows of one task, every one of them fitted with each of its penalties.

    `selections` are p lists of rows of X (n, d), `penalties` (p, c) their C. `design` gives the coordinates that the
    answer is wanted in.
    """

    X: NumpyFloat
    design: Design
    targets: Targets
    selections: Sequence[NumpyInt]
    penalties: NumpyFloat

    @property
    def rows(self) -> int:
        """The row count that every selection is filled up to."""
        return padded_rows(max(len(rows) for rows in self.selections))


def solve_own_rows(
    X: NumpyFloat,
    design: Design,
    targets: Targets,
    selections: Sequence[NumpyInt],
    spec: LogisticSpec,
    penalties: Sequence[float] | None = None,
) -> Fitted:
    """`solve_draws` for one task and one C each, that of `spec` unless `penalties` are the lanes' own."""
    own = np.full(len(selections), spec.C) if penalties is None else np.asarray(penalties, np.float64)
    return solve_draws([Draws(X, design, targets, selections, own[:, None])], spec)[0]


def solve_draws(parts: Sequence[Draws], spec: LogisticSpec, solver: Solver = "newton-cg") -> list[Fitted]:
    """Lanes with rows of their own: few-shot draws, or all rows of a task where there are fewer than d.

    The parts are tasks of one width, number of classes, padded row count, number of penalties and precision, solved
    together; each gets its p·c lanes back, draw by draw, with W in its own design's coordinates and in float64. The C
    of `spec` plays no part.

    Shorter draws are filled up with rows of weight zero. Solved in the span of the rows when m < d, else on the
    gathered rows; always in float64, which these small problems hardly feel, and which keeps draws of features with
    tiny norms exact. A draw's rows and span are shared by its penalties.
    """
    wide, m = np.dtype(np.float64), parts[0].rows
    counts = [len(part.selections) for part in parts]
    # several tasks are filled up with copies of a draw, so that other numbers of them find their shape compiled
    p = sum(counts) if len(parts) == 1 else 1 << (sum(counts) - 1).bit_length()
    small = zip(*(_targets(part, spec, m) for part in parts), strict=True)
    real, Y, weights, C = (_filled(np.concatenate(column), p) for column in small)
    rows = _gather(parts, m, p)
    c, o = C.shape[1], Y.shape[-1]
    with jax.enable_x64(True):
        given = jax.device_put((rows, real))
        Z, own_shift = _coordinates(*given, spec.fit_intercept, spec.standardize)
        r = Z.shape[-1]
        together = c if 8 * p * c * m * r <= GRID_BYTES else 1
        mixed = np.dtype(parts[0].design.X.dtype) == np.float32
        tolerance = spec.resolved_tolerance("float64")
        found: list[Fitted] = []
        for start in range(0, c, together):
            penalty = np.ones((p * together, r))
            penalty[:, -1] = 0 if spec.fit_intercept else 1
            lanes = Lanes(
                X=Z if together == 1 else _repeated(Z, together),
                Y=jax.device_put(np.repeat(Y, together, axis=0)),
                C=C[:, start : start + together].ravel(),
                weights=np.repeat(weights, together, axis=0),
                penalty=penalty,
            )
            fitted = solve_with(solver, lanes, tolerance=tolerance, max_steps=spec.max_steps, mixed=mixed)
            found.append(Fitted(*(column.reshape(p, together, *column.shape[1:]) for column in fitted)))
        whole = Fitted(*(np.concatenate(column, axis=1) for column in zip(*found, strict=True)))
        columns = whole.W.transpose(0, 2, 1, 3).reshape(p, r, c * o)
        coef = np.asarray(_to_width(*given, Z, jax.device_put(columns), spec.fit_intercept, spec.standardize))
    coef = coef.reshape(p, -1, c, o).transpose(0, 2, 1, 3)
    shifts = np.asarray(own_shift)
    answers: list[Fitted] = []
    first = 0
    for part, count in zip(parts, counts, strict=True):
        mine = slice(first, first + count)
        first += count
        # to the design's coordinates, in float64 on the host; from shift to shift, because the intercept on raw
        # features is a small difference of large numbers where the features' mean is far from zero
        scale, shift = np.asarray(part.design.scale, wide), np.asarray(part.design.shift, wide)
        intercept = whole.W[mine, :, -1] + np.einsum("pd,pcdo->pco", shift - shifts[mine], coef[mine])
        with np.errstate(invalid="ignore"):  # a scale that overflowed ends as a status
            W = np.concatenate([coef[mine] * scale[:, None], intercept[:, :, None]], axis=2)
        own = Fitted(*(column[mine].reshape(count * c, *column.shape[2:]) for column in whole))
        answers.append(own._replace(W=W.reshape(count * c, *W.shape[2:])))
    return answers


def _targets(part: Draws, spec: LogisticSpec, m: int) -> tuple[NumpyBool, NumpyFloat, NumpyFloat, NumpyFloat]:
    """Which of m rows of each draw are real (p, m), targets, row weights before C, and C (p, c)."""
    wide = np.dtype(np.float64)
    weights = np.stack([pad(part.targets.class_weights(rows, spec, wide), m) for rows in part.selections])
    real = np.stack([np.arange(m) < len(rows) for rows in part.selections])
    filled = np.stack([pad(rows, m) for rows in part.selections])
    return real, part.targets.encode(filled, wide), weights, np.asarray(part.penalties, wide)


def _gather(parts: Sequence[Draws], m: int, p: int) -> NumpyFloat:
    """Raw rows (p, m, d) of the parts' draws, filled up like `_filled`: the largest array here, so written once."""
    d = parts[0].X.shape[1]
    out = aligned(p * m, d, np.dtype(parts[0].X.dtype)).reshape(p, m, d)
    place = 0
    for part in parts:
        for selected in part.selections:
            # clipping changes no row number, but lets NumPy write in place
            np.take(part.X, pad(selected, m), axis=0, out=out[place], mode="clip")
            place += 1
    out[place:] = out[place - 1]
    return out


def _filled(A: NumpyFloat, count: int) -> NumpyFloat:
    """A (p, …) with copies of its last entry up to `count`."""
    return A if len(A) == count else np.concatenate([A, np.repeat(A[-1:], count - len(A), axis=0)])


@partial(program, static_argnames="times")
def _repeated(Z: Float[Array, "p m r"], times: int) -> Float[Array, "l m r"]:
    return jnp.repeat(Z, times, axis=0)


@partial(program, static_argnames=("intercept", "standardize"))
def _coordinates(
    rows: Float[Array, "p m d"], real: Bool[Array, "p m"], intercept: bool, standardize: bool
) -> tuple[Float[Array, "p m r"], Float[Array, "p d"]]:
    """Each lane's features with the intercept's column, and its own shift of the raw features."""

    def lane(item: tuple[Float[Array, "m d"], Bool[Array, " m"]]) -> tuple[Array, Array]:
        own = own_rows(*item, intercept, standardize)
        m, d = own.rows.shape
        features = span(own.rows) if m < d else own.rows
        return jnp.concatenate([features, own.last], axis=1), own.shift

    # one after the other, so that the scratch is one lane's
    return jax.lax.map(lane, (rows, real))


@partial(program, static_argnames=("intercept", "standardize"))
def _to_width(
    rows: Float[Array, "p m d"],
    real: Bool[Array, "p m"],
    Z: Float[Array, "p m r"],
    V: Float[Array, "p r o"],
    intercept: bool,
    standardize: bool,
) -> Float[Array, "p d o"]:
    """Coefficients on raw features from those of `_coordinates`; the rows are shifted and scaled once more, which
    costs less than keeping them in float64."""

    def lane(item: tuple[Array, Array, Array, Array]) -> Array:
        raw, real, Z, V = item
        own = own_rows(raw, real, intercept, standardize)
        m, d = own.rows.shape
        W = from_span(Z[:, :-1], own.rows, V[:-1]) if m < d else V[:-1]
        return W / own.scale[:, None]

    return jax.lax.map(lane, (rows, real, Z, V))
