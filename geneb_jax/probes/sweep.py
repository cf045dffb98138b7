"""Passes over blocks of rows for lanes at different stages, run until all lanes are done."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Bool, Float, Int, NumpyFloat, NumpyInt
from geneb_jax.linear.objective import curvature_product, probabilities, residuals, row_losses
from geneb_jax.probes.blocks import Coordinates, Rows, body, stream
from geneb_jax.probes.programs import program
from geneb_jax.probes.rounds import MAX_INNER
from geneb_jax.probes.spec import Dtype, LogisticSpec
from geneb_jax.probes.threads import one_blas_thread
from geneb_jax.solve.host_factor import HostFactor, HostGram, factor_grams
from geneb_jax.solve.precondition import uniform_curvature
from geneb_jax.solve.streamed import Descent, Want
from geneb_kernels.precision import HIGHEST
from geneb_kernels.products import times

PATIENCE = 8
"""Fewest passes before a preconditioner is rebuilt."""

TILE = 512
"""Rows of a block multiplied at a time on a CPU, where they stay in cache; an accelerator takes the block at once."""

COMPACT_COLUMNS = 8
"""Finished lanes are dropped from the passes only where these have more columns; fewer cost nothing beside reading."""


@dataclass(frozen=True)
class Streamed:
    """What the passes read: rows, the class index of each (n,), the number of classes, and the solver's coordinates."""

    rows: Rows
    index: NumpyInt
    k: int
    coordinates: Coordinates
    dtype: np.dtype[Any]


class Layout(NamedTuple):
    """How a group of lanes is solved: rows per block, and the preconditioner's kind."""

    block: int
    per_class: bool
    diagonal: bool


def class_weights(problem: Streamed, spec: LogisticSpec) -> NumpyFloat:
    """Weight (k,) of each class's rows before C: 1, or scikit-learn's "balanced" n / (k · n_class)."""
    if not spec.balanced:
        return np.ones(problem.k)
    return len(problem.index) / (problem.k * np.bincount(problem.index, minlength=problem.k))


def solve_streamed(
    problem: Streamed,
    specs: list[LogisticSpec],
    dtype: Dtype,
    layout: Layout,
    tick: Callable[[list[Descent]], None],
) -> list[Descent]:
    """Fit one lane per specification from W = 0, all in the same passes. Never raises on values."""
    passes = _Passes(problem, specs, dtype, layout)
    while passes.running:
        passes.run()
        tick(passes.lanes)
    return passes.lanes


