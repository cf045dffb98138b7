"""Rows and draws together: the definition of the components, and studies whose true scores are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, kstest
from scipy.stats import t as student
from sklearn.metrics import matthews_corrcoef

from benchmarks.simulated import Study, simulate
from geneb_jax.axes import NumpyFloat
from geneb_jax.stats import bootstrap
from geneb_jax.stats.bootstrap import Distribution, Source, task_distribution
from geneb_jax.stats.draws import Deviations, without_noise
from geneb_jax.stats.means import CategorySums
from geneb_jax.stats.samples import TaskSample, Unit


def resampled(sample: TaskSample, source: Source = "both", b: int = 2000) -> Distribution:
    return task_distribution(sample, "mcc", source=source, resamples=b, influence=False)


def draw_mccs(sample: TaskSample, unit: Unit) -> NumpyFloat:
    return np.array([matthews_corrcoef(sample.truth, sample.predicted[place]) for place in unit.draws])


def test_draws_alone_are_students_t_of_the_usual_standard_error() -> None:
    (sample,), _ = simulate(Study(draws=5, effect=0.4), 0)
    found = resampled(sample, "draws", 20_000)
    for i, unit in enumerate(sample.units):
        own = draw_mccs(sample, unit)
        se = own.std(ddof=1) / np.sqrt(5)
        assert found.estimate[i] == pytest.approx(own.mean())
        assert found.se[i] == pytest.approx(se)
        assert kstest((found.values[:, i] - own.mean()) / se, student(4).cdf).pvalue > 1e-3
    difference = draw_mccs(sample, sample.units[0]) - draw_mccs(sample, sample.units[1])
    variance = found.covariance[0, 0] + found.covariance[1, 1] - 2 * found.covariance[0, 1]
    assert variance == pytest.approx(difference.var(ddof=1) / 5), "draws of one seed are paired"


def test_an_interval_is_the_same_in_whatever_company() -> None:
    (sample,), _ = simulate(Study(draws=5, fit=1.0, strengths=(0.7, 0.5, 0.9, 0.7)), 3)
    together = resampled(sample)
    for i, unit in enumerate(sample.units):
        alone = resampled(sample.only((unit,)))
        np.testing.assert_allclose(together.marginal[:, i], alone.marginal[:, 0], rtol=1e-5)
        np.testing.assert_allclose(together.marginal[:, i].std(), together.values[:, i].std(), rtol=0.02)
        np.testing.assert_allclose(alone.marginal, alone.values, rtol=1e-6)


def test_rows_count_once_beside_draws() -> None:
    """The covariance is that of row noise between *different* draws, plus that of the draws' scores over K."""
    (sample,), _ = simulate(Study(draws=4, fit=1.0), 1)
    single = tuple(Unit(sample.units[0].series, f"{i}shot", (i,)) for i in range(8))
    lanes = resampled(TaskSample(sample.task, "c", 2, sample.truth, sample.predicted, single), "rows")
    C = np.cov(lanes.values, rowvar=False)
    scores = np.stack([draw_mccs(sample, unit) for unit in sample.units])
    found = resampled(sample)
    expected = np.cov(scores) / 4
    for u in range(2):
        for v in range(2):
            between = [C[4 * u + k, 4 * v + j] for k in range(4) for j in range(4) if k != j]
            expected[u, v] += np.mean(between)
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-6)
    np.testing.assert_allclose(found.se**2, np.diag(expected), rtol=1e-6)
    naive = resampled(sample, "rows").se ** 2 + resampled(sample, "draws").se ** 2
    assert (naive > 1.1 * found.se**2).all(), "the sum of both sources counts what draws make of the rows twice"


def test_full_data_and_single_draws_vary_with_their_rows_alone() -> None:
    (sample,), _ = simulate(Study(draws=0), 0)
    assert np.array_equal(resampled(sample).values, resampled(sample, "rows").values)
    assert np.ptp(resampled(sample, "draws").values, axis=0).max() == 0


