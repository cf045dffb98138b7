"""From specifications to lanes of numbers: problems on all rows of a design, and problems on rows of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Float, Int, NumpyFloat, NumpyInt
from geneb_jax.probe.design import Design, pad
from geneb_jax.probe.rounds import Lanes, solve_lanes
from geneb_jax.probe.spec import LogisticSpec
from geneb_jax.solve.newton_cg import State
from geneb_jax.solve.span import span
from geneb_kernels.precision import HIGHEST


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
    design: Design, targets: Targets, specs: Sequence[LogisticSpec], *, tolerance: float, max_steps: int
) -> tuple[Float[Array, "p q o"], State]:
    """Lanes that share every row: one matrix, one Gram, all penalties in the columns of the same products."""
    dtype = np.dtype(design.X.dtype)
    rows = design.X.shape[0]
    weights = [pad(targets.class_weights(slice(None), spec, dtype), rows) for spec in specs]
    lanes = Lanes(
        X=design.X,
        Y=jnp.asarray(pad(targets.encode(slice(None), dtype), rows)),
        C=jnp.asarray([spec.C for spec in specs], dtype),
        weights=jnp.asarray(np.stack(weights)),
        penalty=jnp.stack([_penalty(design, spec) for spec in specs]),
    )
    state = solve_lanes(lanes, tolerance=tolerance, max_steps=max_steps)
    return state.W, state


def _penalty(design: Design, spec: LogisticSpec) -> Float[Array, " q"]:
    """π in solver coordinates: 1/scale² on raw features, 1 on standardised ones, 0 for the intercept."""
    body = jnp.ones_like(design.scale) if spec.standardize else design.scale**-2.0
    return jnp.append(body, 0.0 if spec.fit_intercept else 1.0)


def solve_own_rows(
    design: Design, targets: Targets, selections: NumpyInt, spec: LogisticSpec, *, tolerance: float
) -> tuple[Float[Array, "p q o"], State]:
    """Lanes with rows of their own, `selections` (p, m): few-shot draws, or all rows where there are fewer than d.

    Solved in the span of their rows when m < d, else on the gathered rows. Returns W in the design's coordinates.
    """
    dtype = np.dtype(design.X.dtype)
    p = len(selections)
    Y = np.stack([targets.encode(rows, dtype) for rows in selections])
    weights = np.stack([targets.class_weights(rows, spec, dtype) for rows in selections])
    Z, shift, scale, to_width = _gather(
        design.X, design.scale, jnp.asarray(selections), spec.fit_intercept, spec.standardize
    )
    free = 0.0 if spec.fit_intercept else 1.0
    lanes = Lanes(
        X=Z,
        Y=jnp.asarray(Y),
        C=jnp.full((p,), spec.C, dtype),
        weights=jnp.asarray(weights),
        penalty=jnp.broadcast_to(
            jnp.append(jnp.ones(Z.shape[-1] - 1, dtype), jnp.asarray(free, dtype)), (p, Z.shape[-1])
        ),
    )
    state = solve_lanes(lanes, tolerance=tolerance, max_steps=spec.max_steps)
    return _scatter(state.W, shift, scale, to_width, design.scale), state


@partial(jax.jit, static_argnames=("intercept", "standardize"))
def _gather(
    X: Float[Array, "n q"],
    scale: Float[Array, " d"],
    selections: Int[Array, "p m"],
    intercept: bool,
    standardize: bool,
) -> tuple[Array, Array, Array, Array]:
    """Each lane's features (p, m, r+1), its own shift and scale (p, d), and the map (p, d, r) back to width."""

    def lane(rows: Int[Array, " m"]) -> tuple[Array, Array, Array, Array]:
        R = X[rows, :-1] * scale
        m, d = R.shape
        centre = intercept or standardize
        shift = jnp.mean(R, axis=0) if centre else jnp.zeros(d, R.dtype)
        R = R - shift
        spread = jnp.sqrt(jnp.mean(R * R, axis=0))
        # what is left of a constant column is rounding of the design's own scale
        constant = spread <= 8 * np.finfo(R.dtype).eps * scale
        own = jnp.where(constant, 1, spread) if standardize else jnp.ones(d, R.dtype)
        R = jnp.where(constant & standardize, 0, R / own)
        if m < d:
            basis = span(R)
            features, to_width = basis.features, jnp.matmul(R.T, basis.to_rows, precision=HIGHEST)
        else:
            features, to_width = R, jnp.eye(d, dtype=R.dtype)
        last = jnp.full((m, 1), 1.0 if intercept else 0.0, R.dtype)
        return jnp.concatenate([features, last], axis=1), shift, own, to_width

    # one after the other: the gathered rows of all lanes together can be larger than X
    return jax.lax.map(lane, selections)


@jax.jit
def _scatter(
    V: Float[Array, "p r o"],
    shift: Float[Array, "p d"],
    own: Float[Array, "p d"],
    to_width: Float[Array, "p d r"],
    scale: Float[Array, " d"],
) -> Float[Array, "p q o"]:
    def lane(V: Array, shift: Array, own: Array, to_width: Array) -> Array:
        W = jnp.matmul(to_width, V[:-1], precision=HIGHEST) / own[:, None]
        intercept = V[-1] - jnp.matmul(shift, W, precision=HIGHEST)
        return jnp.concatenate([W * scale[:, None], intercept[None]], axis=0)

    return jax.vmap(lane)(V, shift, own, to_width)