class _Passes:
    """The lanes with their logits Z (n, p, o) on the host, and the steps U along their directions."""

    def __init__(self, problem: Streamed, specs: list[LogisticSpec], dtype: Dtype, layout: Layout) -> None:
        self.problem, self.layout, self.dtype = problem, layout, problem.dtype
        n, d = problem.rows.shape
        o = 1 if problem.k == 2 else problem.k
        table = np.stack([spec.C * class_weights(problem, spec) for spec in specs]).astype(self.dtype)
        self.weights: NumpyFloat = table  # (p, k): C·w of a row by its class
        counts = np.bincount(problem.index, minlength=problem.k)
        values = (table.astype(np.float64) @ counts) * np.log(problem.k)
        shape = (n, len(specs), o)
        self.Z, self.U = np.zeros(shape, self.dtype), np.empty(shape, self.dtype)
        scale = np.asarray(problem.coordinates.scale, np.float64)
        # a Gram pass against an ordinary one, which also reads and centres the rows (measured: 11 times at d = 1,024)
        patience = max(PATIENCE, (d + 1) // 64 * (o if layout.per_class else 1) // max(1, o // 4))
        placeholder = HostFactor(None, np.ones(d + 1))
        self.lanes = [
            Descent(
                placeholder,
                np.append(np.ones(d) if spec.standardize else scale**-2.0, 0.0 if spec.fit_intercept else 1.0),
                o,
                float(value),
                tolerance=spec.resolved_tolerance(dtype),
                max_steps=spec.max_steps,
                max_inner=MAX_INNER,
                resolution=float(np.finfo(self.dtype).eps),
                patience=patience,
            )
            for spec, value in zip(specs, values, strict=True)
        ]
        self.alive = list(range(len(specs)))  # the lane of each column of the passes
        self.plain: NumpyFloat | None = class_weights(problem, specs[0])  # of the first Gram, shared by all lanes
        self.C = [spec.C for spec in specs]

    @property
    def running(self) -> bool:
        return any(lane.want is not Want.NOTHING for lane in self.lanes)

    def run(self) -> None:
        """One pass: products for the lanes that asked for some, Gram matrices for those that asked for a factor."""
        self._compact()
        lanes = [self.lanes[i] for i in self.alive]
        q, o = lanes[0].W.shape
        first = self.plain is not None
        grams = self._new_grams(lanes)
        asked = [lane.want for lane in lanes]
        wanted = any(lane.want in (Want.GRADIENT, Want.PRODUCT, Want.TRIAL) for lane in lanes)
        moves = any(lane.want is Want.TRIAL for lane in lanes)
        ahead = np.array([lane.want is not Want.PRODUCT for lane in lanes])
        V = np.stack([lane.direction for lane in lanes], axis=1).reshape(q, -1).astype(self.dtype)
        data, loss = np.zeros((len(lanes) * o, q)), np.zeros(len(lanes))
        index, size = self.problem.index, self.layout.block
        tile = math.gcd(size, TILE) if jax.default_backend() == "cpu" else size
        with one_blas_thread(q - 1 if grams else 0):
            for block in stream(self.problem.rows, size):
                part = slice(block.start, block.stop)
                y = _filled(index[part].astype(np.int32), size, -1)
                if wanted:
                    Z = _filled(self.Z[part], size, 0)
                    out = _products(block.raw, y, self.problem.coordinates, self.weights, V, Z, ahead, tile)
                for columns, gram in grams:
                    s = self._row_weights(columns, y, part, first)
                    for g, one in zip(gram, s, strict=True):
                        g.add(np.asarray(_scaled_rows(block.raw, y, self.problem.coordinates, one)))
                if wanted:
                    data += np.asarray(out[0])
                    loss += np.asarray(out[2])
                    if moves:
                        self.U[part] = np.asarray(out[1])[: block.stop - block.start]
            self._make_factors(grams)
            for column, lane in enumerate(lanes):
                if asked[column] in (Want.GRADIENT, Want.PRODUCT, Want.TRIAL):
                    self._deliver(column, lane, data[column * o : (column + 1) * o].T, float(loss[column]))

    def _deliver(self, column: int, lane: Descent, data: NumpyFloat, loss: float) -> None:
        if lane.receive(data, loss):
            self.Z[:, column] += self.U[:, column]
        elif lane.want is Want.SHORTER:
            t = lane.shorten(lambda t: self._slope(column, t))
            self.Z[:, column] += self.dtype.type(t) * self.U[:, column]

    def _slope(self, column: int, t: float) -> float:
        """The data's slope along a lane's direction at step t, from its logits alone."""
        total = 0.0
        index, size = self.problem.index, self.layout.block
        for start in range(0, len(index), size):
            part = slice(start, start + size)
            y, Z, U = (
                _filled(A, size, fill)
                for A, fill in (
                    (index[part].astype(np.int32), -1), (self.Z[part, column], 0), (self.U[part, column], 0),
                )
            )  # fmt: skip
            total += float(_slope_sum(y, self.weights[column], Z, U, self.dtype.type(t)))
        return total

    def _new_grams(self, lanes: list[Descent]) -> list[tuple[int, list[HostGram]]]:
        """Empty Gram matrices for this pass, with the column whose curvature weighs their rows."""
        q, o = lanes[0].W.shape
        if self.layout.diagonal:
            if self.plain is not None:
                self._diagonal_factors()
            return []
        if self.plain is not None:
            return [(0, [HostGram(q, self.dtype)])]
        grams = []
        for column, lane in enumerate(lanes):
            if lane.want is Want.FACTOR:
                lane.release()
                count = o if self.layout.per_class else 1
                grams.append((column, [HostGram(q, self.dtype) for _ in range(count)]))
        return grams

    def _row_weights(self, column: int, y: NumpyInt, part: slice, first: bool) -> list[Float[Array, " b"]]:
        if first:
            assert self.plain is not None
            weights = np.append(self.plain, 0.0).astype(self.dtype)  # index -1 is padding
            return [jax.device_put(np.sqrt(weights[y]))]
        Z = _filled(self.Z[part, column], len(y), 0)
        return list(_root_curvatures(y, self.weights[column], Z, self.layout.per_class))

    def _make_factors(self, grams: list[tuple[int, list[HostGram]]]) -> None:
        if self.plain is None:
            for column, gram in grams:
                lane = self.lanes[self.alive[column]]
                lane.renew(factor_grams(gram, 1.0, lane.penalty[:, 0]))
        elif grams:
            ((_, (shared,)),) = grams
            curvature = uniform_curvature(self.problem.k)
            for i, lane in enumerate(self.lanes):
                own = shared if i == len(self.lanes) - 1 else shared.copy()
                lane.factor = factor_grams([own], self.C[i] * curvature, lane.penalty[:, 0])
        self.plain = None

    def _diagonal_factors(self) -> None:
        """The diagonal at W = 0, known without a pass: every column that varies has mean square 1."""
        n, _ = self.problem.rows.shape
        coordinates = self.problem.coordinates
        squares = n * np.append(1.0 - np.asarray(coordinates.constant), float(coordinates.last))
        for C, lane in zip(self.C, self.lanes, strict=True):
            diagonal = C * uniform_curvature(self.problem.k) * squares + lane.penalty[:, 0]
            lane.factor = HostFactor(None, diagonal)

    def _compact(self) -> None:
        """Drop finished lanes from the passes once they are half of the columns, and the columns many."""
        going = [c for c, i in enumerate(self.alive) if self.lanes[i].want is not Want.NOTHING]
        _, p, o = self.Z.shape
        if p * o <= COMPACT_COLUMNS or 2 * len(going) > p:
            return
        del self.U
        self.Z = np.ascontiguousarray(self.Z[:, going])
        self.U = np.empty_like(self.Z)
        self.weights = self.weights[going]
        self.alive = [self.alive[c] for c in going]


def _filled(A: NumpyFloat, rows: int, value: int) -> NumpyFloat:
    if len(A) == rows:
        return A
    return np.concatenate([A, np.full((rows - len(A), *A.shape[1:]), value, A.dtype)])


def _targets(y: Int[Array, " b"], columns: int, dtype: Any) -> Float[Array, "b o"]:
    return (y == 1).astype(dtype)[:, None] if columns == 1 else jax.nn.one_hot(y, columns, dtype=dtype)


def _weights(y: Int[Array, " b"], table: Float[Array, "p k"]) -> Float[Array, "b p"]:
    """C·w of every row in every lane; zero where there is no row."""
    return jnp.where((y >= 0)[:, None], table.T[jnp.maximum(y, 0)], 0)


@partial(program, static_argnames="tile")
def _products(
    raw: Float[Array, "b d"],
    y: Int[Array, " b"],
    coordinates: Coordinates,
    table: Float[Array, "p k"],
    V: Float[Array, "q r"],
    Z: Float[Array, "b p o"],
    ahead: Bool[Array, " p"],
    tile: int,
) -> tuple[Float[Array, "r q"], Float[Array, "b p o"], Float[Array, " p"]]:
    """(X̃ᵀT, U, loss) for U = X̃V: T is the residual at Z + U where `ahead`, else the curvature at Z times U.

    `tile` rows at a time, so that the rows in coordinates never leave the cache.
    """
    b, p, o = Z.shape

    def one(start: Array) -> tuple[Array, Array, Array]:
        rows, own_y, own_Z = (jax.lax.dynamic_slice_in_dim(A, start, tile) for A in (raw, y, Z))
        real = own_y >= 0
        X = body(rows, real, coordinates)
        last = jnp.where(real, coordinates.last, 0)[:, None]
        U = (times(X, V[:-1]) + last * V[-1:]).reshape(tile, p, o)
        at = (own_Z + jnp.where(ahead[:, None], U, 0)).reshape(tile * p, o)
        P = probabilities(at)
        Y = jnp.broadcast_to(_targets(own_y, o, Z.dtype)[:, None], U.shape).reshape(tile * p, o)
        w = _weights(own_y, table)
        curved = curvature_product(P, U.reshape(tile * p, o)).reshape(U.shape)
        T = (w[..., None] * jnp.where(ahead[:, None], residuals(at, Y).reshape(U.shape), curved)).reshape(tile, p * o)
        data = jnp.concatenate([jnp.matmul(T.T, X, precision=HIGHEST), jnp.sum(T * last, axis=0)[:, None]], axis=1)
        return data, U, jnp.sum(w * row_losses(at, Y).reshape(tile, p), axis=0)

    def add(sums: tuple[Array, Array], start: Array) -> tuple[tuple[Array, Array], Array]:
        data, U, loss = one(start)
        return (sums[0] + data, sums[1] + loss), U

    zero = jnp.zeros((p * o, V.shape[0]), Z.dtype), jnp.zeros(p, Z.dtype)
    (data, loss), U = jax.lax.scan(add, zero, jnp.arange(0, b, tile))
    return data, U.reshape(Z.shape), loss


@program
def _slope_sum(
    y: Int[Array, " b"], table: Float[Array, " k"], Z: Float[Array, "b o"], U: Float[Array, "b o"], t: Float[Array, ""]
) -> Float[Array, ""]:
    R = _weights(y, table[None]) * residuals(Z + t * U, _targets(y, Z.shape[1], Z.dtype))
    return jnp.sum(R * U)


@partial(program, static_argnames="per_class")
def _root_curvatures(
    y: Int[Array, " b"], table: Float[Array, " k"], Z: Float[Array, "b o"], per_class: bool
) -> Float[Array, "c b"]:
    """Square roots of the row weights of `refreshed_factor`: one set for each class, or one for all."""
    P, w = probabilities(Z), _weights(y, table[None])
    if per_class or P.shape[1] == 1:
        return jnp.sqrt(w * P * (1 - P)).T
    s = w[:, 0] * (1 - jnp.sum(P * P, axis=1)) / (P.shape[1] - 1)
    return jnp.sqrt(jnp.maximum(s, 0))[None]


@jax.jit  # the emitter of `program` takes a third longer for this one
def _scaled_rows(
    raw: Float[Array, "b d"], y: Int[Array, " b"], coordinates: Coordinates, s: Float[Array, " b"]
) -> Float[Array, "b q"]:
    """diag(s) X̃, for Gram matrices."""
    real = y >= 0
    X = body(raw, real, coordinates)
    last = jnp.where(real, coordinates.last, 0)[:, None]
    return s[:, None] * jnp.concatenate([X, last], axis=1)
