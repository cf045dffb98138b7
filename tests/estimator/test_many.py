"""`fit_many`: many targets, weightings and penalties of one X are the single fits, from one matrix on the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from geneb_jax.estimator import LogisticProbe
from geneb_jax.probes import bootstrap_weights, weighted
from tests.probe.test_compilations import compilations
from tests.problems import N, make_task
from tests.tolerances import limit

T = 4


def same_fit(one: LogisticProbe, other: LogisticProbe) -> None:
    assert np.array_equal(one.classes_, other.classes_)
    assert one.coef_.shape == other.coef_.shape
    assert one.objective_ == pytest.approx(other.objective_, rel=limit("float64", "same_problem"))
    np.testing.assert_allclose(one.coef_, other.coef_, atol=limit("float64", "coef") * np.abs(other.coef_).max())
    np.testing.assert_allclose(one.intercept_, other.intercept_, atol=1e-4)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the real functions are called that move X to the device and that take its Gram matrix."""
    counted: Counter[str] = Counter()

    def spy(name: str) -> None:
        real: Callable[..., object] = getattr(weighted, name)

        def call(*args: object, **kwargs: object) -> object:
            counted[name] += 1
            return real(*args, **kwargs)

        monkeypatch.setattr(weighted, name, call)

    for name in ("build_design", "_span_features", "solve_lanes"):
        spy(name)
    return counted


def mixed_targets(seed: int, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """X (n, d) and targets (n, T) of 2, 3, 2 and 3 classes, with different numbers for the classes."""
    X, y, _, _ = make_task(seed, 3, n=n)
    rng = np.random.default_rng(seed)
    three = np.r_[np.arange(3), rng.permutation(y[3:])]
    return X, np.stack([(y > 0) * 7, y, three > 1, three - 1], axis=1)


def test_many_weightings_are_the_single_fits_from_one_batch(calls: Counter[str]) -> None:
    X, y, _, _ = make_task(0, 2)
    weights = bootstrap_weights(0, T, N)
    probe = LogisticProbe(class_weight="balanced")
    many = probe.fit_many(X, y, weights)
    assert calls == {"build_design": 1, "solve_lanes": 1}
    assert not hasattr(probe, "coef_")
    for one, row in zip(many, weights, strict=True):
        same_fit(one, clone(probe).fit(X, y, row))


def test_many_targets_are_the_single_fits_batched_by_their_number_of_classes(calls: Counter[str]) -> None:
    X, Y = mixed_targets(1)
    many = LogisticProbe().fit_many(X, Y)
    assert calls == {"build_design": 1, "solve_lanes": 2}
    for one, y in zip(many, Y.T, strict=True):
        same_fit(one, LogisticProbe().fit(X, y))


def test_many_penalties_and_everything_at_once(calls: Counter[str]) -> None:
    X, Y = mixed_targets(2)
    C = [0.01, 0.1, 1.0, 10.0]
    weights = np.random.default_rng(2).exponential(size=(T, N))
    many = LogisticProbe().fit_many(X, Y, weights, C=C)
    assert calls == {"build_design": 1, "solve_lanes": 2}
    assert [one.C for one in many] == C
    for i, one in enumerate(many):
        same_fit(one, LogisticProbe(C=C[i]).fit(X, Y[:, i], weights[i]))


def test_fewer_rows_than_features_share_one_factor(calls: Counter[str]) -> None:
    X, y, _, _ = make_task(3, 2, n=40, d=60)
    weights = 1 + bootstrap_weights(3, T, 40)
    many = LogisticProbe(dtype="float32").fit_many(X, y, weights)
    assert calls == {"_span_features": 1, "solve_lanes": 1}
    for one, row in zip(many, weights, strict=True):
        same_fit(one, LogisticProbe().fit(X, y, row))


def test_one_of_each_is_a_list_of_one() -> None:
    X, y, _, _ = make_task(4, 2)
    (one,) = LogisticProbe().fit_many(X, y)
    same_fit(one, LogisticProbe().fit(X, y))
    assert one.n_features_in_ == X.shape[1]


def test_columns_of_a_table_may_be_of_different_kinds() -> None:
    X, y, _, _ = make_task(5, 2)
    names = np.where(y == 1, "yes", "no")
    table = np.empty((N, 2), object)
    table[:, 0], table[:, 1] = y, names
    number, text = LogisticProbe().fit_many(X, table)
    assert number.classes_.tolist() == [0, 1]
    assert text.classes_.tolist() == ["no", "yes"]
    same_coef = number.coef_ - text.coef_
    assert np.abs(same_coef).max() <= 1e-9


def test_other_values_compile_nothing() -> None:
    # 106, 107 and 108 rows share a padded size
    X, Y = mixed_targets(6, n=N + 6)
    LogisticProbe().fit_many(X, Y, bootstrap_weights(0, T, N + 6) + 1)
    with compilations() as seen:
        for seed in (7, 8):
            X, Y = mixed_targets(seed, n=N + seed)
            LogisticProbe(C=0.1 * seed).fit_many(X, Y, bootstrap_weights(seed, T, N + seed) + 1)
    assert seen == []


def test_one_warning_tells_how_many_did_not_converge() -> None:
    X, y, _, _ = make_task(9, 2)
    with pytest.warns(ConvergenceWarning, match="2 of 2 fits") as caught:
        LogisticProbe(max_iter=1).fit_many(X, y, C=[1.0, 2.0])
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("Y", "weights", "C", "says"),
    [
        (np.zeros((N, 2)), None, None, "target 0: .* one class"),
        (np.eye(N)[:, :3], np.ones((2, N)), None, "do not pair up"),
        (np.eye(N)[0], np.ones((2, N)), [1.0, 2.0, 3.0], "do not pair up"),
        (np.eye(N)[0], None, [], "do not pair up"),
        (np.eye(N)[: N - 1, 0], None, None, "rows"),
        (np.eye(N)[:, :0], None, None, "no column"),
        (np.eye(N)[0], np.ones((N, 2)), None, "one weighting in each row"),
        (np.eye(N)[0], np.stack([np.ones(N), np.eye(N)[0]]), None, "fit 1: .*positive weight contain only one class"),
        (np.eye(N)[0], None, [1.0, -1.0], "C must be"),
    ],
)
def test_what_does_not_pair_up_is_refused_before_any_fit(Y, weights, C, says, calls: Counter[str]) -> None:  # type: ignore[no-untyped-def]
    X, _, _, _ = make_task(10, 2)
    with pytest.raises(ValueError, match=f"(?s){says}"):
        LogisticProbe().fit_many(X, Y, weights, C=C)
    assert not calls