def test_seeds_are_crossed_with_tasks() -> None:
    """What a seed does to several tasks adds up before it is squared, whatever else the tasks have."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=5)
    same, seeds = Deviations.of([scores], [(13, 17, 42, 123, 997)]), (997, 13, 17, 42, 123)
    again = Deviations.of([scores[[4, 0, 1, 2, 3]]], [seeds])
    assert (same * 0.5 + again * 0.5).variance == pytest.approx(same.variance)
    other = Deviations.of([scores], [(1, 2, 3, 4, 5)])
    assert (same * 0.5 + other * 0.5).variance == pytest.approx(same.variance / 2)
    assert (same + Deviations.of([scores[:3]], [(13, 17, 42)])).fewest.tolist() == [3]
    single = same + Deviations.of([scores[:1]], [(13,)])
    assert (single.fewest.tolist(), single.variance.tolist()) == ([5], same.variance.tolist())
    both = (same * 0.5 + again * 0.5).resampled(0, 500)
    np.testing.assert_allclose(both, same.resampled(0, 500), rtol=1e-9)


def test_blocks_of_draws_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    (sample,), _ = simulate(Study(draws=6, strengths=(0.5, 0.7, 0.9)), 2)
    whole = resampled(sample, b=500)
    monkeypatch.setattr(bootstrap, "BLOCK_NUMBERS", 6 * 500)
    np.testing.assert_allclose(resampled(sample, b=500).values, whole.values, rtol=1e-6)


def test_noise_beyond_what_there_is_leaves_no_variance() -> None:
    values = np.random.default_rng(0).normal(size=(400, 2)) * (1, 2)
    C = np.cov(values, rowvar=False)
    found = np.cov(without_noise(values, np.zeros(2), np.diag([2.0, 0.0])), rowvar=False)
    assert found[0, 0] == pytest.approx(0, abs=0.05)
    assert found[1, 1] == pytest.approx(C[1, 1], rel=0.1)


@pytest.mark.parametrize(
    "study",
    [
        Study(n=150, fit=1.0, effect=0.05),
        Study(n=150, effect=0.3, categories=(2, 1), over_tasks=0.65, fit=0.3),
    ],
)
def test_standard_errors_and_intervals_are_those_of_simulated_truth(study: Study) -> None:
    """Scores and paired differences of macro, when rows and draws are new in every study."""
    repeats, b = 240, 150
    found: dict[str, list[tuple[float, float, bool]]] = {"score": [], "difference": []}
    for seed in range(repeats):
        samples, true = simulate(study, seed)
        sums: CategorySums[Distribution] = CategorySums()
        means: CategorySums[NumpyFloat] = CategorySums()
        for sample, truth in zip(samples, true, strict=True):
            own = task_distribution(sample, "mcc", source="both", resamples=b, seed=seed, influence=False)
            sums.add(sample.category, own)
            means.add(sample.category, truth)
        macro = next(mean.value for mean in sums.means() if mean.scope == "macro")
        truth = next(mean.value for mean in means.means() if mean.scope == "macro")
        C, values = macro.covariance, macro.values
        parts = {
            "score": (macro.estimate[0] - truth[0], C[0, 0], values[:, 0] - truth[0]),
            "difference": (
                macro.estimate[0] - macro.estimate[1] - (truth[0] - truth[1]),
                C[0, 0] + C[1, 1] - 2 * C[0, 1],
                values[:, 0] - values[:, 1] - (truth[0] - truth[1]),
            ),
        }
        for name, (error, variance, drawn) in parts.items():
            low, high = np.quantile(drawn, [0.025, 0.975])
            found[name].append((error, variance, bool(low <= 0 <= high)))
    for name, rows in found.items():
        error, variance, held = map(np.array, zip(*rows, strict=True))
        assert np.sqrt(variance.mean()) == pytest.approx(np.sqrt((error**2).mean()), rel=0.12), name
        assert binom(repeats, 0.95).ppf(1e-3) <= held.sum() <= binom(repeats, 0.975).ppf(1 - 1e-3), name
