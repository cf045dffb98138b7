"""MCC, accuracy and macro-F1 against scikit-learn, on any table that can occur."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from geneb_jax.metric import Scores, scores
from geneb_jax.metric.reference import reference_scores
from tests.tolerances import limit

K = 6
"""All tables are padded to this size with classes that do not occur, so that one compilation serves them all."""


def labels_of(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = np.divmod(np.repeat(np.arange(table.size), table.ravel()), len(table))
    return true, predicted


def spread(table: np.ndarray) -> float:
    """MCC's denominator squared, on proportions: what rounding is divided by."""
    P = table / max(table.sum(), 1)
    return float((1 - (P.sum(0) ** 2).sum()) * (1 - (P.sum(1) ** 2).sum()))


def on_device(tables: np.ndarray, dtype: str) -> Scores:
    with jax.enable_x64(dtype == "float64"):
        return Scores(*(np.asarray(v) for v in jax.jit(scores)(jnp.asarray(tables.astype(dtype)))))


# counts of very different size, and many zeros: empty classes, one class on a side, nothing right
cells = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 3000))
any_table = st.integers(1, K).flatmap(lambda k: arrays(np.int64, (k, k), elements=cells)).filter(lambda t: t.sum() > 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=100, deadline=None)
@given(table=any_table)
@example(table=np.array([[5]]))
@example(table=np.array([[0, 7], [0, 3]]))
@example(table=np.array([[0, 0], [4, 3]]))
@example(table=np.diag([4, 5, 6]))
@example(table=np.array([[0, 3, 0], [0, 0, 3], [3, 0, 0]]))
@example(table=np.array([[99_999, 0], [0, 1]]))
@example(table=np.array([[0, 1], [1, 99_998]]))
def test_equal_to_scikit_learn(table: np.ndarray, dtype: str) -> None:
    padded = np.zeros((K, K), np.int64)
    padded[: len(table), : len(table)] = table
    ours = on_device(padded, dtype)
    true, predicted = labels_of(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of a single label
        theirs = (
            matthews_corrcoef(true, predicted),
            accuracy_score(true, predicted),
            f1_score(true, predicted, average="macro"),
        )
    tol = limit(dtype, "score")
    assert abs(ours.mcc - theirs[0]) <= tol / np.sqrt(max(spread(table), 1e-30))
    assert abs(ours.accuracy - theirs[1]) <= tol
    assert abs(ours.macro_f1 - theirs[2]) <= tol
    if spread(table) == 0:
        assert ours.mcc == 0


@settings(max_examples=50, deadline=None)
@given(table=any_table)
def test_reference_scores_are_scikit_learns(table: np.ndarray) -> None:
    true, predicted = labels_of(table)
    found = reference_scores(true, predicted, np.arange(len(table)))
    assert np.array_equal(found.confusion, table)
    ours = on_device(np.pad(table, (0, K - len(table))), "float64")
    assert abs(found.mcc - ours.mcc) <= limit("float64", "score") / np.sqrt(max(spread(table), 1e-30))
    assert found.macro_f1 == pytest.approx(float(ours.macro_f1), abs=1e-14)


def test_leading_axes_are_tables_of_their_own() -> None:
    tables = np.random.default_rng(0).integers(0, 40, size=(3, 4, K, K))
    tables[0, 1] = 0
    tables[2, 3] = 0
    tables[2, 3, :, 2] = 5
    batched = on_device(tables, "float64")
    for place in np.ndindex(3, 4):
        single = on_device(tables[place], "float64")
        for whole, one in zip(batched, single, strict=True):
            assert whole[place] == pytest.approx(float(one), abs=1e-15)
    # an empty table scores zero, it does not divide by it
    assert [float(v[0, 1]) for v in batched] == [0, 0, 0]


def test_class_order_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    table, order = rng.integers(0, 40, size=(K, K)), rng.permutation(K)
    for before, after in zip(on_device(table, "float64"), on_device(table[order][:, order], "float64"), strict=True):
        assert float(before) == pytest.approx(float(after), abs=1e-15)
