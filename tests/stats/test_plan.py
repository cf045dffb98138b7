"""Planning: what is promised to be found is found as often, and sums of variances add up."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import binomtest, norm, ttest_1samp

from geneb_jax.cli.plan import command
from geneb_jax.errors import UsageError
from geneb_jax.report.claims import detectable_claim, plan_claim, stated_claim
from geneb_jax.stats.compare import compare
from geneb_jax.stats.plan import Plan, plan
from geneb_jax.stats.samples import TaskSample, Unit
from geneb_jax.stats.testing.planning import detectable, needed, needed_rows, reach
from tests.stats.test_bootstrap import series, task


def test_the_rows_needed_give_the_power() -> None:
    """McNemar's exact test at the planned number of rows: two encoders disagree on 20 % of them, one is 4 % better."""
    n = needed_rows(0.04, 0.16, level=0.95, power=0.8)
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(300):
        wins, losses, _ = rng.multinomial(n, [0.12, 0.08, 0.8])
        found += binomtest(wins, wins + losses).pvalue <= 0.05
    assert 0.74 <= found / 300 <= 0.9
    # MCC of balanced classes moves twice as fast as accuracy
    assert needed_rows(0.08, 0.16, scale=2.0) == n


def test_the_tasks_needed_give_the_power() -> None:
    t = needed(0.02, 0.03**2, t_test=True)
    assert t == 20  # as G*Power has it for d = 2/3, two-sided 5 %, 80 %
    rng = np.random.default_rng(1)
    found = np.mean([ttest_1samp(rng.normal(0.02, 0.03, t), 0).pvalue <= 0.05 for _ in range(600)])
    assert 0.75 <= found <= 0.87


def test_what_else_varies_is_counted() -> None:
    q = reach(0.95, 0.8)
    assert q == pytest.approx(norm.isf(0.025) + norm.ppf(0.8))
    half = (0.1 / q) ** 2 / 2
    assert needed(0.1, 50 * half, fixed=half) == 50
    assert needed(0.1, 1.0, fixed=2 * half) is None
    assert stated_claim("tasks", None, 0.1, level=0.95, power=0.8).startswith("No number of tasks")
    assert stated_claim("tasks", 20, 0.02, level=0.95, power=0.8) == (
        "20 tasks find a difference of 0.02 with a chance of 80% at 5%."
    )


def test_the_smallest_difference_is_found_as_often_as_printed() -> None:
    """Two encoders that differ by what a study of equal ones printed: told apart in 80 % of studies or more."""
    assert "at least 80%" in detectable_claim(0.95)

    def study(chances: tuple[float, float], seed: int) -> TaskSample:
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, 400)
        z = np.sqrt(0.5) * rng.normal(size=400) + np.sqrt(0.5) * rng.normal(size=(2, 400))
        predicted = np.where(z < norm.ppf(chances)[:, None], truth, 1 - truth)
        return TaskSample("t", "c", 2, truth, predicted, tuple(Unit(series(f"e{i}"), "full", (i,)) for i in range(2)))

    printed = [
        compare([study((0.85, 0.85), seed)], source="rows", resamples=200).detectable[0].difference for seed in range(8)
    ]
    worse = 0.85 - float(np.mean(printed)) / 2  # MCC of balanced classes is 2 · accuracy - 1
    found = sum(
        next(d for d in compare([study((0.85, worse), 100 + seed)], source="rows", resamples=200).differences).apart
        for seed in range(60)
    )
    assert found >= 43  # 80 % of 60 are 48; fewer than 43 come once in 25 times
    small = sum(
        next(d for d in compare([study((0.85, 0.83), 300 + seed)], source="rows", resamples=200).differences).apart
        for seed in range(30)
    )
    assert small <= 15, "a difference of a third of it is not"


def test_detectable_differences() -> None:
    assert detectable(0.02, 10**9, 0.2, factor=2.8) == pytest.approx(0.056, rel=1e-3)
    assert detectable(0.02, 300, 0.2, factor=2.8) > 0.056
    assert detectable(0.0, 300, 0.0, factor=2.8) > 0, "encoders that agree on all rows do not show every difference"


def test_plans_of_runs() -> None:
    samples = [task(400, seed=i, name=f"t{i}") for i in range(4)]
    (now,) = plan(samples, 0.3, resamples=400)
    (tight,) = plan(samples, 0.01, resamples=400)
    assert (now.num_tasks, now.num_rows, now.num_draws) == (4, 1600, 1)
    assert now.detectable == pytest.approx(reach(0.95, 0.8) * now.se_rows)
    assert plan_claim(now) == "full: these rows and draws find 0.3."
    assert tight.rows_factor == pytest.approx((tight.detectable / 0.01) ** 2)
    assert "times the test rows would" in plan_claim(tight)
    (among,) = plan(samples, 0.01, among=40, resamples=400)
    assert among.detectable > tight.detectable
    assert among.tasks is None or among.tasks > (tight.tasks or 0)
    hidden = Plan("10shot", 0.01, 1, 100, 5, 0.02, 0.03, None, 0.1, None, None, None)
    assert plan_claim(hidden) == (
        "10shot: no number of test rows is enough, since the 5 draws hide 0.01. No number of draws is enough with "
        "these rows."
    )
    with pytest.raises(UsageError, match="share a task"):
        plan([task(100, lanes=1)], 0.1, resamples=100)


def test_the_command_from_stated_variances() -> None:
    words = ["--detect", "0.02", "--sd-tasks", "0.03", "--json"]
    shown = CliRunner().invoke(command, words, standalone_mode=False, catch_exceptions=False)
    assert json.loads(shown.stdout) == {"tasks": 20}
    for bad in (["--detect", "0.02"], ["run", "--detect", "0.02", "--sd-tasks", "0.1"]):
        assert isinstance(CliRunner().invoke(command, bad, standalone_mode=False).exception, UsageError)
