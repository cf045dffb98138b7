"""From specifications to lanes of numbers: problems on all rows of a design, and problems on rows of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Bool, Float, NumpyFloat, NumpyInt
from geneb_jax.probe.design import Design, pad, padded_rows
from geneb_jax.probe.rounds import Fitted, Lanes, solve_lanes
from geneb_jax.probe.spec import LogisticSpec
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
) -> Fitted:
    """Lanes that share every row: one matrix, one Gram, all penalties in the columns of the same products."""
    dtype = np.dtype(design.X.dtype)
    rows = design.X.shape[0]
    weights = [pad(targets.class_weights(slice(None), spec, dtype), rows) for spec in specs]
    lanes = Lanes(
        X=design.X,
        Y=jnp.asarray(pad(targets.encode(slice(None), dtype), rows)),
        C=jnp.asarray([spec.C for spec in specs], dtype),
        weights=jnp.asarray(np.stack(weights)),
        penalty=jnp.asarray(np.stack([_penalty(design, spec) for spec in specs])),
    )
    return solve_lanes(lanes, tolerance=tolerance, max_steps=max_steps)


def _penalty(design: Design, spec: LogisticSpec) -> NumpyFloat:
    """π (q,) in solver coordinates: 1/scale² on raw features, 1 on standardised ones, 0 for the intercept."""
    scale = np.asarray(design.scale)
    body = np.ones_like(scale) if spec.standardize else scale**-2.0
    return np.append(body, np.asarray(0.0 if spec.fit_intercept else 1.0, scale.dtype))


def solve_own_rows(
    X: NumpyFloat,
    design: Design,
    targets: Targets,
    selections: Sequence[NumpyInt],
    spec: LogisticSpec,
    penalties: Sequence[float] | None = None,
) -> Fitted:
    """Lanes with rows of their own: few-shot draws, or all rows of X (n, d) where there are fewer than d.

    Each selection (m,) lists a lane's rows; shorter ones are filled up with rows of weight zero. `penalties` are the
    lanes' own C where they are not all that of `spec`. Solved in the span of the rows when m < d, else on the gathered
    rows; always in float64, which these small problems hardly feel, and which keeps draws of features with tiny norms
    exact. Returns W in the design's coordinates.
    """
    p, m = len(selections), padded_rows(max(len(rows) for rows in selections))
    wide = np.dtype(np.float64)
    weights = np.stack([pad(targets.class_weights(rows, spec, wide), m) for rows in selections])
    real = np.stack([np.arange(m) < len(rows) for rows in selections])
    filled = np.stack([pad(rows, m) for rows in selections])
    scale = np.asarray(design.scale, wide)
    shift = np.asarray(design.shift, wide)
    with jax.enable_x64(True):
        Z, basis, own_shift, own_scale = _coordinates(
            jnp.asarray(X[filled]), jnp.asarray(real), spec.fit_intercept, spec.standardize
        )
        penalty = np.ones((p, Z.shape[-1]))
        penalty[:, -1] = 0 if spec.fit_intercept else 1
        lanes = Lanes(
            X=Z,
            Y=jnp.asarray(targets.encode(filled, wide)),
            C=jnp.asarray(np.full(p, spec.C) if penalties is None else np.asarray(penalties, wide)),
            weights=jnp.asarray(weights),
            penalty=jnp.asarray(penalty),
        )
        mixed = np.dtype(design.X.dtype) == np.float32
        tolerance = spec.resolved_tolerance("float64")
        fitted = solve_lanes(lanes, tolerance=tolerance, max_steps=spec.max_steps, mixed=mixed)
        coef = np.asarray(_to_width(fitted.W, basis, own_scale))
    # to the design's coordinates, in float64 on the host; from shift to shift, because the intercept on raw features
    # is a small difference of large numbers where the features' mean is far from zero
    intercept = fitted.W[:, -1] + np.einsum("pd,pdo->po", shift - np.asarray(own_shift), coef)
    W = np.concatenate([coef * scale[:, None], intercept[:, None]], axis=1)
    return fitted._replace(W=W.astype(design.X.dtype))


@partial(jax.jit, static_argnames=("intercept", "standardize"))
def _coordinates(
    rows: Float[Array, "p m d"], real: Bool[Array, "p m"], intercept: bool, standardize: bool
) -> tuple[Float[Array, "p m r"], Float[Array, "p d s"], Float[Array, "p d"], Float[Array, "p d"]]:
    """Each lane's features with the intercept's column, its basis, and its own shift and scale of the raw features."""

    def lane(item: tuple[Float[Array, "m d"], Bool[Array, " m"]]) -> tuple[Array, Array, Array, Array]:
        raw, real = item
        mask = real.astype(jnp.float64)[:, None]
        R = raw.astype(jnp.float64) * mask
        m, d = R.shape
        count = jnp.sum(mask)
        mean = jnp.sum(R, axis=0) / count
        centre = intercept or standardize
        shift = mean if centre else jnp.zeros_like(mean)
        R = (R - shift) * mask
        spread = jnp.sqrt(jnp.sum(R * R, axis=0) / count)
        constant = spread <= 8 * np.finfo(np.float64).eps * jnp.abs(mean)
        scale = jnp.where(constant, 1, spread) if standardize else jnp.ones_like(mean)
        R = R / scale
        features, basis = span(R) if m < d else (R, jnp.eye(d, dtype=R.dtype))
        last = mask if intercept else jnp.zeros_like(mask)
        return jnp.concatenate([features, last], axis=1), basis, shift, scale

    # one after the other, so that the scratch is one lane's
    return jax.lax.map(lane, (rows, real))


@jax.jit
def _to_width(
    V: Float[Array, "p r o"], basis: Float[Array, "p d s"], scale: Float[Array, "p d"]
) -> Float[Array, "p d o"]:
    """Coefficients on raw features."""
    return jnp.einsum("pds,pso->pdo", basis, V[:, :-1], precision=HIGHEST) / scale[..., None]
