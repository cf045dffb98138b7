"""What a headline says that varied, against what the resamples do: each sentence where it is true and where not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.simulated import Study, simulate
from geneb_jax.stats.bootstrap import SOURCES, Source, task_distribution
from geneb_jax.stats.samples import TaskSample, Unit
from geneb_jax.stats.varied import AnySource, Samples, varied_lines, what_varied


def mixed() -> TaskSample:
    """Full data with one fit, ten-shot with five draws, one-shot with one, of one encoder."""
    (sample,), _ = simulate(Study(draws=7, n=80, effect=0.4, strengths=(0.7,)), 0)
    series = sample.units[0].series
    units = (Unit(series, "full", (0,)), Unit(series, "10shot", (1, 2, 3, 4, 5)), Unit(series, "1shot", (6,)))
    return replace(sample, units=units)


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_said_to_vary_does_and_what_is_held_fixed_does_not(source: Source) -> None:
    sample = mixed()
    watched = Samples([sample])
    found = task_distribution(next(watched), "mcc", source=source, resamples=300)
    alike = np.tile(sample.predicted[1], (7, 1))  # draws that are one and the same
    no_draws = task_distribution(replace(sample, predicted=alike), "mcc", source=source, resamples=300)
    for i, one in enumerate(watched.varied(source)):
        rows, draws = "test rows" in one.varies, "draws" in one.varies
        assert one.regime == sample.units[i].regime
        assert (found.se[i] > 1e-12) == (rows or draws)
        # without differences between draws, what is left is the rows; where nothing is left, rows were held fixed
        assert (no_draws.se[i] > 1e-12) == rows == ("test rows" not in one.held)
        assert draws == (found.draws.variance[i] > 0 and source != "rows")
        assert not (draws and "draw" in one.held)
        assert "the tasks" in one.held


def test_sentences() -> None:
    both = Samples([mixed()])
    list(both)
    assert varied_lines(both.varied("both")) == [
        "full: the test rows vary; held fixed: the tasks, the one fit of each task.",
        "10shot: the test rows and the draws (Student's t, 4 degrees of freedom) vary; held fixed: the tasks.",
        "1shot: the test rows vary; held fixed: the tasks, this one draw.",
    ]
    assert varied_lines(both.varied("rows"))[1] == "10shot: the test rows vary; held fixed: the tasks, these 5 draws."
    assert varied_lines(both.varied("draws"))[0] == (
        "full: nothing varies; held fixed: the tasks, their test rows, the one fit of each task."
    )
    said = what_varied("both", "10shot", 100, 100).words
    assert said == "the test rows and the draws vary; held fixed: the tasks."
    sources: tuple[AnySource, ...] = ("both", "rows")
    same = [what_varied(source, f"{k}shot", 5, 5) for source in sources for k in (1, 10)]
    assert [line.partition(":")[0] for line in varied_lines(same)] == ["1shot, 10shot", "1shot, 10shot"]
    assert "categories" in what_varied("tasks", "full", 1, 1).held
