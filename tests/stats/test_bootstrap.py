"""Bootstrap: resamples, scores from sums, distributions and intervals, against NumPy, scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import false_discovery_control, kstest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from geneb_jax.errors import RunError, UsageError
from geneb_jax.stats.aggregate import METRICS, Series
from geneb_jax.stats.bootstrap import task_distribution
from geneb_jax.stats.compare import compare
from geneb_jax.stats.counts import columns, scores
from geneb_jax.stats.intervals import METHODS, benjamini_hochberg, holm, interval
from geneb_jax.stats.samples import TaskSample, Unit
from geneb_jax.stats.testing.multiple import pair_family
from geneb_jax.stats.uncertainty import score_intervals
from geneb_kernels.resample import host, resample_weights, resampled_sums, xla

SKLEARN = {
    "mcc": matthews_corrcoef,
    "accuracy": accuracy_score,
    "macro_f1": lambda t, p: f1_score(t, p, average="macro", zero_division=0),
}


def series(name: str) -> Series:
    return Series(name, f"digest of {name}", "logistic", "p", 1.0, "jax", "float32")


def task(
    m: int, k: int = 2, lanes: int = 2, *, seed: int = 0, name: str = "t", accuracies: tuple[float, ...] = (0.8, 0.7)
) -> TaskSample:
    """`lanes` encoders, right with the given chances."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, m)
    right = rng.random((lanes, m)) < np.resize(accuracies, lanes)[:, None]
    predicted = np.where(right, truth, rng.integers(0, k, (lanes, m)))
    units = tuple(Unit(series(f"e{i}"), "full", (i,)) for i in range(lanes))
    return TaskSample(name, "c", k, truth, predicted, units)


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")  # the degenerate tables are the point
@pytest.mark.parametrize("k", [2, 3, 6])
@pytest.mark.parametrize("metric", METRICS)
def test_scores_from_sums_are_sklearns(metric: str, k: int) -> None:
    rng = np.random.default_rng(k)
    truth, predicted = rng.integers(0, k, 60), rng.integers(0, k, (5, 60))
    predicted[0] = 0
    predicted[1] = truth
    by_row, layout = columns(truth, predicted, k, metric)  # type: ignore[arg-type]
    weights = rng.integers(0, 3, (4, 60))
    weights[3] = truth == 1
    found, degenerate = scores(weights @ by_row, layout, metric)  # type: ignore[arg-type]
    for b in range(4):
        rows = np.repeat(np.arange(60), weights[b])
        for lane in range(5):
            expected = SKLEARN[metric](truth[rows], predicted[lane, rows])
            assert found[b, lane] == pytest.approx(expected, abs=1e-12)
            one = len(set(truth[rows])) == 1 or len(set(predicted[lane, rows])) == 1
            assert degenerate[b, lane] == one


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_weights_have_the_moments_of_draws_with_replacement(n: int) -> None:
    b = 40_000
    weights = resample_weights(np.random.default_rng(0), b, n)
    assert (weights >= 0).all()
    assert (weights.sum(axis=1) == n).all()
    expected = np.random.default_rng(1).multinomial(n, np.full(n, 1 / n), size=b)
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=5 * np.sqrt(1 / b))
    if n > 1:
        np.testing.assert_allclose(np.cov(weights.T), np.eye(n) - 1 / n, atol=6 * 2 / np.sqrt(b))
        for count in range(4):  # the whole distribution of a count, not only two moments
            share, right = (weights == count).mean(), (expected == count).mean()
            assert abs(share - right) < 6 * np.sqrt(right / b) + 1e-4


def test_resampled_sums_depend_on_the_key_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    A = np.random.default_rng(0).integers(0, 2, (37, 3)).astype(np.float32)
    first = resampled_sums((1, 2), A, 300)
    assert np.array_equal(first, resampled_sums((1, 2), A, 300))
    assert not np.array_equal(first, resampled_sums((1, 3), A, 300))
    # a table of more columns shares the resamples, column by column
    assert np.array_equal(first[:, 1:], resampled_sums((1, 2), A[:, 1:], 300))
    with pytest.raises(ValueError, match="columns must be"):
        resampled_sums((1,), A[:0], 10)


