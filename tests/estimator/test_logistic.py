"""`LogisticProbe` beside LogisticRegression: the same optimum, shapes, errors and uses."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import geneb_jax
from geneb_jax.errors import GenebError
from geneb_jax.estimator import LogisticProbe
from geneb_jax.estimator.inputs import EstimatorError
from geneb_jax.status import Status
from tests.problems import D, M, N, make_task
from tests.tolerances import limit

NAMES = np.array(["promoter", "enhancer", "neither"])


def text_task(k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows and text labels; text sorts in another order than the numbers did."""
    X, y, X_test, y_test = make_task(seed, k)
    return X, NAMES[y], X_test, NAMES[y_test]


def sklearn_model(**settings: object) -> LogisticRegression:
    return LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000, **settings)


def exact(X: np.ndarray) -> np.ndarray:
    return X.astype(np.float64)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("weighting", ["none", "rows", "balanced", "dictionary", "rows and balanced"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # scikit-learn's at tol 1e-12
def test_it_is_logistic_regression(k: int, weighting: str) -> None:
    X, y, X_test, y_test = text_task(k)
    sample_weight = np.random.default_rng(0).exponential(size=N) if "rows" in weighting else None
    class_weight = "balanced" if "balanced" in weighting else {"enhancer": 3.0} if weighting == "dictionary" else None
    # scikit-learn makes float32 of everything where X is float32
    ours = LogisticProbe(class_weight=class_weight).fit(X, y, sample_weight)
    theirs = sklearn_model(class_weight=class_weight).fit(exact(X), y, sample_weight)
    assert np.array_equal(ours.classes_, theirs.classes_)
    for name in ("coef_", "intercept_", "n_iter_"):
        assert getattr(ours, name).shape == getattr(theirs, name).shape, name
    atol = limit("float64", "coef") * np.abs(theirs.coef_).max()
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=atol)
    rows = exact(X_test)
    np.testing.assert_allclose(ours.predict_proba(X_test), theirs.predict_proba(rows), atol=1e-4)
    np.testing.assert_allclose(ours.predict_log_proba(X_test), theirs.predict_log_proba(rows), atol=1e-3)
    assert ours.decision_function(X_test).shape == theirs.decision_function(rows).shape
    assert (ours.predict(X_test) == theirs.predict(rows)).mean() >= 0.999
    assert ours.score(X_test, y_test) == pytest.approx(theirs.score(rows, y_test), abs=0.001)
    assert ours.status_ is Status.CONVERGED


def test_the_objective_is_the_one_at_the_coefficients() -> None:
    X, y, _, _ = text_task(2)
    probe = LogisticProbe(C=0.3).fit(X, y)
    loss = -probe.predict_log_proba(X)[np.arange(N), np.searchsorted(probe.classes_, y)].sum()
    assert probe.objective_ == pytest.approx(0.3 * loss + 0.5 * (probe.coef_**2).sum(), rel=1e-11)


def test_probabilities_far_away_stay_apart_from_zero_in_their_logarithm() -> None:
    X, y, _, _ = text_task(3)
    probe = LogisticProbe().fit(X, y)
    far = probe.predict_log_proba(1e5 * X)
    assert np.isfinite(far).all()
    assert (probe.predict_proba(1e5 * X) == 0).any()


def test_rows_are_taken_in_blocks_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, X_test, _ = text_task(3)
    probe = LogisticProbe().fit(X, y)
    whole = probe.decision_function(X_test)
    monkeypatch.setattr("geneb_jax.estimator.heads.BLOCK", 7)
    np.testing.assert_allclose(probe.decision_function(X_test), whole, rtol=1e-12)


def test_standardize_is_a_scaler_in_front() -> None:
    X, y, X_test, _ = text_task(2)
    X, X_test = X * np.float32(20) + 100, X_test * np.float32(20) + 100
    ours = LogisticProbe(standardize=True).fit(X, y)
    pipeline = make_pipeline(StandardScaler(), sklearn_model()).fit(exact(X), y)
    np.testing.assert_allclose(ours.predict_proba(X_test), pipeline.predict_proba(exact(X_test)), atol=1e-4)


def test_a_class_without_weight_has_probability_zero() -> None:
    X, y, X_test, _ = text_task(3)
    probe = LogisticProbe().fit(X, y, (y != "neither").astype(float))
    place = list(probe.classes_).index("neither")
    assert (probe.predict_proba(X_test)[:, place] == 0).all()
    assert (probe.predict(X_test) != "neither").all()


def test_too_few_steps_warn_in_the_words_of_the_status() -> None:
    X, y, _, _ = text_task(2)
    with pytest.warns(ConvergenceWarning, match="used all its steps") as caught:
        probe = LogisticProbe(max_iter=1).fit(X, y)
    assert probe.status_ is Status.MAX_STEPS
    assert probe.n_iter_.tolist() == [1]
    assert caught[0].filename == __file__


def test_features_beyond_the_precision_are_refused() -> None:
    X, y, _, _ = text_task(2)
    with pytest.raises(EstimatorError, match="overflow this precision"):
        LogisticProbe(dtype="float32").fit(exact(X) * 1e25, y)


@pytest.mark.parametrize(
    "settings",
    [{"C": 0.0}, {"C": -1}, {"max_iter": 0}, {"tol": 2.0}, {"dtype": "float16"}, {"class_weight": "even"},
     {"class_weight": {"tRNA": 1.0}}, {"class_weight": {"enhancer": -1.0}}],
    ids=str,
)  # fmt: skip
def test_settings_without_a_meaning_are_refused_by_fit(settings: dict[str, object]) -> None:
    X, y, _, _ = text_task(2)
    with pytest.raises(EstimatorError) as refused:
        LogisticProbe(**settings).fit(X, y)
    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, GenebError)
    assert isinstance(pickle.loads(pickle.dumps(refused.value)), EstimatorError)


