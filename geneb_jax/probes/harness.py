"""The GENEB harness itself, in scikit-learn: what anyone can audit the batched engine with.

Three readings of "equal to scikit-learn" exist, and all are here: GENEB's script, scikit-learn's default tolerance on
vectors in the precision in which they come (float32); the same settings on vectors cast to float64; and the optimum of
the same objective in float64, the same number on every machine.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.errors import ProbeError
from geneb_jax.linear.reference import objective, one_hot
from geneb_jax.metric.reference import reference_scores
from geneb_jax.probes.lane import Lane, LaneResult, empty_result
from geneb_jax.probes.regime import draw_rows
from geneb_jax.probes.settle import decided
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.status import Status
from geneb_jax.whole import whole_numbers

NEWTON_LIMIT = 4000
"""Largest number of coefficients of one head for which the exact reference factorises the full Hessian."""

EXACT_TOLERANCE = 1e-12
"""scikit-learn's ``tol`` for the optimum."""

OPTIMUM_GRADIENT = 1e-7
"""A gradient below this fraction of C·n counts as the optimum in float64, even where a solver warns that it
could not improve further."""


def fit_task_sklearn(
    X_train: NumpyFloat,
    y_train: NumpyInt,
    X_test: NumpyFloat,
    y_test: NumpyInt,
    lanes: Sequence[Lane],
    *,
    stock: bool = True,
    cast: bool = True,
    threads: int | None = None,
) -> list[LaneResult]:
    """Fit and score every lane on `(n, d)` and `(m, d)` features with scikit-learn; results in lane order.

    `stock`: ``LogisticRegression(C=C, max_iter=1000, random_state=seed)``, everything else at its default, as
    in GENEB-0.1.0. Otherwise the optimum of the same objective (tol 1e-12; Newton where the Hessian is
    small enough to factorise). `cast`: features become float64 first; without it all stays in their own
    precision, as in GENEB's script. `threads` limits the BLAS threads, None leaves them alone.
    Lanes that see the same rows with the same specification are fitted once: lbfgs ignores ``random_state``.

    Raises:
        ProbeError: the arrays do not fit together.
    """
    X_train, X_test = np.asarray(X_train), np.asarray(X_test)
    y_train = whole_numbers(y_train, what="training labels", error=ProbeError)
    y_test = whole_numbers(y_test, what="test labels", error=ProbeError)
    _check(X_train, y_train, X_test, y_test)
    if not (np.isfinite(X_train).all() and np.isfinite(X_test).all()):
        return [empty_result(lane, Status.BAD_EMBEDDING, y_train, y_test) for lane in lanes]
    if cast:
        X_train, X_test = X_train.astype(np.float64, copy=False), X_test.astype(np.float64, copy=False)

    done: dict[tuple[int | None, int | None, LogisticSpec], LaneResult] = {}
    results = []
    with _blas_threads(threads):
        for lane in lanes:
            shots = lane.regime.shots
            key = (shots, None if shots is None else lane.seed, lane.spec)
            if key not in done:
                done[key] = _fit_lane(X_train, y_train, X_test, y_test, lane, stock=stock)
                results.append(done[key])
            else:
                # the same fit again costs nothing, and the time spent must add up
                results.append(replace(done[key], lane=lane, seconds=0.0))
    return results


def objective_value(
    X: NumpyFloat, y: NumpyInt, spec: LogisticSpec, coef: NumpyFloat, intercept: NumpyFloat
) -> tuple[float, float]:
    """The objective and the Euclidean norm of its gradient at raw-unit coefficients, in float64.

    `X` `(n, d)` and `y` `(n,)` are the rows the probe saw; `coef` `(d, o)`, `intercept` `(o,)`.
    The formula is in `geneb_jax.linear.objective`; W stands for standardised features where the specification
    asks for them.
    """
    prepared = _prepare(np.asarray(X, dtype=np.float64), spec)
    coef = np.asarray(coef, dtype=np.float64)
    W = coef * prepared.scale[:, None]
    b = np.asarray(intercept, dtype=np.float64) + prepared.mean @ coef
    classes = np.unique(y)
    weights = _row_weights(y, spec)
    value, dW, db = objective(W, b, prepared.features, one_hot(y, classes), spec.C, weights)
    squares = float((dW**2).sum()) + (float((db**2).sum()) if spec.fit_intercept else 0.0)
    return value, float(np.sqrt(squares))


