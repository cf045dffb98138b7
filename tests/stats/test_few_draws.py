"""Many differences whose variance is known from a few draws: against Student's t, and with equal encoders."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm
from scipy.stats import t as student

from benchmarks.simulated import Study, simulate
from geneb_jax.stats.compare import compare
from geneb_jax.stats.intervals import holm
from geneb_jax.stats.testing.few_draws import FewDraws, tails


@pytest.mark.parametrize("df", [1, 4, 9])
@pytest.mark.parametrize("p", [0.3, 0.05, 1e-4, 1e-8])
def test_tails_are_students_and_normal_at_the_ends_and_monte_carlos_between(df: int, p: float) -> None:
    ends = np.array([1.0, 0.0])
    z = np.array([student.isf(p / 2, df), norm.isf(p / 2)])
    np.testing.assert_allclose(tails(z, ends, df), p, rtol=0.01)
    rng = np.random.default_rng(0)
    drawn = np.sqrt(0.7) * rng.standard_normal(400_000) + np.sqrt(0.3) * rng.standard_t(df, 400_000)
    share = tails(np.array([2.5]), np.array([0.3]), df)[0]
    assert share == pytest.approx(np.mean(np.abs(drawn) > 2.5), abs=5 * np.sqrt(share / 400_000) + 0.001)


def test_p_values_and_intervals_agree_and_are_holms_and_bonferronis() -> None:
    rows, draws = np.array([1.0, 0.2, 0.0, 0.0]), np.array([0.0, 0.8, 1.0, 0.0])
    few = FewDraws(rows, draws, 4)
    difference = np.array([2.0, 3.0, 5.0, 0.0])
    p = few.p(difference)
    assert p[[0, 2]] == pytest.approx([2 * norm.sf(2), 2 * student.sf(5, 4)], rel=0.01)
    assert p[3] == 1
    assert p.tolist() == few.p(-difference).tolist()
    np.testing.assert_allclose(few.holm(difference), holm(p))
    np.testing.assert_allclose(few.p(few.margins(0.95))[:3], 0.05 / 4, rtol=0.03)
    np.testing.assert_allclose(few.p(few.margins(0.95, alone=True))[:3], 0.05, rtol=0.03)


def test_equal_encoders_are_not_called_different_because_draws_are_few() -> None:
    """Joint resamples alone would call some of ten equal encoders different in a fifth of such studies."""
    study = Study(strengths=(0.7,) * 10, n=200, effect=0.4, over_encoders=0.2, fit=0.3)
    repeats, false, joint = 60, 0, 0
    for seed in range(repeats):
        (sample,), _ = simulate(study, seed)
        found = compare([sample], resamples=200, seed=seed)
        macro = [d for d in found.differences if d.scope == "macro"]
        false += any(d.apart for d in macro)
        joint += any(d.p_max_t <= 0.05 for d in macro)
        assert all(d.apart == (d.p_max_t <= 0.05 and d.estimate != 0) for d in macro)
        assert all(d.apart == (d.low > 0 or d.high < 0 or d.low == 0 < d.estimate or d.high == 0 > d.estimate)
                   for d in macro if d.apart)  # fmt: skip
    assert false == joint <= binom(repeats, 0.06).ppf(1 - 1e-3)


def test_a_large_difference_is_found_with_five_draws_and_few_resamples() -> None:
    (sample,), _ = simulate(Study(strengths=(2.5, 0.2, 0.2), n=400, effect=0.1), 0)
    found = {(d.first.encoder, d.second.encoder): d for d in compare([sample], resamples=100).differences
             if d.scope == "macro"}  # fmt: skip
    assert all(d.apart for names, d in found.items() if "e0" in names)
    assert not any(d.apart for names, d in found.items() if "e0" not in names)
