"""MCC, accuracy and macro-F1 against scikit-learn, on any table that can occur, and one number for every engine."""

from __future__ import annotations

import warnings
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from geneb_jax.metric import exact_mcc, mcc, scores
from geneb_jax.metric.reference import reference_scores
from geneb_jax.stats.aggregate import METRICS
from geneb_jax.stats.counts import columns
from geneb_jax.stats.counts import scores as of_sums
from tests.tolerances import limit


def labels_of(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = np.divmod(np.repeat(np.arange(table.size), table.ravel()), len(table))
    return true, predicted


def spread(table: np.ndarray) -> float:
    """MCC's denominator squared, on proportions: what rounding is divided by."""
    P = table / max(table.sum(), 1)
    return float((1 - (P.sum(0) ** 2).sum()) * (1 - (P.sum(1) ** 2).sum()))


# counts of very different size, and many zeros: empty classes, one class on a side, nothing right
cells = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 3000))
any_table = st.integers(1, 6).flatmap(lambda k: arrays(np.int64, (k, k), elements=cells)).filter(lambda t: t.sum() > 0)


@settings(max_examples=200, deadline=None)
@given(table=any_table)
@example(table=np.array([[5]]))
@example(table=np.array([[0, 7], [0, 3]]))
@example(table=np.array([[0, 0], [4, 3]]))
@example(table=np.diag([4, 5, 6]))
@example(table=np.diag([49, 49]))
@example(table=np.array([[0, 3, 0], [0, 0, 3], [3, 0, 0]]))
@example(table=np.array([[99_999, 0], [0, 1]]))
@example(table=np.array([[0, 1], [1, 99_998]]))
def test_equal_to_scikit_learn(table: np.ndarray) -> None:
    ours = scores(table)
    true, predicted = labels_of(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of a single label
        theirs = (
            matthews_corrcoef(true, predicted),
            accuracy_score(true, predicted),
            f1_score(true, predicted, average="macro"),
        )
    tol = limit("float64", "score")
    rounding = tol / np.sqrt(max(spread(table), 1e-30))
    assert abs(ours.mcc - theirs[0]) <= rounding
    assert abs(ours.accuracy - theirs[1]) <= tol
    assert abs(ours.macro_f1 - theirs[2]) <= tol
    if spread(table) == 0:
        assert ours.mcc == 0
    if np.trace(table) == table.sum() and spread(table) > 0:
        assert ours.mcc == 1
    exact = float(exact_mcc(table))
    assert abs(ours.mcc * abs(ours.mcc) - exact) <= 2 * rounding
    assert tuple(ours) == tuple(map(np.float64, (mcc(table), ours.accuracy, ours.macro_f1)))


@settings(max_examples=50, deadline=None)
@given(table=any_table)
def test_every_way_to_count_gives_the_same_bits(table: np.ndarray) -> None:
    """Labels scored with scikit-learn's table, rows summed for the bootstrap, tables in another memory layout."""
    true, predicted = labels_of(table)
    k = len(table)
    found = reference_scores(true, predicted, np.arange(k))
    assert np.array_equal(found.confusion, table)
    ours = scores(table)
    assert (found.mcc, found.accuracy, found.macro_f1) == tuple(map(float, ours))
    turned = scores(np.asfortranarray(np.stack([table, table]))[::-1])
    assert all(np.array_equal(values, [one, one]) for values, one in zip(turned, ours, strict=True))
    for metric, value in zip(METRICS, ours, strict=True):
        by_row, layout = columns(true, predicted[None], k, metric)
        sums = by_row.sum(axis=0, keepdims=True, dtype=np.float64)
        assert float(of_sums(sums, layout, metric)[0][0, 0]) == float(value)


def test_order_of_tables_is_decided_by_counts() -> None:
    """Two tables with one MCC compare as equal, whatever their roots round to; a negative MCC stands below 0."""
    tables = [np.array([[a, 7 - a], [3 - b, b]]) for a in range(8) for b in range(4)]
    values, exact = mcc(np.stack(tables)), [exact_mcc(table) for table in tables]
    for i, j in combinations(range(len(tables)), 2):
        if exact[i] == exact[j]:
            assert abs(values[i] - values[j]) <= limit("float64", "score")
        else:
            assert (exact[i] > exact[j]) == (values[i] > values[j])
    assert len(set(exact)) < len(set(values.tolist()))  # rounding does tell equal ones apart
    assert exact_mcc(np.array([[0, 7], [3, 0]])) == -1
    assert exact_mcc(np.array([[3, 1], [1, 3]])) == exact_mcc(np.array([[30, 10], [10, 30]])) == Fraction(1, 4)


def test_leading_axes_are_tables_of_their_own() -> None:
    tables = np.random.default_rng(0).integers(0, 40, size=(3, 4, 6, 6))
    tables[0, 1] = 0
    tables[2, 3] = 0
    tables[2, 3, :, 2] = 5
    batched = scores(tables)
    for place in np.ndindex(3, 4):
        for whole, one in zip(batched, scores(tables[place]), strict=True):
            assert whole[place] == one
    # an empty table scores zero, it does not divide by it
    assert [float(v[0, 1]) for v in batched] == [0, 0, 0]


def test_class_order_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    table, order = rng.integers(0, 40, size=(6, 6)), rng.permutation(6)
    for before, after in zip(scores(table), scores(table[order][:, order]), strict=True):
        assert float(before) == pytest.approx(float(after), abs=limit("float64", "score"))
