"""Many comparisons at once, exact tests of few rows, tests over tasks, equivalence: against scipy and the truth."""

from __future__ import annotations

from itertools import product
from statistics import mean

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp, wilcoxon

from geneb_jax.errors import UsageError
from geneb_jax.stats.compare import compare
from geneb_jax.stats.counts import columns, scores
from geneb_jax.stats.testing.equivalence import rope, signed_rank, tost, tost_over_tasks, verdict
from geneb_jax.stats.testing.exact import FEW_DISCORDANT, exact_p, most_wrong, perfect_bound, wins
from geneb_jax.stats.testing.multiple import all_pairs, family, needed_resamples, pair_family, rank_bounds
from geneb_jax.stats.testing.over_tasks import (
    adjacent_apart,
    compare_over_tasks,
    groups_not_apart,
    macro_weights,
    tasks_better,
)
from geneb_jax.stats.uncertainty import score_intervals
from tests.stats.test_bootstrap import task


def test_step_down_is_the_slow_one() -> None:
    """Romano & Wolf's algorithm 4.1 and its p-values, step by step, hypothesis by hypothesis."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6))
    estimate = np.array([3.0, -2.5, 0.2, 1.0, 0.0, -6.0]) * 1.5
    values = noise + estimate
    found = family(estimate, values)
    t = np.abs(estimate) / values.std(axis=0, ddof=1)
    null = np.abs(noise) / values.std(axis=0, ddof=1)
    left, reached, expected = list(range(6)), 0.0, np.empty(6)
    for one in np.argsort(-t):
        reached = max(reached, (1 + (null[:, left].max(axis=1) >= t[one]).sum()) / 401)
        expected[one] = reached
        left.remove(int(one))
    np.testing.assert_allclose(found.p, expected)
    np.testing.assert_allclose(found.p_alone, (1 + (null >= t).sum(axis=0)) / 401)
    # one source: a difference is apart where its p-value says so and its interval holds no 0
    assert ((found.p <= 0.05) == found.apart).all()
    assert ((found.low > 0) | (found.high < 0) == found.apart).all() or (found.low * found.high)[found.apart].min() == 0
    assert ((found.low <= 0) & (found.high >= 0))[~found.apart].all()


@pytest.mark.parametrize("n", [10, 40])
def test_equal_encoders_are_rarely_called_worse(n: int) -> None:
    """Family-wise: of many simulated studies with n equal encoders at most 6 % call one worse than the leader."""
    rng = np.random.default_rng(n)
    first, second = all_pairs(n)
    wrong = 0
    studies = 100
    for _ in range(studies):
        rows = (rng.random((300, n)) < rng.beta(2, 1, size=(300, 1))).astype(np.float64)
        weights = rng.multinomial(300, np.full(300, 1 / 300), size=250)
        tests = pair_family(rows.mean(axis=0), weights @ rows / 300, first, second, df=299)
        leader = rows.mean(axis=0).argmax()
        wrong += tests.apart[(first == leader) | (second == leader)].any()
    assert wrong <= 11  # with a chance of 5 % each, more than 11 of 100 come once in 200 times


def test_what_is_far_apart_is_told_apart_among_many() -> None:
    """MCC 0 from MCC 0.95 among 30 encoders with 1,000 resamples, where Holm cannot."""
    chances = (0.975, *[0.93] * 28, 0.5)
    found = compare([task(400, lanes=30, accuracies=tuple(2 * c - 1 for c in chances))], resamples=1000)
    last = min((r for r in found.ranks if r.scope == "macro"), key=lambda r: r.estimate)
    assert not last.tied
    assert last.rank_low == 30
    ranking = next(r for r in found.rankings if r.scope == "macro")
    assert ranking.can_tell
    assert ranking.smallest_holm > 0.05


def test_claims_of_a_ranking_agree() -> None:
    """Ties, rank intervals, p-values and intervals of differences say the same, in each of many rankings."""
    for seed in range(6):
        chances = tuple(np.random.default_rng(seed).uniform(0.3, 0.9, 8))
        found = compare([task(120, lanes=8, seed=seed, accuracies=chances)], resamples=300)
        ranks = {r.series: r for r in found.ranks if r.scope == "macro"}
        pairs = [d for d in found.differences if d.scope == "macro"]
        leader = max(ranks.values(), key=lambda r: r.estimate).series
        for d in pairs:
            assert d.apart == (d.p_max_t <= 0.05)
            assert d.apart == (d.low >= 0 and d.estimate > 0)
            assert d.p <= d.p_max_t
            if leader == d.first:
                assert ranks[d.second].tied == (not d.apart)
        for series, rank in ranks.items():
            assert rank.rank_low == 1 + sum(d.apart for d in pairs if d.second == series)
            assert rank.rank_high == 8 - sum(d.apart for d in pairs if d.first == series)
            assert rank.rank_low <= rank.rank <= rank.rank_high


def test_too_few_resamples_tell_nothing_and_say_so() -> None:
    found = family(np.array([5.0]), 5 + np.random.default_rng(0).normal(size=(100, 1)) / 100, level=0.995)
    assert found.floor == pytest.approx(1 / 101)
    assert not found.can_tell
    assert not found.apart.any()
    assert found.low[0] == -np.inf
    enough = needed_resamples(0.995)
    assert family(np.array([5.0]), 5 + np.random.default_rng(0).normal(size=(enough, 1)) / 100, level=0.995).apart.all()


def test_exact_p_values_are_scipys() -> None:
    ours = exact_p(np.array([5, 4, 0, 9]), np.array([0, 0, 0, 3]))
    theirs = [binomtest(k, n).pvalue if n else 1 for k, n in ((5, 5), (4, 4), (0, 0), (9, 12))]
    assert ours.tolist() == pytest.approx(theirs)
    assert np.isnan(exact_p(np.array([FEW_DISCORDANT]), np.array([0])))[0]
    right = np.array([[1, 1, 0, 1.0], [1, 0, 0, 0.5]])
    assert wins(right).tolist() == [[0, 2], [0, 0]]


def test_few_discordant_rows_do_not_differ() -> None:
    """Five rows on which one encoder alone is right are no evidence at 5 %, whatever resamples say."""
    truth = np.resize([0, 1], 400)
    sample = task(400)
    for few, apart in ((5, False), (9, True)):
        predicted = np.stack([truth, np.where(np.arange(400) < few, 1 - truth, truth)])
        one = type(sample)("t", "c", 2, truth, predicted, sample.units)
        found = compare([one], resamples=1000)
        assert next(d for d in found.differences if d.scope == "macro").apart == apart
        # rows in groups of four count by group
        grouped = type(sample)("t", "c", 2, truth, predicted, sample.units, np.arange(400) // 4)
        assert not next(d for d in compare([grouped], resamples=1000).differences).apart


def test_a_perfect_score_has_an_honest_bound() -> None:
    assert most_wrong(100) == pytest.approx(binomtest(0, 100).proportion_ci().high)
    assert perfect_bound([50, 50], "accuracy") == pytest.approx(1 - binomtest(0, 100).proportion_ci().high)
    for counts in ([50, 50], [97, 3], [20] * 5):
        n, k = sum(counts), len(counts)
        bound = perfect_bound(counts, "mcc")
        assert 0 < bound < 1
        # a classifier as good as the bound says is perfect on such rows in 2.5 % of splits or more; a worse one is not
        truth = np.repeat(np.arange(k), counts)
        rare = int(np.argmin(counts))
        chance = 0.025 ** (1 / counts[rare])
        cells = np.diag(np.array(counts, float))
        cells[rare, (rare + 1) % k] = cells[rare, rare] * (1 - chance)
        cells[rare, rare] *= chance
        by_cell, layout = columns(*(np.ravel(np.indices((k, k))[0]), np.ravel(np.indices((k, k))[1])[None]), k, "mcc")
        assert bound <= scores(cells.reshape(1, -1) @ by_cell, layout, "mcc")[0][0, 0] + 1e-9
        assert len(truth) == n


def test_signs_of_few_tasks_are_enumerated() -> None:
    """With 10 tasks the signed-rank test is scipy's exact one, and that of the mean is the permutation test."""
    rng = np.random.default_rng(3)
    table = rng.normal(size=(3, 10)).cumsum(axis=0) / 3
    found = compare_over_tasks(table, test="wilcoxon")
    for i, j, p in zip(found.first, found.second, found.p_alone, strict=True):
        assert p == pytest.approx(wilcoxon(table[i], table[j], method="exact").pvalue)
    means = compare_over_tasks(table, test="mean")
    d = table[0] - table[1]
    turned = np.array([abs(d @ signs) for signs in product((1, -1), repeat=10)])
    assert means.p_alone[0] == pytest.approx((turned >= abs(d.sum()) - 1e-12).mean())
    assert found.floor == pytest.approx(2 / 2**10)
    assert (found.p >= found.p_alone).all()
    assert found.mean_rank.sum() == pytest.approx(6)
    assert found.borda.sum() == pytest.approx(10 * 3)