def test_accelerators_draw_from_the_same_distribution() -> None:
    A = np.random.default_rng(0).integers(0, 2, (30, 1)).astype(np.float32)
    here, there = host.resampled_sums((5,), A, 4000)[:, 0], xla.resampled_sums((5,), A, 4000)[:, 0]
    assert abs(here.mean() - there.mean()) < 5 * here.std() * np.sqrt(2 / 4000)
    assert abs(here.std() / there.std() - 1) < 0.08


def test_distribution_and_intervals_are_scipys() -> None:
    sample = task(150, lanes=1)
    spread = task_distribution(sample, "mcc", resamples=8000)
    theirs = scipy_bootstrap(
        (sample.truth, sample.predicted[0]), matthews_corrcoef, paired=True, vectorized=False, n_resamples=2000,
        method="BCa", rng=np.random.default_rng(0),
    )  # fmt: skip
    # scores of 150 rows repeat, so a little noise breaks the ties that the test assumes away
    noise = 1e-6 * np.random.default_rng(1).normal(size=8000)
    assert kstest(spread.values[:, 0] + noise, theirs.bootstrap_distribution + noise[:2000]).pvalue > 1e-3
    assert spread.values[:, 0].std() == pytest.approx(theirs.standard_error, rel=0.08)
    for method in METHODS:
        again = scipy_bootstrap(
            (sample.truth, sample.predicted[0]), matthews_corrcoef, paired=True, vectorized=False, n_resamples=0,
            bootstrap_result=theirs, method={"bca": "BCa"}.get(method, method),
        )  # fmt: skip
        # the same values, so that only the definition of the interval is compared
        low, high = interval(
            theirs.bootstrap_distribution[:, None], spread.estimate, method=method, acceleration=spread.acceleration
        )
        assert low[0] == pytest.approx(again.confidence_interval.low, abs=1e-3)
        assert high[0] == pytest.approx(again.confidence_interval.high, abs=1e-3)


def test_encoders_share_their_resamples() -> None:
    sample = task(80, lanes=1)
    twice = TaskSample("t", "c", 2, sample.truth, np.repeat(sample.predicted, 2, axis=0),
                       (Unit(series("a"), "full", (0,)), Unit(series("b"), "full", (1,))))  # fmt: skip
    spread = task_distribution(twice, "mcc", resamples=500)
    assert np.array_equal(spread.values[:, 0], spread.values[:, 1])
    alone = task_distribution(sample, "mcc", resamples=500)
    assert np.array_equal(spread.values[:, 0], alone.values[:, 0])


def test_rows_of_a_group_are_drawn_together() -> None:
    """A split in which every row stands four times has the intervals of one that holds each once."""
    sample = task(120, lanes=1)
    repeated = TaskSample("t", "c", 2, np.tile(sample.truth, 4), np.tile(sample.predicted, (1, 4)), sample.units)
    grouped = TaskSample("t", "c", 2, repeated.truth, repeated.predicted, sample.units, np.tile(np.arange(120), 4))
    spread = {name: task_distribution(one, "mcc", resamples=4000).values.std()
              for name, one in (("once", sample), ("repeated", repeated), ("grouped", grouped))}  # fmt: skip
    assert spread["repeated"] == pytest.approx(spread["once"] / 2, rel=0.1)
    assert spread["grouped"] == pytest.approx(spread["once"], rel=0.05)
    plain, groups = (task_distribution(one, "mcc", resamples=100) for one in (sample, grouped))
    assert groups.acceleration == pytest.approx(plain.acceleration, rel=1e-6)


def test_degenerate_resamples_are_marked_and_counted() -> None:
    truth = np.array([1] + [0] * 29)
    sample = TaskSample("t", "c", 2, truth, np.stack([truth, np.zeros(30, int)]),
                        (Unit(series("a"), "full", (0,)), Unit(series("b"), "10shot", (1,))))  # fmt: skip
    spread = task_distribution(sample, "mcc", resamples=4000)
    assert spread.degenerate[0] == pytest.approx((29 / 30) ** 30, abs=0.03)
    assert spread.degenerate[1] == 1
    marks = {(s.scope, s.series.encoder): s.marks for s in score_intervals([sample], num_in_suite=3, source="both")}
    assert marks["task", "a"] == ("one class", "few rows", "perfect"), "full data has no draws"
    assert marks["macro", "b"] == ("one class", "no draws", "partial")