@dataclass(frozen=True)
class _Prepared:
    """Training features as the probe sees them, and how they were made from the raw ones."""

    features: NumpyFloat  # (n, d)
    mean: NumpyFloat  # (d,)
    scale: NumpyFloat  # (d,)
    scaler: Any = None

    def transform(self, X: NumpyFloat) -> NumpyFloat:
        """Other rows (m, d) as the probe sees them, by scikit-learn's own arithmetic."""
        return X if self.scaler is None else np.asarray(self.scaler.transform(X))


def _prepare(X: NumpyFloat, spec: LogisticSpec) -> _Prepared:
    if not spec.standardize:
        return _Prepared(X, np.zeros(X.shape[1]), np.ones(X.shape[1]))
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    features = scaler.fit_transform(X)
    return _Prepared(features, np.asarray(scaler.mean_), np.asarray(scaler.scale_), scaler)


def _row_weights(y: NumpyInt, spec: LogisticSpec) -> NumpyFloat | None:
    if not spec.balanced:
        return None
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    return np.asarray((len(y) / (len(counts) * counts))[codes])


def _fit_lane(
    X_train: NumpyFloat, y_train: NumpyInt, X_test: NumpyFloat, y_test: NumpyInt, lane: Lane, *, stock: bool
) -> LaneResult:
    began = time.perf_counter()
    shots = lane.regime.shots
    if shots is None:
        X, y = X_train, y_train
    else:
        rows = draw_rows(y_train, shots, lane.seed)
        X, y = X_train[rows], y_train[rows]
    labels = np.union1d(y_train, y_test)
    classes = np.unique(y)
    if len(classes) < 2:
        return replace(empty_result(lane, Status.ONE_CLASS_TRAIN, y, y_test), labels=labels)

    prepared = _prepare(X, lane.spec)
    fit = _fit_stock if stock else _fit_optimum
    W, b, num_steps, warned, solver = fit(prepared.features, y, lane)
    if not (np.isfinite(W).all() and np.isfinite(b).all()):
        return replace(empty_result(lane, Status.NON_FINITE, y, y_test), labels=labels, num_steps=num_steps)
    coef = W / prepared.scale[:, None]
    intercept = b - prepared.mean @ coef
    value, grad_norm = objective_value(X, y, lane.spec, coef, intercept)
    if not stock and warned:
        warned = grad_norm > OPTIMUM_GRADIENT * lane.spec.C * len(y)

    if stock:
        scores = X_test @ coef + intercept if X_test.dtype == np.float64 else prepared.transform(X_test) @ W + b
        number, tied = _decide(scores), decision_margins(scores) <= _resolution(scores)
    else:
        # the same number on every machine: rounding must not decide what ties
        number, tied = decided(np.pad(X_test, ((0, 0), (0, 1)), constant_values=1), np.vstack([coef, intercept]))
    predictions = classes[number]
    scored = reference_scores(y_test, predictions, labels)
    if warned:
        status = Status.MAX_STEPS
    elif len(np.unique(y_test)) < 2:
        status = Status.ONE_CLASS_TEST
    elif len(np.unique(predictions)) < 2:
        status = Status.ONE_CLASS_PREDICTED
    else:
        status = Status.CONVERGED
    return LaneResult(
        lane=lane,
        status=status,
        classes=classes,
        labels=labels,
        n_train=len(y),
        coef=coef,
        intercept=intercept,
        predictions=predictions,
        confusion=scored.confusion,
        mcc=scored.mcc,
        accuracy=scored.accuracy,
        macro_f1=scored.macro_f1,
        objective=value,
        grad_norm=grad_norm,
        num_steps=num_steps,
        num_ties=int(tied.sum()),
        solver=solver,
        seconds=time.perf_counter() - began,
    )