def test_four_tasks_can_tell_nothing() -> None:
    found = compare_over_tasks(np.array([np.ones(4), np.zeros(4)]))
    assert found.p[0] == 2 / 2**4
    assert not found.can_tell
    # clusters turn as one: ten copies of a task are one task
    copies = compare_over_tasks(np.array([np.ones(40), np.zeros(40)]), clusters=[i // 10 for i in range(40)])
    assert copies.num_clusters == 4
    assert not copies.can_tell
    with pytest.raises(UsageError, match="two tasks"):
        compare_over_tasks(np.ones((2, 1)))


def test_equal_encoders_over_tasks_are_rarely_told_apart() -> None:
    rng = np.random.default_rng(1)
    wrong = sum(
        compare_over_tasks(rng.normal(size=(8, 30)) + rng.normal(size=30), flips=200, seed=i).apart.any()
        for i in range(100)
    )
    assert 1 <= wrong <= 11


def test_the_board_over_tasks() -> None:
    """What an independent check found: 7 of 39 adjacent pairs of the board's order are apart at full data."""
    from geneb_jax.stats.analysis.board import ScoreBoard

    board = ScoreBoard.published()
    found = compare_over_tasks(board.scores["full"], weights=macro_weights(board.categories))
    order = np.argsort(-board.scores["full"] @ macro_weights(board.categories))
    assert 6 <= adjacent_apart(order.tolist(), found.better) <= 8
    assert found.difference[0] == pytest.approx(board.score("full").value[0] - board.score("full").value[1])
    bars = groups_not_apart(np.argsort(found.mean_rank).tolist(), found.better)
    assert all(b > a for a, b in bars)


def test_on_how_many_tasks() -> None:
    p = np.array([0.001, 0.002, 0.2, 0.9])
    count, named = tasks_better(p)
    assert count == 2
    assert named.tolist() == [True, True, False, False]
    assert tasks_better(np.full(4, 0.04))[0] == 0
    rng = np.random.default_rng(0)
    # two of six tasks are better: more than two are claimed in at most 5 % of studies
    over = mean(tasks_better(np.concatenate([np.full(2, 1e-6), rng.random(4)]))[0] > 2 for _ in range(2000))
    assert over <= 0.06


def test_equivalence() -> None:
    rng = np.random.default_rng(0)
    d = rng.normal(0.003, 0.01, 60)
    found = tost_over_tasks(d, 0.02)
    assert found.p == pytest.approx(
        max(ttest_1samp(d, -0.02, alternative="greater").pvalue, ttest_1samp(d, 0.02, alternative="less").pvalue)
    )
    assert found.verdict == "same"
    assert tost_over_tasks(d[:1], 0.02).verdict == "unclear"
    assert tost_over_tasks(d + 0.05, 0.02).verdict == "better"
    assert [verdict(*ends, 0.02) for ends in ((-0.03, -0.021), (-0.01, 0.03), (-0.03, 0.01), (-0.03, 0.03))] == [
        "worse", "not worse", "not better", "unclear",
    ]  # fmt: skip
    # at the border of the region the test errs as often as promised
    wrong = sum(tost_over_tasks(rng.normal(0.02, 0.01, 12), 0.02).p <= 0.05 for _ in range(1000))
    assert 25 <= wrong <= 75
    assert tost(np.array([0.0, 0.1]), np.array([0.0, 0.0]), 0.02).tolist() == [0, 1]
    assert rope(np.array([-1, 0, 0, 1.0]), 0.5) == (0.25, 0.5, 0.25)


def test_bayesian_signed_rank_is_baycomps() -> None:
    """Printed by baycomp 1.0.3: SignedRankTest.probs(0, d, 0.01, nsamples=100000)."""
    d = [0.02, 0.014, -0.046, 0.04, -0.034, -0.018, 0.017, 0.012, 0.024, -0.024, 0.022, -0.002, 0.012, -0.03]
    found = signed_rank(np.array(d), 0.01, samples=100_000)
    assert found == pytest.approx((0.210, 0.375, 0.415), abs=0.01)
    assert sum(found) == pytest.approx(1)


def test_places_that_cannot_be_ruled_out() -> None:
    first, second = all_pairs(3)
    tests = family(np.array([1.0, 1.0, 0.1]), np.random.default_rng(0).normal(size=(400, 3)) * 0.1 + [1, 1, 0.1])
    low, high = rank_bounds(3, first, second, tests)
    assert (low.tolist(), high.tolist()) == ([1, 2, 2], [1, 3, 3])


def test_marks_heed_the_rarest_class() -> None:
    """97 : 3 on 100 rows is marked, whichever class is the rare one; 300 balanced rows are not, groups count as one."""
    for ones, m, marked in ((3, 100, True), (97, 100, True), (30, 100, False), (19, 1000, True), (20, 1000, False)):
        sample = task(m)
        truth = (np.arange(m) < ones).astype(np.int64)
        predicted = np.stack([np.roll(truth, 1), np.roll(truth, 2)])
        one = type(sample)("t", "c", 2, truth, predicted, sample.units)
        scored = score_intervals([one], source="rows", resamples=100)
        assert {("few rows" in s.marks) for s in scored if s.scope == "task"} == {marked}, (ones, m)
        grouped = type(sample)("t", "c", 2, truth, predicted, sample.units, np.arange(m) // 10)
        assert min(grouped.class_rows) <= -(-min(ones, m - ones) // 10) + 1


def test_perfect_scores_have_an_end_below_1() -> None:
    """On a task, in a mean of perfect tasks, and beside others, whose interval then reaches further down."""
    base = task(200)
    perfect = type(base)("p", "c", 2, base.truth, np.stack([base.truth, base.predicted[0]]), base.units)
    found = score_intervals([perfect], source="rows", resamples=500)
    scored = {(s.scope, s.series.encoder): s for s in found}
    bound = perfect_bound(perfect.class_rows, "mcc")
    assert scored["task", "e0"].low == pytest.approx(bound)
    assert scored["macro", "e0"].low == pytest.approx(bound)
    assert scored["macro", "e0"].high == 1
    assert "perfect" in scored["task", "e0"].marks
    assert "perfect" not in scored["task", "e1"].marks
    other = task(200, name="o")
    both = {
        (s.scope, s.name, s.series.encoder): s for s in score_intervals([perfect, other], source="rows", resamples=500)
    }
    alone = both["task", "o", "e0"]
    reach = both["macro", "macro", "e0"].estimate - both["macro", "macro", "e0"].low
    assert reach > (alone.estimate - alone.low) / 2 * 0.98
    assert reach > (1 - bound) / 2


def test_intervals_of_nearly_perfect_classifiers_hold_the_truth() -> None:
    """Accuracy 0.98 on 100 balanced rows: one split in eight is perfect, and its interval has to hold 0.96 (MCC)."""
    rng = np.random.default_rng(0)
    held = 0
    studies = 150
    for _ in range(studies):
        truth = np.resize([0, 1], 100)
        predicted = np.where(rng.random(100) < 0.98, truth, 1 - truth)
        base = task(100, lanes=1)
        one = type(base)("t", "c", 2, truth, predicted[None], base.units)
        (score,) = (s for s in score_intervals([one], source="rows", resamples=200) if s.scope == "task")
        held += score.low <= 0.96 <= score.high
    assert held >= 133  # fewer than 133 of 150 with a chance of 0.93 each come once in 30 times