def test_means_over_tasks_add_up_their_parts() -> None:
    samples = [task(200, seed=i, name=f"t{i}") for i in range(3)]
    samples[2] = TaskSample("t2", "other", 2, samples[2].truth, samples[2].predicted, samples[2].units)
    found = {(s.scope, s.name, s.series.encoder): s for s in score_intervals(samples, method="percentile")}
    each = [found["task", f"t{i}", "e0"] for i in range(3)]
    macro, micro = found["macro", "macro", "e0"], found["micro", "micro", "e0"]
    assert micro.estimate == pytest.approx(np.mean([s.estimate for s in each]))
    assert macro.estimate == pytest.approx((np.mean([s.estimate for s in each[:2]]) + each[2].estimate) / 2)
    # tasks are independent, so variances add
    assert micro.se == pytest.approx(np.sqrt(sum(s.se**2 for s in each)) / 3, rel=0.05)
    assert macro.se == pytest.approx(np.sqrt((each[0].se ** 2 + each[1].se ** 2) / 16 + each[2].se ** 2 / 4), rel=0.05)
    again = {(s.scope, s.name, s.series.encoder): s for s in score_intervals(samples[::-1], method="percentile")}
    assert again["task", "t1", "e1"] == found["task", "t1", "e1"]


def test_comparison_finds_what_is_there() -> None:
    sample = task(400, lanes=3, accuracies=(0.9, 0.9, 0.6))
    copied = TaskSample("t", "c", 2, sample.truth, sample.predicted[[0, 0, 2]], sample.units)
    found = compare([copied], resamples=2000)
    macro = {r.series.encoder: r for r in found.ranks if r.scope == "macro"}
    assert macro["e0"].tied
    assert macro["e1"].tied
    assert not macro["e2"].tied
    assert macro["e0"].best == macro["e1"].best == 0.5
    assert (macro["e0"].rank, macro["e2"].rank, macro["e2"].rank_low) == (1.5, 3, 3)
    pairs = {(d.first.encoder, d.second.encoder): d for d in found.differences if d.scope == "macro"}
    assert pairs["e0", "e1"].p == 1
    assert (pairs["e0", "e1"].low, pairs["e0", "e1"].high) == (0, 0)
    assert pairs["e0", "e2"].p == pytest.approx(1 / 2001)
    assert pairs["e0", "e2"].p_max_t == pytest.approx(1 / 2001)
    assert pairs["e0", "e2"].p_holm == pytest.approx(3 / 2001)
    assert pairs["e0", "e2"].low > 0.2
    # of the three pairs one has no spread and two are alike: the median is theirs
    se = task_distribution(copied, "mcc", resamples=2000).values
    now = 2.8076 * (se[:, 0] - se[:, 2]).std(ddof=1)
    assert now < found.detectable[0].difference < 1.3 * now, "of pairs that differ more, more rows disagree"


def test_only_common_tasks_are_compared() -> None:
    whole, part = task(100, name="whole"), task(100, name="part", lanes=1)
    found = compare([whole, part], resamples=200)
    assert found.left_out == (("full", "part"),)
    assert {r.name for r in found.ranks} == {"whole", "c", "macro", "micro"}
    with pytest.raises(UsageError, match="no two series"):
        compare([part], resamples=200)


def test_p_values_and_their_adjustments() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.2])
    assert holm(p).tolist() == pytest.approx([0.04, 0.09, 0.09, 0.2])
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))


def test_a_false_claim_is_as_rare_as_promised() -> None:
    """Two encoders of equal quality: 5 % of the tests say that they differ."""
    wrong = 0
    for seed in range(150):
        sample = task(200, seed=seed, accuracies=(0.75, 0.75))
        spread = task_distribution(sample, "mcc", resamples=400, seed=seed)
        wrong += pair_family(spread.estimate, spread.values, np.array([0]), np.array([1]), df=199).apart[0]
    assert 1 <= wrong <= 17  # a binomial with 7.5 expected lies outside once in 1,000 times


def test_levels_are_checked() -> None:
    with pytest.raises(UsageError, match="level"):
        interval(np.zeros((10, 1)), np.zeros(1), level=1.5)


def test_groups_must_fit() -> None:
    from geneb_jax.stats.samples import _numbered

    with pytest.raises(RunError, match="groups for"):
        _numbered("t", np.zeros(3), 4)
    assert _numbered("t", np.arange(4), 4) is None
    assert _numbered("t", np.array([7, 7, 3]), 3).tolist() == [0, 0, 1]  # type: ignore[union-attr]