_Fit = tuple[NumpyFloat, NumpyFloat, int, bool, str]


def _fit_stock(X: NumpyFloat, y: NumpyInt, lane: Lane) -> _Fit:
    spec = lane.spec
    return _logistic(X, y, spec, max_iter=1000, random_state=lane.seed)


def _fit_optimum(X: NumpyFloat, y: NumpyInt, lane: Lane) -> _Fit:
    spec = lane.spec
    outputs = len(np.unique(y))
    outputs = 1 if outputs == 2 else outputs
    basis = None
    if X.shape[1] > X.shape[0]:
        # the optimum lies in the span of the rows: an orthonormal basis makes the problem small and the same
        basis, triangle = np.linalg.qr(X.T)
        X = triangle.T
    if (X.shape[1] + 1) * outputs <= NEWTON_LIMIT:
        fit = _logistic(X, y, spec, max_iter=1000, tol=EXACT_TOLERANCE, solver="newton-cholesky")
    else:
        fit = _logistic(X, y, spec, max_iter=100_000, tol=EXACT_TOLERANCE)
    return fit if basis is None else (basis @ fit[0], *fit[1:])


def _logistic(X: NumpyFloat, y: NumpyInt, spec: LogisticSpec, **options: object) -> _Fit:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if not spec.fit_intercept:
        options["fit_intercept"] = False
    if spec.balanced:
        options["class_weight"] = "balanced"
    model = LogisticRegression(C=spec.C, **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    warned = any(issubclass(w.category, ConvergenceWarning) for w in caught)
    b = np.zeros(model.coef_.shape[0], model.coef_.dtype) + model.intercept_
    return model.coef_.T, b, int(np.max(model.n_iter_)), warned, f"sklearn-{model.solver}"


def _decide(scores: NumpyFloat) -> NumpyInt:
    """Class numbers of `(m, o)` decision values; a tie goes to the first class, as in scikit-learn."""
    if scores.shape[1] == 1:
        return (scores[:, 0] > 0).astype(np.int64)
    return np.asarray(scores.argmax(axis=1))


def decision_margins(scores: NumpyFloat) -> NumpyFloat:
    """How far each row of `(m, o)` decision values is from another class: `(m,)`, in decision units."""
    if scores.shape[1] == 1:
        return np.asarray(np.abs(scores[:, 0]))
    two = np.partition(scores, -2, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0])


def _resolution(scores: NumpyFloat) -> NumpyFloat:
    """Differences of decision values `(m, o)` that their precision cannot tell from zero, `(m,)`."""
    return np.asarray(8 * np.finfo(scores.dtype).eps * np.maximum(1.0, np.abs(scores).max(axis=1)))


def _check(X_train: NumpyFloat, y_train: NumpyInt, X_test: NumpyFloat, y_test: NumpyInt) -> None:
    for name, X, y in (("training", X_train, y_train), ("test", X_test, y_test)):
        if X.ndim != 2 or y.ndim != 1 or len(X) != len(y):
            raise ProbeError(
                f"the {name} features have shape {X.shape} and the {name} labels {y.shape}",
                cure="pass (rows, width) features and one label per row",
            )
        if len(X) == 0:
            raise ProbeError(f"the {name} split holds no rows", cure="every task needs training and test rows")
    if X_train.shape[1] != X_test.shape[1]:
        raise ProbeError(
            f"the training features are {X_train.shape[1]} wide and the test features {X_test.shape[1]}",
            cure="embed both splits with the same encoder",
        )


def _blas_threads(threads: int | None) -> AbstractContextManager[object]:
    if threads is None:
        return nullcontext()
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=threads, user_api="blas")
    return limits
