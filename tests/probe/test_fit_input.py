"""What `fit_task` does with labels, sizes and values that are not the usual ones."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from geneb_jax.errors import ProbeError
from geneb_jax.probes.fit import fit_task
from geneb_jax.probes.lane import Lane
from geneb_jax.probes.regime import Regime
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.status import Status
from tests.problems import SPECS, assert_reaches, lanes, make_task, optimum
from tests.tolerances import limit

SHOTS = [Lane(Regime(shots), seed, LogisticSpec()) for shots in (1, 10) for seed in (13, 997)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_labels_may_be_any_integers(dtype: str) -> None:
    X, index, X_test, index_test = make_task(40, 3)
    names = np.array([-1, 5, 7])
    y, y_test = names[index], names[index_test]
    for result in fit_task(X, y.astype(np.int16), X_test, y_test.astype(np.int32), lanes(), dtype=dtype):  # type: ignore[arg-type]
        assert result.classes.tolist() == result.labels.tolist() == [-1, 5, 7]
        assert_reaches(result, optimum(X, y, result.lane.spec), X_test, dtype)


def test_a_class_that_only_the_test_rows_have_counts_as_wrong() -> None:
    X, y, X_test, y_test = make_task(41, 2)
    before = fit_task(X, y, X_test, y_test, lanes())[0]
    y_test = y_test.copy()
    y_test[:50] = -3
    result = fit_task(X, y, X_test, y_test, lanes())[0]
    assert result.status is Status.CONVERGED
    assert result.classes.tolist() == [0, 1]
    assert result.labels.tolist() == [-3, 0, 1]
    assert result.confusion is not None
    assert result.confusion[0].sum() == 50
    assert not result.confusion[:, 0].any()
    assert np.array_equal(result.predictions, before.predictions)  # type: ignore[arg-type]
    assert result.accuracy == pytest.approx((result.predictions == y_test).mean(), abs=1e-14)


def test_a_class_that_only_the_train_rows_have_is_learnt() -> None:
    X, y, X_test, y_test = make_task(42, 3)
    keep = y_test != 1
    result = fit_task(X, y, X_test[keep], y_test[keep], lanes(), dtype="float64")[0]
    assert result.labels.tolist() == [0, 1, 2]
    assert_reaches(result, optimum(X, y, SPECS[0]), X_test[keep], "float64")
    assert result.confusion is not None
    assert not result.confusion[1].any()


def test_one_class_in_train_has_no_score() -> None:
    X, y, X_test, y_test = make_task(43, 2)
    for result in fit_task(X, np.full_like(y, 4), X_test, y_test, [*lanes(), *SHOTS]):
        assert result.status is Status.ONE_CLASS_TRAIN
        assert result.classes.tolist() == [4]
        assert result.coef is None
        assert result.predictions is None
        assert np.isnan([result.mcc, result.accuracy, result.macro_f1, result.objective]).all()


def test_one_class_in_test_is_marked() -> None:
    X, y, X_test, _ = make_task(43, 2)
    result = fit_task(X, y, X_test, np.ones(len(X_test), int), lanes())[0]
    assert result.status is Status.ONE_CLASS_TEST
    assert result.mcc == 0
    assert result.accuracy == pytest.approx((result.predictions == 1).mean(), abs=limit("float64", "score"))


def test_one_class_predicted_is_marked() -> None:
    X, y, X_test, y_test = make_task(44, 2)
    far = X_test * 0 + X[y == 1].mean(axis=0) * 50
    result = fit_task(X, y, far, y_test, lanes())[0]
    assert result.status is Status.ONE_CLASS_PREDICTED
    assert len(set(result.predictions.tolist())) == 1  # type: ignore[union-attr]
    assert result.mcc == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [[np.nan], [np.inf], [-np.inf], [np.inf, -np.inf], [np.nan, np.inf]], ids=str)
@pytest.mark.parametrize("side", ["train", "test"])
def test_values_that_are_no_numbers_mark_every_lane(side: str, bad: list[float], dtype: str) -> None:
    X, y, X_test, y_test = make_task(45, 2)
    target = X if side == "train" else X_test
    target[np.arange(len(bad)), 3] = bad
    for result in fit_task(X, y, X_test, y_test, [*lanes(), *SHOTS], dtype=dtype):  # type: ignore[arg-type]
        assert result.status is Status.BAD_EMBEDDING
        assert result.coef is None


def test_features_that_overflow_float32_say_so_and_float64_holds_them() -> None:
    X, y, X_test, y_test = make_task(46, 2)
    large, large_test = X * np.float64(1e39), X_test * np.float64(1e39)
    for train, test in ((large, large_test), (X, large_test), (X * np.float32(1e30), X_test * np.float32(1e30))):
        for result in fit_task(train, y, test, y_test, [*lanes(), *SHOTS]):
            assert result.status is Status.NON_FINITE
            assert not result.status.has_score
    # one row is enough: its own prediction would be made up
    X_test[7, 5] = 1e30
    assert {r.status for r in fit_task(X, y, X_test, y_test, lanes())} == {Status.NON_FINITE}
    assert {r.status for r in fit_task(X, y, X_test, y_test, lanes(), dtype="float64")} == {Status.CONVERGED}


def test_a_single_test_row() -> None:
    X, y, X_test, y_test = make_task(47, 2)
    result = fit_task(X, y, X_test[:1], y_test[:1], lanes())[0]
    assert result.status is Status.ONE_CLASS_TEST
    assert result.predictions is not None
    assert result.predictions.shape == (1,)
    assert result.confusion is not None
    assert result.confusion.sum() == 1


@pytest.mark.parametrize("kind", ["float16", "float64", "fortran", "strided", "read-only"])
def test_storage_of_the_input_does_not_matter(kind: str) -> None:
    X, y, X_test, y_test = make_task(48, 2)
    X, X_test = np.round(X * 2), np.round(X_test * 2)  # small whole numbers are exact in every type
    expected = fit_task(X, y, X_test, y_test, [*lanes(), *SHOTS])
    if kind == "fortran":
        X, X_test = np.asfortranarray(X), np.asfortranarray(X_test)
    elif kind == "strided":
        X, X_test = np.repeat(X, 2, axis=0)[::2], np.repeat(X_test, 2, axis=1)[:, ::2]
    elif kind == "read-only":
        for array in (X, X_test, y, y_test):
            array.setflags(write=False)
    else:
        X, X_test = X.astype(kind), X_test.astype(kind)
    for result, same in zip(fit_task(X, y, X_test, y_test, [*lanes(), *SHOTS]), expected, strict=True):
        assert np.array_equal(result.coef, same.coef)  # type: ignore[arg-type]
        assert np.array_equal(result.predictions, same.predictions)  # type: ignore[arg-type]


def test_float16_sums_that_overflow_are_no_bad_embedding() -> None:
    X, y, X_test, y_test = make_task(49, 2)
    X, X_test = (np.abs(A * 3000).astype(np.float16) for A in (X, X_test))
    results = fit_task(X, y, X_test, y_test, lanes(), dtype="float64")
    assert_reaches(results[3], optimum(X, y, SPECS[3]), X_test, "float64")


def test_inputs_are_left_as_they_were() -> None:
    arrays = make_task(50, 2)
    before = [a.copy() for a in arrays]
    fit_task(*arrays, [*lanes(), *SHOTS])
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))


def test_shapes_that_do_not_fit_are_refused() -> None:
    X, y, X_test, y_test = make_task(51, 2)
    for arrays, message in (
        ((X, y[:-1], X_test, y_test), "train embeddings must be"),
        ((X, y, X_test, y_test[:-1]), "test embeddings must be"),
        ((X[:, 0], y, X_test, y_test), "train embeddings must be"),
        ((X, y[:, None], X_test, y_test), "train embeddings must be"),
        ((X[:0], y[:0], X_test, y_test), "train embeddings must be"),
        ((X, y, X_test[:0], y_test[:0]), "test embeddings must be"),
        ((X, y, X_test[:, :5], y_test), "differ in width"),
        ((X, y.astype(float), X_test, y_test), "must be integers"),
        ((X, y, X_test, y_test.astype(str)), "must be integers"),
    ):
        with pytest.raises(ProbeError, match=message):
            fit_task(*arrays, lanes())


def test_running_out_of_steps_still_gives_a_score() -> None:
    X, y, X_test, y_test = make_task(52, 2)
    (result,) = fit_task(X, y, X_test, y_test, lanes((LogisticSpec(max_steps=1),)))
    assert result.status is Status.MAX_STEPS
    assert result.num_steps == 1
    assert np.isfinite(result.mcc)
    assert result.relative_gap > LogisticSpec().resolved_tolerance("float32")
    best = optimum(X, y, LogisticSpec())
    gap = (best.value_at(result.coef, result.intercept) - best.value) / best.value  # type: ignore[arg-type]
    assert gap > limit("float32", "objective_gap"), "one step must not be enough, or this test shows nothing"


def test_a_tolerance_beyond_the_arithmetic_stalls_at_the_optimum() -> None:
    X, y, X_test, y_test = make_task(52, 2)
    asked = lanes(tuple(LogisticSpec(C=C, tolerance=1e-300) for C in (1.0, 0.1, 10.0, 0.01)))
    for result in fit_task(X, y, X_test, y_test, asked):
        assert result.status is Status.STALLED
        assert np.isfinite(result.mcc)
        assert_reaches(result, optimum(X, y, result.lane.spec), X_test, "float32")


def test_scikit_learn_agrees_on_one_task_without_our_reference() -> None:
    """Nothing of ours in the comparison: scikit-learn's own fit and its own predict."""
    X, y, X_test, y_test = make_task(53, 3)
    model = LogisticRegression(tol=1e-12, max_iter=100_000).fit(X.astype(float), y)
    result = fit_task(X, y, X_test, y_test, lanes(), dtype="float64")[0]
    assert np.array_equal(result.predictions, model.predict(X_test.astype(float)))  # type: ignore[arg-type]
    np.testing.assert_allclose(result.coef, model.coef_.T, atol=1e-6)  # type: ignore[arg-type]
    np.testing.assert_allclose(result.intercept, model.intercept_ - model.intercept_.mean(), atol=1e-5)  # type: ignore[arg-type]
