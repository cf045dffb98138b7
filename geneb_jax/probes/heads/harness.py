"""The same probes by scikit-learn itself, one after the other: what anyone can audit the fast ones with."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.metric.reference import reference_scores
from geneb_jax.probes.heads.results import final_status
from geneb_jax.probes.heads.specs import (
    AnyHead,
    CentroidSpec,
    GnbSpec,
    KnnSpec,
    LdaSpec,
    MlpSpec,
    RidgeSpec,
    SvmSpec,
)
from geneb_jax.probes.lane import Lane, LaneResult, empty_result
from geneb_jax.probes.regime import draw_rows
from geneb_jax.probes.results import check_task
from geneb_jax.status import Status


def sklearn_model(spec: AnyHead, seed: int, index: NumpyInt, *, few: bool = False, tight: bool = False) -> Any:
    """The scikit-learn estimator that a specification stands for, on rows with class numbers index (n,).

    few: the rows are a few-shot draw. tight: the optimum of LinearSVC, which stops early by default. The rows matter
    to how many neighbours vote and to whether rows can be held out.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import RidgeClassifier
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    model: Any
    match spec:
        case RidgeSpec():
            model = RidgeClassifier(alpha=spec.alpha)
        case SvmSpec():
            options = {"tol": 1e-10, "max_iter": 100_000, "dual": len(index) < 50} if tight else {}
            model = LinearSVC(C=spec.C, random_state=seed, **options)
        case LdaSpec():
            model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=spec.shrinkage)
        case CentroidSpec():
            model = NearestCentroid()
        case KnnSpec():
            model = KNeighborsClassifier(
                min(spec.k, np.bincount(index).max() if few else len(index)), metric=spec.metric
            )
        case GnbSpec():
            model = GaussianNB(var_smoothing=spec.var_smoothing)
        case MlpSpec():
            early = spec.holds_out(np.bincount(index).tolist())
            fitted = len(index) - (int(np.ceil(spec.held_out * len(index))) if early else 0)
            model = MLPClassifier(
                (spec.hidden,),
                alpha=spec.alpha,
                batch_size=min(spec.batch, fitted),
                learning_rate_init=spec.learning_rate,
                max_iter=spec.max_epochs,
                random_state=seed,
                tol=spec.tol,
                n_iter_no_change=spec.patience,
                validation_fraction=spec.held_out,
                early_stopping=early,
            )
    return make_pipeline(StandardScaler(), model) if spec.standardize else model


def fit_heads_sklearn(
    X_train: NumpyFloat,
    y_train: NumpyInt,
    X_test: NumpyFloat,
    y_test: NumpyInt,
    lanes: Sequence[Lane[AnyHead]],
    *,
    stock: bool = True,
    cast: bool = True,
) -> list[LaneResult]:
    """Fit and score every lane, one by one; what scikit-learn refuses to fit is BAD_DATA here.

    stock: scikit-learn's own tolerances; otherwise the optimum, where that is something else. cast: features
    become float64 first; without it they are fitted in their own precision.
    """
    check_task(np.shape(X_train), y_train, np.shape(X_test), y_test)
    y_train, y_test = np.asarray(y_train, np.int64), np.asarray(y_test, np.int64)
    if not (np.isfinite(X_train).all() and np.isfinite(X_test).all()):
        return [empty_result(lane, Status.BAD_EMBEDDING, y_train, y_test) for lane in lanes]
    X_train, X_test = (np.asarray(X, np.float64 if cast else None) for X in (X_train, X_test))
    return [_fit_lane(X_train, y_train, X_test, y_test, lane, stock) for lane in lanes]


def _fit_lane(
    X_train: NumpyFloat, y_train: NumpyInt, X_test: NumpyFloat, y_test: NumpyInt, lane: Lane[AnyHead], stock: bool
) -> LaneResult:
    began = time.perf_counter()
    shots = lane.regime.shots
    rows = np.arange(len(y_train)) if shots is None else draw_rows(y_train, shots, lane.seed)
    X, y = X_train[rows], y_train[rows]
    classes, index = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        return empty_result(lane, Status.ONE_CLASS_TRAIN, y_train, y_test)
    model = sklearn_model(lane.spec, lane.seed, index, few=shots is not None, tight=not stock)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(X, y)
            predictions = np.asarray(model.predict(X_test))
        except (ValueError, np.linalg.LinAlgError):
            return empty_result(lane, Status.BAD_DATA, y_train, y_test)
    labels = np.union1d(y_train, y_test)
    scored = reference_scores(y_test, predictions, labels)
    steps = getattr(model[-1] if lane.spec.standardize else model, "n_iter_", None)
    return LaneResult(
        lane=lane,
        status=final_status(Status.CONVERGED, scored.confusion),
        classes=classes,
        labels=labels,
        n_train=len(rows),
        predictions=predictions,
        confusion=scored.confusion,
        mcc=scored.mcc,
        accuracy=scored.accuracy,
        macro_f1=scored.macro_f1,
        num_steps=0 if steps is None else int(np.max(steps)),
        solver=f"sklearn-{lane.spec.head}",
        seconds=time.perf_counter() - began,
    )
