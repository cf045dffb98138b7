from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, matthews_corrcoef
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneb_jax.errors import ProbeError
from geneb_jax.linear.reference import fit as newton_fit
from geneb_jax.linear.reference import one_hot
from geneb_jax.metric.reference import reference_scores
from geneb_jax.probes.harness import fit_task_sklearn, objective_value
from geneb_jax.probes.lane import Lane
from geneb_jax.probes.regime import GENEB_REGIMES, GENEB_SEEDS, Regime, draw_rows
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.status import Status
from tests.tolerances import limit

FULL = Regime(None)


def classes_task(seed: int, classes: int, n: int = 120, d: int = 6) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, d))
    y = rng.integers(classes, size=2 * n)
    X = (centres[y] + 1.5 * rng.normal(size=(2 * n, d))).astype(np.float32)
    return X[:n], y[:n], X[n:], y[n:]


def geneb_lanes(spec: LogisticSpec | None = None) -> list[Lane]:
    spec = spec or LogisticSpec()
    return [Lane(Regime.parse(r), seed, spec) for r in GENEB_REGIMES for seed in GENEB_SEEDS]


@pytest.mark.parametrize("classes", [2, 4])
def test_stock_is_the_harness_line_for_line(classes: int) -> None:
    X, y, Z, z = classes_task(0, classes)
    for result in fit_task_sklearn(X, y, Z, z, geneb_lanes()):
        shots, seed = result.lane.regime.shots, result.lane.seed
        rows = np.arange(len(y)) if shots is None else draw_rows(y, shots, seed)
        model = LogisticRegression(max_iter=1000, random_state=seed).fit(X[rows].astype(np.float64), y[rows])
        expected = model.predict(Z.astype(np.float64))
        assert result.predictions is not None
        assert np.array_equal(result.predictions, expected)
        assert result.mcc == pytest.approx(matthews_corrcoef(z, expected), abs=limit("float64", "score"))
        assert result.macro_f1 == pytest.approx(f1_score(z, expected, average="macro"), abs=limit("float64", "score"))
        assert result.n_train == len(rows)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("standardize", [False, True])
def test_without_a_cast_it_is_genebs_script_in_float32(classes: int, standardize: bool) -> None:
    """The script passes float32 vectors on; cast to float64, lbfgs stops elsewhere."""
    X, y, Z, z = classes_task(7, classes)
    X, Z = (rows * np.logspace(-2, 2, rows.shape[1], dtype=np.float32) for rows in (X, Z))
    lanes = geneb_lanes(LogisticSpec(standardize=standardize))
    script, cast = (fit_task_sklearn(X, y, Z, z, lanes, cast=cast) for cast in (False, True))
    for result in script:
        shots, seed = result.lane.regime.shots, result.lane.seed
        rows = np.arange(len(y)) if shots is None else draw_rows(y, shots, seed)
        model = LogisticRegression(max_iter=1000, random_state=seed)
        model = make_pipeline(StandardScaler(), model) if standardize else model
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X[rows], y[rows])
        assert np.array_equal(result.predictions, model.predict(Z))  # type: ignore[arg-type]
        assert result.coef is not None
        if not standardize:
            assert model.coef_.dtype == np.float32
            np.testing.assert_allclose(result.coef.T, model.coef_, rtol=0, atol=limit("float32", "product"))
    differ = [np.abs(a.coef - b.coef).max() > 1e-6 * np.abs(b.coef).max() for a, b in zip(script, cast, strict=True)]  # type: ignore[operator]
    assert standardize or any(differ)  # on well scaled features both stop at one place


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "spec",
    [LogisticSpec(), LogisticSpec(C=50.0), LogisticSpec(balanced=True), LogisticSpec(fit_intercept=False)],
    ids=lambda s: f"{s.name}-{s.C}",
)
def test_optimum_agrees_with_the_newton_reference(classes: int, spec: LogisticSpec) -> None:
    X, y, Z, z = classes_task(1, classes)
    (result,) = fit_task_sklearn(X, y, Z, z, [Lane(FULL, 13, spec)], stock=False)
    names, counts = np.unique(y, return_counts=True)
    weights = (len(y) / (classes * counts))[np.searchsorted(names, y)] if spec.balanced else None
    W, _, value = newton_fit(X, one_hot(y, names), spec.C, weights, fit_intercept=spec.fit_intercept)
    assert result.status is Status.CONVERGED
    assert result.coef is not None
    assert result.objective == pytest.approx(value, rel=1e-11)
    # the reference stops at a decrement of 1e-13·F, that is at coefficients good to about its square root
    np.testing.assert_allclose(result.coef, W, atol=3e-6)


