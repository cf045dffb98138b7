"""Problems that the numerics tests share, in few shapes (a new shape costs a compilation), and their optimum."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from geneb_jax.linear import reference
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.regime import Regime
from geneb_jax.probes.spec import LogisticSpec
from tests.tolerances import LIMITS, REFERENCE_GAP, TIE, limit

N, D, M = 100, 24, 1000
"""Training rows, width and test rows of nearly every problem; row counts from 97 to 104 share a padded size."""

FULL = Regime(None)

SPECS = (LogisticSpec(), LogisticSpec(C=0.1), LogisticSpec(balanced=True), LogisticSpec(standardize=True))
"""Four specifications that are solved in one batch; tests that need only one still pass all, and compile nothing."""

Task = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def lanes(specs: tuple[LogisticSpec, ...] = SPECS, regime: Regime = FULL, seed: int = 13) -> list[Lane]:
    return [Lane(regime, seed, spec) for spec in specs]


def make_task(seed: int, k: int, *, n: int = N, d: int = D, m: int = M, spread: float = 2.5) -> Task:
    """k noisy clouds that overlap, of unequal size, float32."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(k, d))
    share = np.arange(1, k + 1) / np.arange(1, k + 1).sum()
    y = np.concatenate([np.arange(k), rng.choice(k, size=n + m - k, p=share)])
    X = (centres[y] + spread * rng.normal(size=(n + m, d))).astype(np.float32)
    return X[:n], y[:n], X[n:], y[n:]


def tight_regression(spec: LogisticSpec) -> LogisticRegression:
    """scikit-learn's probe at its tightest, to be fitted under `tight_fits`; it does not standardise."""
    return LogisticRegression(
        C=spec.C,
        fit_intercept=spec.fit_intercept,
        class_weight="balanced" if spec.balanced else None,
        solver="newton-cholesky",
        tol=1e-12,
        max_iter=1000,
    )


@contextmanager
def tight_fits() -> Iterator[None]:
    """One thread, since on small problems a pool only waits for itself, and without what tol 1e-12 provokes."""
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):
        # at tol 1e-12 its line search can find nothing left to gain, and says so
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="The inner solver of .* stumbled upon a singular")
        yield


@dataclass(frozen=True)
class Optimum:
    """The optimum of one probe on raw rows, from scikit-learn at tol 1e-12 and the dense NumPy Newton, the better."""

    features: np.ndarray  # (n, d) as the probe sees them
    mean: np.ndarray
    scale: np.ndarray
    Y: np.ndarray
    weights: np.ndarray
    spec: LogisticSpec
    classes: np.ndarray
    W: np.ndarray
    b: np.ndarray
    value: float

    def value_at(self, coef: np.ndarray, intercept: np.ndarray) -> float:
        """F in float64 at coefficients (d, o), (o,) on raw features."""
        W = coef * self.scale[:, None]
        b = intercept + self.mean @ coef
        return reference.objective(W, b, self.features, self.Y, self.spec.C, self.weights)[0]

    def predict(self, X: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        """Labels of rows (m, d), and which of them (m,) are no ties and not nearer to one than `margin`."""
        decision = (X.astype(np.float64) - self.mean) / self.scale @ self.W + self.b
        if decision.shape[1] == 1:
            margin, column = np.abs(decision[:, 0]), (decision[:, 0] > 0).astype(int)
        else:
            two = np.partition(decision, -2, axis=1)[:, -2:]
            margin, column = two[:, 1] - two[:, 0], decision.argmax(axis=1)
        tie = TIE * np.abs(decision).max()
        return self.classes[column], (margin >= limit(dtype, "margin")) & (margin > tie)


def optimum(X: np.ndarray, y: np.ndarray, spec: LogisticSpec, *, newton: bool = True) -> Optimum:
    """`newton`: also run the dense reference, which holds o·(d + 1) unknowns, and demand that the two agree."""
    X = X.astype(np.float64)
    # an unpenalised intercept absorbs the mean: the same optimum, which scikit-learn then finds on hard features too
    mean = X.mean(axis=0) if spec.fit_intercept else np.zeros(X.shape[1])
    scale = np.ones(X.shape[1])
    if spec.standardize:
        scaler = StandardScaler().fit(X)
        mean, scale = scaler.mean_, scaler.scale_
    features = (X - mean) / scale
    classes, index, counts = np.unique(y, return_inverse=True, return_counts=True)
    weights = (len(y) / (len(classes) * counts))[index] if spec.balanced else np.ones(len(y))
    Y = reference.one_hot(y, classes)
    model = tight_regression(spec)
    with tight_fits():
        model.fit(features, y)
        W, b = model.coef_.T, np.zeros(model.coef_.shape[0]) + model.intercept_
        value = reference.objective(W, b, features, Y, spec.C, weights)[0]
        if newton:
            W2, b2, value2 = reference.fit(features, Y, spec.C, weights, fit_intercept=spec.fit_intercept)
            assert abs(value - value2) <= REFERENCE_GAP * value2, "the two references disagree"
            if value2 < value:
                W, b, value = W2, b2, value2
    return Optimum(features, mean, scale, Y, weights, spec, classes, W, b, value)


def assert_reaches(result: LaneResult, best: Optimum, X_test: np.ndarray, dtype: str) -> None:
    """The promises of the package for one lane: its objective and its predictions."""
    limits = LIMITS[dtype]
    assert result.coef is not None
    assert result.intercept is not None
    assert result.predictions is not None
    gap = (best.value_at(result.coef, result.intercept) - best.value) / best.value
    assert gap >= -REFERENCE_GAP, f"{result.lane.spec}: the reference is not the optimum, it is {-gap:.1e} above"
    assert gap <= limits["objective_gap"].value, f"{result.lane.spec}: gap {gap:.2e} ({result.status.label})"
    expected, sure = best.predict(X_test, dtype)
    equal = result.predictions[sure] == expected[sure]
    assert equal.mean() >= limits["predictions_equal"].value, f"{result.lane.spec}: {(~equal).sum()} rows differ"
