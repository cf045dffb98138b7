"""Tasks as a sample: standard errors by hand, and how often intervals hold the truth with GENEB's category sizes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import binom
from scipy.stats import t as student

from benchmarks.simulated import Study, simulate
from geneb_jax.errors import UsageError
from geneb_jax.published import tasks
from geneb_jax.stats.bootstrap import plain_scores
from geneb_jax.stats.task_spread import task_means
from geneb_jax.stats.uncertainty import task_resampled_scores

SIZES = tuple(Counter(task.category for task in tasks()).values())


def test_means_and_their_standard_errors_by_hand() -> None:
    scores, categories = np.array([0.1, 0.3, 0.8, 0.2, 0.4, 0.6]), ["a", "a", "b", "c", "c", "c"]
    found = {mean.name: mean for mean in task_means(scores, categories)}
    a, c = np.var([0.1, 0.3], ddof=1), np.var([0.2, 0.4, 0.6], ddof=1)
    pooled = (a + 2 * c) / 3
    assert found["a"].se == pytest.approx(np.sqrt(a / 2))
    assert found["b"].se == pytest.approx(np.sqrt(pooled))
    assert found["macro"].estimate == pytest.approx((0.2 + 0.8 + 0.4) / 3)
    assert found["macro"].se == pytest.approx(np.sqrt(a / 2 + pooled + c / 3) / 3)
    assert found["micro"].se == pytest.approx(scores.std(ddof=1) / np.sqrt(6))
    assert [found[name].borrowed for name in ("a", "b", "c", "macro", "micro")] == [False, True, False, True, False]
    assert (found["a"].df, found["c"].df, found["micro"].df) == (1, 2, 5)
    low, high = found["c"].ends(0.9)
    assert high - low == pytest.approx(2 * student.ppf(0.95, 2) * np.sqrt(c / 3))
    balanced = {mean.name: mean for mean in task_means(scores[[0, 1, 3, 4]], ["a", "a", "c", "c"])}
    assert balanced["macro"].df == pytest.approx((a + 0.02) ** 2 / (a**2 + 0.02**2))


def test_categories_of_one_task_each_differ_as_all_tasks_do() -> None:
    scores = np.array([0.1, 0.3, 0.8])
    found = {mean.name: mean for mean in task_means(scores, ["a", "b", "c"])}
    assert found["macro"].se == pytest.approx(found["micro"].se)
    assert found["macro"].borrowed
    with pytest.raises(UsageError, match="one task"):
        task_means(scores[:1], ["a"])
    same = {mean.name: mean for mean in task_means(np.full(4, 0.5), ["a", "a", "b", "c"])}
    assert same["macro"].ends(0.95) == (0.5, 0.5)


@pytest.mark.parametrize("uneven", [0.0, 0.5])
def test_macro_holds_the_truth_with_the_categories_of_geneb(uneven: float) -> None:
    """Also where some categories' tasks differ much more than others'; two of the thirteen have a single task."""
    rng = np.random.default_rng(0)
    categories = [f"c{c}" for c, size in enumerate(SIZES) for _ in range(size)]
    repeats, held = 1500, Counter[str]()
    for _ in range(repeats):
        scale = np.exp(uneven * rng.standard_normal(len(SIZES)))
        scores = rng.standard_normal(len(categories)) * np.repeat(scale, SIZES)
        for mean in task_means(scores, categories):
            low, high = mean.ends(0.95)
            held[mean.name] += low <= 0 <= high
    names = ["macro", *(f"c{c}" for c, size in enumerate(SIZES) if size > 1)]
    for name in names:
        assert binom(repeats, 0.93).ppf(1e-3) <= held[name] <= binom(repeats, 0.97).ppf(1 - 1e-3), name


def test_scores_of_samples_carry_what_rests_on_one_task() -> None:
    samples, _ = simulate(Study(categories=(3, 1), n=60, between_tasks=0.4), 0)
    found = {(s.scope, s.name): s for s in task_resampled_scores(samples, num_in_suite=5) if s.series.encoder == "e0"}
    own = np.array([plain_scores(sample, "mcc")[0] for sample in samples])
    expected = {mean.name: mean for mean in task_means(own, [sample.category for sample in samples])}
    assert found["macro", "macro"].se == pytest.approx(expected["macro"].se)
    assert (found["macro", "macro"].low, found["macro", "macro"].high) == pytest.approx(
        np.clip(expected["macro"].ends(0.95), -1, 1)
    )
    assert found["macro", "macro"].marks == ("one task", "partial")
    assert found["micro", "micro"].marks == ("partial",)
    assert (found["category", "c0"].marks, found["category", "c1"].marks) == ((), ("one task",))
    assert [found["category", "c0"].num_rows, found["category", "c1"].num_rows] == [180, 60]
