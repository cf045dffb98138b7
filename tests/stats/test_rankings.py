"""Rank statistics against scipy's, one ranking at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata, spearmanr

from geneb_jax.errors import UsageError
from geneb_jax.stats.rankings import kendall, ranks, spearman, top_overlap


@pytest.mark.parametrize("distinct", [1000, 4], ids=["no ties", "many ties"])
def test_correlations_are_scipys_for_every_resample(distinct: int) -> None:
    generator = np.random.default_rng(distinct)
    a, b = generator.integers(0, distinct, (2, 3, 5, 9)).astype(np.float64) / 7
    rho, tau = spearman(a, b), kendall(a, b)
    assert rho.shape == tau.shape == (3, 5)
    for place in np.ndindex(3, 5):
        assert rho[place] == pytest.approx(spearmanr(a[place], b[place]).statistic, abs=1e-12)
        assert tau[place] == pytest.approx(kendalltau(a[place], b[place]).statistic, abs=1e-12)
    # one ranking against all resamples of another
    assert spearman(a[0, 0], b)[1, 2] == pytest.approx(spearman(a[0, 0], b[1, 2]), abs=1e-14)


def test_a_constant_side_has_no_correlation() -> None:
    flat, other = np.zeros(4), np.arange(4.0)
    assert np.isnan(spearman(flat, other))
    assert np.isnan(kendall(other, flat))


def test_ranks_begin_at_the_best_and_leave_the_missing_out() -> None:
    values = np.array([[0.3, np.nan, 0.9, 0.3], [1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_array_equal(ranks(values), [[2.5, np.nan, 1, 2.5], [4, 3, 2, 1]])
    np.testing.assert_array_equal(ranks(values[:, 2:], axis=0), rankdata(-values[:, 2:], axis=0))


def test_overlap_of_the_best() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 20, 8))
    for top in (1, 3, 8):
        sets = [[set(np.argsort(-row)[:top]) for row in side] for side in (a, b)]
        expected = [len(x & y) / top for x, y in zip(*sets, strict=True)]
        np.testing.assert_allclose(top_overlap(a, b, top), expected)
    # two of three share the second place: each has half of it, in whatever order they stand
    tied, plain = np.array([3.0, 2.0, 2.0, 1.0]), np.array([4.0, 3.0, 2.0, 1.0])
    assert top_overlap(tied, plain, 2) == pytest.approx(0.75)
    assert top_overlap(tied[::-1], plain[::-1], 2) == pytest.approx(0.75)
    with pytest.raises(UsageError, match="best 5 of 4"):
        top_overlap(tied, plain, 5)