def test_optimum_in_the_span_of_few_rows_is_the_optimum_of_the_whole_problem() -> None:
    X, y, Z, z = classes_task(2, 2, n=80, d=200)
    (result,) = fit_task_sklearn(X, y, Z, z, [Lane(Regime(10), 42, LogisticSpec())], stock=False)
    rows = draw_rows(y, 10, 42)
    model = LogisticRegression(tol=1e-13, solver="newton-cholesky", max_iter=1000).fit(X[rows].astype(float), y[rows])
    assert result.coef is not None
    np.testing.assert_allclose(result.coef[:, 0], model.coef_[0], rtol=1e-7, atol=1e-10)
    assert result.grad_norm < 1e-9


def test_standardised_features_are_returned_in_raw_units() -> None:
    X, y, Z, z = classes_task(3, 3)
    X[:, 0] *= 1000
    Z[:, 0] *= 1000
    X[:, 1] = 7.0  # a constant feature must not divide by zero
    spec = LogisticSpec(standardize=True)
    (result,) = fit_task_sklearn(X, y, Z, z, [Lane(FULL, 13, spec)], stock=False)
    mean, std = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    std[1] = 1.0
    W, b, value = newton_fit((X - mean) / std, one_hot(y, np.unique(y)), 1.0)
    assert result.coef is not None
    assert result.intercept is not None
    assert result.objective == pytest.approx(value, rel=1e-11)
    np.testing.assert_allclose(result.coef, W / std[:, None], atol=3e-6)
    expected = ((Z - mean) / std @ W + b).argmax(axis=1)
    assert np.array_equal(result.predictions, expected)


def test_objective_value_is_least_at_the_optimum() -> None:
    X, y, Z, z = classes_task(4, 3)
    (result,) = fit_task_sklearn(X, y, Z, z, [Lane(FULL, 13, LogisticSpec())], stock=False)
    assert result.coef is not None
    assert result.intercept is not None
    best, gradient = objective_value(X, y, LogisticSpec(), result.coef, result.intercept)
    assert gradient < 1e-8
    for seed in range(5):
        nudge = 1e-3 * np.random.default_rng(seed).normal(size=result.coef.shape)
        assert objective_value(X, y, LogisticSpec(), result.coef + nudge, result.intercept)[0] > best


def test_full_data_seeds_are_one_fit() -> None:
    X, y, Z, z = classes_task(5, 2)
    results = fit_task_sklearn(X, y, Z, z, geneb_lanes())[:5]
    assert [r.lane.seed for r in results] == list(GENEB_SEEDS)
    assert results[0].seconds > 0
    assert all(r.seconds == 0 and r.mcc == results[0].mcc for r in results[1:])


def test_statuses_name_what_went_wrong() -> None:
    X, y, Z, z = classes_task(6, 2)
    lanes = [Lane(FULL, 13, LogisticSpec())]

    def status(*arrays: np.ndarray) -> Status:
        return fit_task_sklearn(*arrays, lanes)[0].status

    assert status(X, np.zeros_like(y), Z, z) is Status.ONE_CLASS_TRAIN
    assert status(X, y, Z, np.ones_like(z)) is Status.ONE_CLASS_TEST
    broken = X.copy()
    broken[3, 2] = np.inf
    assert status(broken, y, Z, z) is Status.BAD_EMBEDDING
    unbalanced = np.r_[np.zeros(len(y) - 2, dtype=int), 1, 1]
    assert status(np.ones_like(X), unbalanced, np.ones_like(Z), z) is Status.ONE_CLASS_PREDICTED
    scales = np.logspace(-2, 2, 30)
    rng = np.random.default_rng(0)
    centred = rng.normal(size=(200, 30)) * scales
    hard = (centred @ (rng.normal(size=30) / scales) + rng.normal(size=200) > 0).astype(int)
    assert status(centred + 100, hard, centred + 100, hard) is Status.MAX_STEPS


def test_a_class_that_only_the_test_rows_have_is_scored_as_wrong() -> None:
    X, y, Z, z = classes_task(7, 2)
    z = z.copy()
    z[:5] = 9
    (result,) = fit_task_sklearn(X, y, Z, z, [Lane(FULL, 13, LogisticSpec())])
    assert result.labels.tolist() == [0, 1, 9]
    assert result.confusion is not None
    assert result.confusion[2].sum() == 5
    assert result.confusion[:, 2].sum() == 0


def test_shapes_that_do_not_fit_are_refused() -> None:
    X, y, Z, z = classes_task(8, 2)
    lanes = [Lane(FULL, 13, LogisticSpec())]
    with pytest.raises(ProbeError, match="wide"):
        fit_task_sklearn(X, y, Z[:, :3], z, lanes)
    with pytest.raises(ProbeError, match="labels"):
        fit_task_sklearn(X, y[:-1], Z, z, lanes)


def test_reference_scores_match_a_hand_count() -> None:
    scored = reference_scores(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0]), np.array([0, 1]))
    assert scored.confusion.tolist() == [[1, 1], [1, 2]]
    assert scored.accuracy == pytest.approx(0.6)
    assert scored.mcc == pytest.approx((1 * 2 - 1 * 1) / 6)
