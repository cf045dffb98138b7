"""A probe whose fit of all training rows depends on the seed has one estimate: the mean over seeds, everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geneb_jax.probes.heads.specs import parse_head
from geneb_jax.run import probe
from geneb_jax.stats.aggregate import aggregate, task_scores
from geneb_jax.stats.compare import compare
from geneb_jax.stats.curves import learning_curves
from geneb_jax.stats.samples import task_samples
from geneb_jax.stats.uncertainty import score_intervals
from tests.run.helpers import blobs, write_store


def test_tables_intervals_comparisons_and_curves_take_the_mean_over_seeds(tmp_path: Path) -> None:
    write_store(tmp_path / "store", {"a": blobs(0), "b": blobs(1)})
    specs = [parse_head(f"mlp:hidden=3:max_epochs={epochs}") for epochs in (2, 6)]
    run = probe([tmp_path / "store"], None, tmp_path / "run", specs=specs, engine="sklearn", regimes=["full", "1shot"],
                progress=False)  # fmt: skip
    rows = [row for row in run.records.to_pylist() if row["regime"] == "full"]
    by_seed = {(r["probe_digest"], r["task"], r["seed"]): r["mcc"] for r in rows}
    expected = {
        digest: np.mean([np.mean([v for (d, t, _), v in by_seed.items() if (d, t) == (digest, task)]) for task in "ab"])
        for digest in {digest for digest, _, _ in by_seed}
    }
    assert len({round(v, 9) for v in by_seed.values()}) > len(expected) * 2, "the seed must matter"

    samples = list(task_samples([run]))
    suite = run.meta.suite.categories
    found = {
        "table": {a.series: a.micro for a in aggregate(task_scores(run.records), suite) if a.regime == "full"},
        "intervals": {s.series: s.estimate for s in score_intervals(samples, resamples=50)
                      if (s.scope, s.regime) == ("micro", "full")},
        "comparison": {r.series: r.estimate for r in compare(samples, resamples=50).ranks
                       if (r.scope, r.regime) == ("micro", "full")},
        "curves": {p.score.series: p.score.estimate
                   for p in learning_curves(samples, scopes=("micro",), resamples=50).points if p.shots is None},
    }  # fmt: skip
    for name, values in found.items():
        assert {s.probe_digest: v for s, v in values.items()} == pytest.approx(expected, abs=1e-12), name
