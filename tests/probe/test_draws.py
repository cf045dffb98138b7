"""The few-shot draw, index for index, against GENEB's rule written out literally."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.probe.regime import GENEB_SEEDS, draw_rows


def geneb_rule(labels: list[int], k: int, seed: int) -> list[int]:
    """PROTOCOL section 1: a fresh RandomState, classes in sorted order, choice without replacement per class."""
    rng = np.random.RandomState(seed)
    rows: list[int] = []
    for label in sorted(set(labels)):
        of_class = [i for i, y in enumerate(labels) if y == label]
        rows.extend(rng.choice(of_class, size=min(k, len(of_class)), replace=False).tolist())
    return rows


@settings(max_examples=200, deadline=None)
@given(
    labels=st.lists(st.integers(-3, 6), min_size=1, max_size=80),
    shots=st.integers(1, 25),
    seed=st.one_of(st.sampled_from(GENEB_SEEDS), st.integers(0, 2**32 - 1)),
)
def test_equals_the_rule(labels: list[int], shots: int, seed: int) -> None:
    drawn = draw_rows(np.array(labels), shots, seed)
    assert drawn.dtype == np.int64
    assert drawn.tolist() == geneb_rule(labels, shots, seed)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8, np.int64])
def test_label_dtype_does_not_matter(dtype: type) -> None:
    labels = np.random.default_rng(0).integers(3, size=100)
    assert draw_rows(labels.astype(dtype), 10, 42).tolist() == geneb_rule(labels.tolist(), 10, 42)


def test_more_shots_than_rows_takes_every_row_once() -> None:
    labels = np.array([1, 0, 1, 1, 0])
    drawn = draw_rows(labels, 50, 13)
    assert sorted(drawn.tolist()) == [0, 1, 2, 3, 4]
    assert labels[drawn].tolist() == [0, 0, 1, 1, 1]


KNOWN = {
    13: [6, 10, 19, 17],
    17: [14, 4, 9, 11],
    42: [16, 2, 1, 3],
    123: [8, 0, 7, 11],
    997: [6, 18, 7, 19],
}
"""Two rows of each class of 0, 1, 0, 1, … (20 rows), as NumPy 2.4 draws them."""


@pytest.mark.parametrize("seed", GENEB_SEEDS)
def test_numpy_still_draws_the_same_rows(seed: int) -> None:
    assert draw_rows(np.arange(20) % 2, 2, seed).tolist() == KNOWN[seed]