def test_one_class_is_refused_as_by_scikit_learn() -> None:
    X, _, _, _ = text_task(2)
    same = np.full(N, "promoter")
    with pytest.raises(ValueError, match="samples of at least 2 classes in the data, but"):
        LogisticRegression().fit(X, same)
    with pytest.raises(ValueError, match="samples of at least 2 classes in the data, but"):
        LogisticProbe().fit(X, same)


def test_one_class_of_positive_weight_is_refused() -> None:
    X, y, _, _ = text_task(2)
    with pytest.raises(ValueError, match="positive weight contain only one class: 'promoter'"):
        LogisticProbe().fit(X, y, y == "promoter")
    with pytest.raises(ValueError, match=r"no class at all|at least one non-zero"):
        LogisticProbe().fit(X, y, np.zeros(N))
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        LogisticProbe().fit(X, y, np.full(N, -1.0))


def test_before_fit_it_says_so() -> None:
    with pytest.raises(NotFittedError):
        LogisticProbe().predict(np.ones((1, D)))


def test_a_pickled_probe_predicts_the_same_in_another_process() -> None:
    X, y, X_test, _ = text_task(3)
    probe = LogisticProbe().fit(X, y)
    code = "import pickle, sys; probe, X = pickle.load(sys.stdin.buffer); print(*probe.predict(X))"
    sent = pickle.dumps((probe, X_test))
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    assert done.stdout.decode().split() == probe.predict(X_test).tolist()


def test_it_searches_and_scores_like_any_estimator() -> None:
    X, y, _, _ = text_task(2)
    grid = {"logisticprobe__C": [0.01, 1.0]}
    ours = GridSearchCV(make_pipeline(StandardScaler(), LogisticProbe()), grid, cv=3).fit(X, y)
    theirs = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky", tol=1e-8)),
        {"logisticregression__C": [0.01, 1.0]},
        cv=3,
    ).fit(exact(X), y)
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], atol=1e-12)
    assert cross_val_score(LogisticProbe(), X, y, cv=3).mean() > 0.5


def test_a_clone_has_the_settings_and_no_fit() -> None:
    X, y, _, _ = text_task(2)
    probe = LogisticProbe(C=0.2, standardize=True, class_weight={"enhancer": 2.0}).fit(X, y)
    other = clone(probe)
    assert other.get_params() == probe.get_params()
    assert not hasattr(other, "coef_")


def test_the_package_names_it_and_stays_light() -> None:
    assert geneb_jax.LogisticProbe is LogisticProbe
    code = "import sys, geneb_jax, geneb_jax.estimator; print({'sklearn', 'jax'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_rows_of_a_test_split_may_be_many() -> None:
    X, y, X_test, _ = text_task(2)
    assert LogisticProbe().fit(X, y).predict(np.tile(X_test, (10, 1))).shape == (10 * M,)
