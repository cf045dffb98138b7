"""Many weightings, targets and penalties of one X, fitted as lanes that share it.

Each lane minimises the objective of `geneb_jax.linear.objective` over the rows of one X with row weights of its own:
any non-negative numbers, such as bootstrap counts, or 0 and 1 for the rows of a fold. A row of weight zero does not
exist, except that ``standardize`` takes every row's mean and standard deviation, unweighted, as scikit-learn's
StandardScaler in a pipeline does.

``balanced`` multiplies a row's weight by S / (k · S_c), S the weight of all rows and S_c that of the row's class:
scikit-learn's ``compute_class_weight("balanced", sample_weight=...)``, which 1.9 uses in LogisticRegression. Where
scikit-learn divides by zero, for a class without weight, such classes are left out of k.

A class that a lane gives no weight keeps its column. With an intercept the objective then has an infimum but no
minimum; the limit is returned: coefficients 0 and intercept -inf, so that the class has probability 0, and the other
classes at their joint optimum. A lane with fewer than two classes of positive weight is ``one_class_train``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Bool, Float, NumpyBool, NumpyFloat, NumpyInt
from geneb_jax.errors import ProbeError
from geneb_jax.probes.design import build_design, pad, padded_rows, raw_coefficients
from geneb_jax.probes.programs import fitting, program
from geneb_jax.probes.rounds import Fitted, Lanes, solve_lanes
from geneb_jax.probes.spec import Dtype, LogisticSpec
from geneb_jax.solve.span import OwnRows, from_span, own_rows, span
from geneb_jax.status import Status

BATCH_BYTES = 512 * 2**20
"""About how much the lanes of one batch may hold beside X; more lanes are solved in several batches."""


@dataclass(frozen=True, eq=False)
class WeightedLane:
    """One problem on all rows: class indices (n,) in 0 … k-1, row weights (n,) (None: ones), and what to fit."""

    index: NumpyInt
    k: int
    spec: LogisticSpec
    weights: NumpyFloat | None = None


class WeightedFit(NamedTuple):
    """One lane's outcome; coef (d, o), intercept (o,) in float64 on raw features, NaN where the status has no score.

    ``objective`` is C·Σ w·loss + ½‖W‖² in the arithmetic of the fit, ``relative_gap`` its estimated distance from
    the optimum as a share of it.
    """

    coef: NumpyFloat
    intercept: NumpyFloat
    status: Status
    num_steps: int
    objective: float
    relative_gap: float


class WeightedFits(NamedTuple):
    """`WeightedFit` of p lanes: coef (p, d, o), intercept (p, o), status (p,) of `Status` values, the rest (p,)."""

    coef: NumpyFloat
    intercept: NumpyFloat
    status: NumpyInt
    num_steps: NumpyInt
    objective: NumpyFloat
    relative_gap: NumpyFloat


class _Weighted(NamedTuple):
    """A lane ready for the solver: the place in the result, the weights (n,) with the class weights multiplied in,
    and the classes (j,) of positive weight, which are all k unless the others go to the limit."""

    place: int
    lane: WeightedLane
    weights: NumpyFloat
    classes: NumpyInt

    @property
    def outputs(self) -> int:
        return 1 if len(self.classes) == 2 else len(self.classes)


class _Coordinates(NamedTuple):
    """X on the device as the solver sees it (rows, q), its penalty (q,), and the way back to raw coefficients.

    Not `sound` where a column's squares overflow, which would divide it to zero and look like a fit.
    """

    X: Float[Array, "n q"]
    penalty: NumpyFloat
    back: Callable[[NumpyFloat], tuple[NumpyFloat, NumpyFloat]]
    dtype: Dtype
    sound: bool


def bootstrap_weights(key: int, p: int, n: int) -> NumpyInt:
    """Row weights (p, n) of p bootstrap resamples of n rows: how often each row is drawn; every row of it sums to n.

    Resample i depends on `key`, i and n only, so more resamples begin with the same ones. Raises ProbeError on
    numbers that are not positive, or a negative key.
    """
    if key < 0 or p < 1 or n < 1:
        raise ProbeError(
            f"a bootstrap needs a key from 0 on, and resamples and rows from 1 on, not key={key!r}, p={p!r}, n={n!r}"
        )
    draws = (np.random.default_rng([key, i]).integers(n, size=n) for i in range(p))
    return np.stack([np.bincount(draw, minlength=n) for draw in draws])


def fit_weighted(
    X: NumpyFloat,
    targets: NumpyInt,
    weights: NumpyFloat | NumpyInt | None,
    specs: LogisticSpec | Sequence[LogisticSpec],
    *,
    dtype: Dtype = "float32",
) -> WeightedFits:
    """Fit p problems on X (n, d), which goes to the device once; in float64 anyhow where n < d.

    targets: class indices from 0 on, (n,) for all problems or (p, n); the number of classes is the largest index + 1.
    weights: (p, n) or (n,), finite and not negative; None for ones. specs: one for all, or p of them.
    Raises ProbeError on arrays that do not fit together and on weights that are no weights; what X and the optimum
    are like is told by the statuses.
    """
    targets = np.asarray(targets)
    if targets.ndim not in (1, 2) or not targets.size or not np.issubdtype(targets.dtype, np.integer):
        raise ProbeError(f"the targets must be integers (n,) or (p, n), not {targets.dtype} {targets.shape}")
    table = None if weights is None else np.asarray(weights)
    if table is not None and table.ndim not in (1, 2):
        raise ProbeError(f"the row weights must be (n,) or (p, n), not {table.shape}")
    several = [] if isinstance(specs, LogisticSpec) else list(specs)
    counts = {
        len(part)
        for part in (targets if targets.ndim == 2 else None, table if table is not None and table.ndim == 2 else None)
        if part is not None
    } | ({len(several)} if not isinstance(specs, LogisticSpec) else set())
    if len(counts) > 1 or 0 in counts:
        raise ProbeError(f"targets, weights and specifications disagree on the number of problems: {sorted(counts)}")
    p, k = next(iter(counts), 1), int(targets.max()) + 1
    lanes = [
        WeightedLane(
            index=targets[i] if targets.ndim == 2 else targets,
            k=k,
            spec=specs if isinstance(specs, LogisticSpec) else several[i],
            weights=table[i] if table is not None and table.ndim == 2 else table,
        )
        for i in range(p)
    ]
    columns = zip(*fit_lanes(X, lanes, dtype=dtype), strict=True)
    return WeightedFits(*(np.stack([np.asarray(value) for value in column]) for column in columns))


def fit_lanes(X: NumpyFloat, lanes: Sequence[WeightedLane], *, dtype: Dtype = "float32") -> list[WeightedFit]:
    """`fit_weighted` for lanes that may differ in their number of classes; results in the order of `lanes`."""
    X = np.asarray(X)
    if X.ndim != 2 or not X.size or not np.issubdtype(X.dtype, np.floating):
        raise ProbeError(f"X must be floating-point rows (n, width), not {X.dtype} {X.shape}")
    d = X.shape[1]
    results: dict[int, WeightedFit] = {}
    finite = bool(np.isfinite(X).all())
    ready = []
    for place, lane in enumerate(lanes):
        item = _weigh(place, lane, len(X))
        if finite and len(item.classes) > 1:
            ready.append(item)
        else:
            results[place] = _empty(d, lane.k, Status.ONE_CLASS_TRAIN if finite else Status.BAD_EMBEDDING)
    with fitting(dtype, d):
        for same in _groups(ready, lambda item: (item.lane.spec.fit_intercept, item.lane.spec.standardize)):
            results.update(_fit_coordinates(X, same, dtype))
    return [results[place] for place in range(len(lanes))]


def _weigh(place: int, lane: WeightedLane, n: int) -> _Weighted:
    index = lane.index
    if np.shape(index) != (n,) or not np.issubdtype(np.asarray(index).dtype, np.integer):
        raise ProbeError(f"lane {place}: the targets must be {n} integers, one per row of X")
    if index.min() < 0 or index.max() >= lane.k:
        raise ProbeError(f"lane {place}: the class indices must lie in 0 … {lane.k - 1}")
    w = np.ones(n) if lane.weights is None else np.asarray(lane.weights, np.float64)
    if w.shape != (n,):
        raise ProbeError(f"lane {place}: X has {n} rows and the row weights the shape {w.shape}")
    if not np.isfinite(w).all() or w.min() < 0:
        raise ProbeError(
            f"lane {place}: row weights must be finite and not negative",
            where=f"row {int(np.flatnonzero(~(np.isfinite(w) & (w >= 0)))[0])}",
        )
    # divided by the largest first, because a sum of large weights may overflow
    share = np.bincount(index, weights=w / max(w.max(), np.finfo(np.float64).tiny), minlength=lane.k)
    present = np.flatnonzero(share > 0)
    if lane.spec.balanced and len(present):
        factor = np.zeros(lane.k)
        factor[present] = share.sum() / (len(present) * share[present])
        w = w * factor[index]
    # without an intercept the penalty keeps a class without rows at a finite optimum, among all k
    whole = len(present) > 1 and not lane.spec.fit_intercept
    return _Weighted(place, lane, w, np.arange(lane.k) if whole else present)


def _empty(d: int, k: int, status: Status) -> WeightedFit:
    o = 1 if k <= 2 else k
    return WeightedFit(np.full((d, o), np.nan), np.full(o, np.nan), status, 0, float("nan"), float("nan"))


def _groups(items: Sequence[_Weighted], key: Callable[[_Weighted], object]) -> list[list[_Weighted]]:
    groups: dict[object, list[_Weighted]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _fit_coordinates(X: NumpyFloat, items: list[_Weighted], dtype: Dtype) -> dict[int, WeightedFit]:
    """All lanes that share one matrix on the device, in batches that one compiled solver takes."""
    spec = items[0].lane.spec
    used = np.logical_or.reduce([item.weights > 0 for item in items])
    # rows that no lane has must not set the scale of the coordinates; a standardised probe is defined on all rows
    keep: NumpyBool | slice = slice(None) if spec.standardize or used.all() else used
    rows = X[keep]
    place = _span_coordinates if len(rows) < X.shape[1] else _design_coordinates
    results: dict[int, WeightedFit] = {}
    with jax.enable_x64(dtype == "float64" or place is _span_coordinates):
        coordinates = place(rows, spec.fit_intercept, spec.standardize, dtype)

        def alike(item: _Weighted) -> object:
            return item.outputs, item.lane.spec.resolved_tolerance(coordinates.dtype), item.lane.spec.max_steps

        for group in _groups(items, alike):
            for batch in _batches(group, coordinates):
                results.update(_solve(coordinates, batch, keep))
    return results


def _batches(group: list[_Weighted], coordinates: _Coordinates) -> list[list[_Weighted]]:
    """Batches of one size, so that one compilation serves them; the last is filled up with a lane of its own."""
    (n, q), o = coordinates.X.shape, group[0].outputs
    per_lane = np.dtype(coordinates.X.dtype).itemsize * (2 * q * q + n * (8 * o + 2))
    most = max(1, BATCH_BYTES // per_lane)
    number = -(-len(group) // most)
    size = -(-len(group) // number)
    batches = [group[i : i + size] for i in range(0, len(group), size)]
    batches[-1] += batches[-1][:1] * (size - len(batches[-1]))
    return batches


def _solve(coordinates: _Coordinates, batch: list[_Weighted], keep: NumpyBool | slice) -> dict[int, WeightedFit]:
    dtype = np.dtype(coordinates.X.dtype)
    padded, spec = coordinates.X.shape[0], batch[0].lane.spec
    weights = np.stack([item.weights[keep] for item in batch])
    # to a mean of one, with the rest in C: lanes then share one Gram matrix as a preconditioner, whatever their scale
    level = weights.mean(axis=1)
    first = batch[0]
    shared = all(i.lane.index is first.lane.index and np.array_equal(i.classes, first.classes) for i in batch)
    Y = [pad(_encode(item, dtype)[keep], padded) for item in (batch[:1] if shared else batch)]
    lanes = Lanes(
        X=coordinates.X,
        Y=jax.device_put(Y[0] if shared else np.stack(Y)),
        C=np.asarray(np.array([item.lane.spec.C for item in batch]) * level, dtype),
        weights=np.asarray(np.stack([pad(w, padded) for w in weights / level[:, None]]), dtype),
        penalty=np.asarray(np.stack([coordinates.penalty * _share(item) for item in batch]), dtype),
    )
    fitted = solve_lanes(lanes, tolerance=spec.resolved_tolerance(coordinates.dtype), max_steps=spec.max_steps)
    return {item.place: _result(coordinates, item, fitted, i) for i, item in enumerate(batch)}


def _encode(item: _Weighted, dtype: np.dtype[Any]) -> NumpyFloat:
    """Targets (n, o): 0/1 in one column for two classes, else one-hot; rows of other classes have weight zero."""
    hot = item.lane.index[:, None] == (item.classes[1:] if item.outputs == 1 else item.classes)
    return hot.astype(dtype)


def _share(item: _Weighted) -> float:
    """Two classes left of k > 2 are a softmax whose columns are ±u/2, so that its penalty is half that of u."""
    return 0.5 if item.outputs == 1 and item.lane.k > 2 else 1.0


def _result(coordinates: _Coordinates, item: _Weighted, fitted: Fitted, i: int) -> WeightedFit:
    status, lane = Status(int(fitted.status[i])), item.lane
    coef, intercept = coordinates.back(fitted.W[i])
    if not (coordinates.sound and np.isfinite(coef).all() and np.isfinite(intercept).all()):
        status = Status.NON_FINITE
    if not status.has_score:
        return _empty(len(coef), lane.k, status)
    if len(item.classes) < lane.k:
        if item.outputs == 1:
            coef, intercept = coef * [-0.5, 0.5], intercept * [-0.5, 0.5]
        whole = np.zeros((len(coef), lane.k)), np.full(lane.k, -np.inf)
        whole[0][:, item.classes], whole[1][item.classes] = coef, intercept
        coef, intercept = whole
    return WeightedFit(coef, intercept, status, int(fitted.num_steps[i]), float(fitted.value[i]), float(fitted.gap[i]))


def _design_coordinates(rows: NumpyFloat, intercept: bool, standardize: bool, dtype: Dtype) -> _Coordinates:
    design = build_design(rows, np.dtype(dtype), centre=intercept or standardize, intercept=intercept)
    shift, scale = np.asarray(design.shift), np.asarray(design.scale)
    body = np.ones_like(scale) if standardize else scale**-2.0
    penalty = np.append(body, np.asarray(0.0 if intercept else 1.0, scale.dtype))
    return _Coordinates(
        design.X, penalty, lambda W: raw_coefficients(W, shift, scale), dtype, bool(np.isfinite(scale).all())
    )


def _span_coordinates(rows: NumpyFloat, intercept: bool, standardize: bool, dtype: Dtype) -> _Coordinates:
    """Fewer rows than columns: their span, from one Cholesky factor for all lanes, in float64 whatever was asked."""
    padded = padded_rows(len(rows))
    given = jax.device_put((pad(rows, padded), np.arange(padded) < len(rows)))
    X, own = _span_features(*given, intercept, standardize)
    own_shift, own_scale = np.asarray(own.shift), np.asarray(own.scale)

    def back(W: NumpyFloat) -> tuple[NumpyFloat, NumpyFloat]:
        coef = np.asarray(from_span(X[:, :-1], own.rows, jnp.asarray(W[:-1]))) / own_scale[:, None]
        return coef, W[-1] - own_shift @ coef

    penalty = np.append(np.ones(X.shape[1] - 1), 0.0 if intercept else 1.0)
    return _Coordinates(X, penalty, back, "float64", bool(np.isfinite(own_scale).all()))


@partial(program, static_argnames=("intercept", "standardize"))
def _span_features(
    raw: Float[Array, "m d"], real: Bool[Array, " m"], intercept: bool, standardize: bool
) -> tuple[Float[Array, "m q"], OwnRows]:
    """Features in the rows' span with the intercept's column, and the rows that they stand for."""
    own = own_rows(raw, real, intercept, standardize)
    return jnp.concatenate([span(own.rows), own.last], axis=1), own
