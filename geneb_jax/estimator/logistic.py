"""`LogisticProbe`: the engine's logistic probe with scikit-learn's interface, for one fit or many of one X."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.errors import ProbeError
from geneb_jax.estimator import heads
from geneb_jax.estimator.inputs import (
    Coded,
    EstimatorError,
    apply_class_weight,
    check_weighted_classes,
    code,
    code_columns,
    row_weights,
    weight_rows,
)
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.status import Status

FLOATS = (np.float64, np.float32)

FLOAT64_TOLERANCE = 1e-14
"""Below the engine's 1e-12, because scikit-learn's users compare coefficients, whose error is this one's square root:
two ways to write one problem should agree to 1e-7. It costs 4 to 5 % more Newton steps (20 small, badly scaled)."""


class LogisticProbe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn carries no types
    """L2-penalised logistic regression, multinomial beyond two classes, fitted by geneb_jax on its device.

    The optimum is that of ``sklearn.linear_model.LogisticRegression`` with the same C, weights and intercept, and the
    fit runs to it. Where the stopping rules differ, so does the meaning of a parameter:

    C: inverse penalty, positive.
    fit_intercept: whether an unpenalised intercept is fitted.
    class_weight: None, a dictionary from class to weight, or "balanced": a row's weight is multiplied by S / (k · S_c),
        S the weight of all rows and S_c that of its class (rows count 1 without sample_weight), as in scikit-learn 1.9.
    standardize: centre and scale each feature first by the mean and standard deviation of all rows, unweighted, as
        StandardScaler in front would; coef_ and intercept_ are still those of the raw features.
    tol: the relative distance from the optimum, (F - F*)/F, at which a fit has converged. None: 1e-14 in float64 and
        1e-9 in float32. (scikit-learn's tol bounds a gradient.)
    max_iter: Newton steps before the fit stops with a ConvergenceWarning.
    dtype: precision on the device. "float32" halves the memory and suits accelerators; problems with fewer rows than
        features are solved in float64 either way.

    After fit: ``classes_`` (k,), ``coef_`` (o, d) and ``intercept_`` (o,) in float64, o = 1 for two classes and k
    beyond; ``n_iter_`` (1,), ``n_features_in_``, ``feature_names_in_`` where X names its columns; ``status_``
    (`geneb_jax.status.Status`) and ``objective_`` = C·Σ w·loss + ½‖W‖² in the arithmetic of the fit.

    A class whose rows all have weight zero keeps its column: its probability is 0 (coefficients 0, intercept -inf).
    The method is described in docs/algorithm.md.
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        fit_intercept: bool = True,
        class_weight: Mapping[Any, float] | str | None = None,
        standardize: bool = False,
        tol: float | None = None,
        max_iter: int = 100,
        dtype: str = "float64",
    ) -> None:
        self.C = C
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.standardize = standardize
        self.tol = tol
        self.max_iter = max_iter
        self.dtype = dtype

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit rows X (n, d) with classes y (n,) and weights sample_weight (n,), not negative.

        Raises EstimatorError, a ValueError, on parameters and arrays that cannot be used. Warns with a
        ConvergenceWarning where the optimum was not reached.
        """
        X, y = validate_data(self, X, y, dtype=FLOATS)
        target = code(y)
        weights = row_weights(sample_weight, X)
        _fit_probes([self], X, [target], [weights])
        return self

    def fit_many(
        self, X: Any, Y: Any, sample_weights: Any = None, *, C: Sequence[float] | NumpyFloat | None = None
    ) -> list[LogisticProbe]:
        """Fit t probes on one X (n, d), which goes to the device once, in one batch; each is a fitted LogisticProbe.

        Y: one target (n,) for all, or (n, t) with one in each column. sample_weights: one weighting (n,) for all, or
        (t, n) with one in each row, such as `geneb_jax.probes.bootstrap_weights`. C: t penalties instead of self.C.
        What is one for all is shared. Targets may have different classes; those with equally many are one batch.
        The result equals ``clone(self).set_params(C=C[i]).fit(X, Y[:, i], sample_weights[i])`` within the tolerance;
        this estimator itself stays as it was. Raises as `fit` does, naming the target or weighting, before any fit.
        """
        head = clone(self)
        X = validate_data(head, X, dtype=FLOATS)
        targets, weightings = code_columns(Y, len(X)), weight_rows(sample_weights, X)
        penalties = [self.C] if C is None else list(np.atleast_1d(np.asarray(C)).tolist())
        sizes = {len(part) for part in (targets, weightings, penalties)} - {1}
        if len(sizes) > 1 or 0 in sizes:
            raise EstimatorError(
                f"{len(targets)} targets, {len(weightings)} weightings and {len(penalties)} penalties do not pair up",
                cure="pass one of each, or equally many",
            )
        t = max(sizes, default=1)
        probes = [clone(self).set_params(C=(penalties * t)[i]) for i in range(t)]
        for probe in probes:
            for name in ("n_features_in_", "feature_names_in_"):
                if hasattr(head, name):
                    setattr(probe, name, getattr(head, name))
        _fit_probes(
            probes,
            X,
            targets * (t // len(targets)),
            weightings * (t // len(weightings)),
        )
        return probes

    def decision_function(self, X: Any) -> NumpyFloat:
        """Decision values (m,) for two classes, (m, k) beyond, of rows X (m, d)."""
        Z = self._logits(X)
        return Z[:, 0] if Z.shape[1] == 1 else Z

    def predict(self, X: Any) -> NumpyInt:
        """The likeliest class (m,) of each row; of equally likely ones the first."""
        best = heads.class_numbers(self._logits(X))
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Any) -> NumpyFloat:
        """Class probabilities (m, k), columns in the order of ``classes_``."""
        return heads.probabilities(self._logits(X))

    def predict_log_proba(self, X: Any) -> NumpyFloat:
        """Logarithms (m, k) of the class probabilities."""
        return heads.log_probabilities(self._logits(X))

    def _logits(self, X: Any) -> NumpyFloat:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=FLOATS)
        return heads.logits(X, self.coef_, self.intercept_)

    def _spec(self) -> LogisticSpec:
        balanced = isinstance(self.class_weight, str)
        if balanced and self.class_weight != "balanced":
            raise EstimatorError(f"class_weight must be None, 'balanced' or a dictionary, not {self.class_weight!r}")
        if self.dtype not in ("float32", "float64"):
            raise EstimatorError(f"dtype must be 'float32' or 'float64', not {self.dtype!r}")
        tol = FLOAT64_TOLERANCE if self.tol is None and self.dtype == "float64" else self.tol
        try:
            return LogisticSpec(
                C=float(self.C),
                fit_intercept=bool(self.fit_intercept),
                standardize=bool(self.standardize),
                balanced=balanced,
                max_steps=int(self.max_iter),
                tolerance=None if tol is None else float(tol),
            )
        except ProbeError as error:
            raise EstimatorError(error.what, where=error.where, cure=error.cure) from error


def _fit_probes(
    probes: Sequence[LogisticProbe], X: NumpyFloat, targets: list[Coded], weightings: list[NumpyFloat | None]
) -> None:
    """Fit probes of one class and dtype on X in place, all at once."""
    from geneb_jax.probes.weighted import WeightedLane, fit_lanes

    lanes = []
    for i, (probe, target, weights) in enumerate(zip(probes, targets, weightings, strict=True)):
        which = f"fit {i}: " if len(probes) > 1 else ""
        weights = apply_class_weight(weights, target, probe.class_weight)
        check_weighted_classes(weights, target, which=which)
        lanes.append(WeightedLane(target.index, len(target.classes), probe._spec(), weights))
    fits = fit_lanes(X, lanes, dtype=probes[0].dtype)  # type: ignore[arg-type]  # checked by _spec
    broken = [i for i, fit in enumerate(fits) if not fit.status.has_score]
    if broken:
        raise EstimatorError(
            fits[broken[0]].status.sentence, where=f"fit {broken[0]} of {len(fits)}" if len(fits) > 1 else None
        )
    for probe, target, fit in zip(probes, targets, fits, strict=True):
        probe.classes_ = target.classes
        probe.coef_, probe.intercept_ = np.ascontiguousarray(fit.coef.T), fit.intercept
        probe.n_iter_ = np.array([fit.num_steps], np.int32)
        probe.status_, probe.objective_ = fit.status, fit.objective
    for status, count in Counter(fit.status for fit in fits if fit.status is not Status.CONVERGED).items():
        share = f"{count} of {len(fits)} fits: " if len(fits) > 1 else ""
        warnings.warn(share + status.sentence, ConvergenceWarning, stacklevel=3)
