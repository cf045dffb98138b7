"""The bootstrap rows at toy size: they check themselves against scikit-learn, and the check can fail."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.rows import BENCHES
from benchmarks.rows.base import Context
from benchmarks.rows.bootstrap_rows import _check, sample
from geneb_jax.stats.bootstrap import task_distribution


def test_rows_are_correct_and_a_wrong_spread_is_caught() -> None:
    bench = BENCHES["bootstrap-9-classes"]
    row = bench.measure(Context(size="toy", repeats=2, memory=False, clear=False), bench)
    assert row.check.ok, row.check.trouble
    assert row.ratio_best is not None
    assert row.ratio_best > 0
    one = sample(200, 2)
    found = task_distribution(one, "mcc", resamples=300)
    mean = found.by_rows.mean(axis=0)
    wide = replace(found, by_rows=mean + 2 * (found.by_rows - mean))
    assert any("spread" in line for line in _check(one, wide).trouble)
