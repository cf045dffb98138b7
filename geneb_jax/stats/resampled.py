"""Intervals of every score of runs, and the comparison of their series: what a report shows beside points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from geneb_jax.stats.compare import Comparison, compare
from geneb_jax.stats.samples import TaskSample
from geneb_jax.stats.uncertainty import Score, score_intervals
from geneb_jax.stats.varied import Samples, varied_lines


@dataclass(frozen=True)
class Resampled:
    """Intervals and comparisons of runs; `comparison` is None where there is a single series, or none was asked for.

    `varied` says what varied and what was held fixed, a line for the regimes of which the same is to be said.
    """

    scores: Sequence[Score]
    comparison: Comparison | None
    level: float
    resamples: int
    varied: Sequence[str]


def resample(
    samples: Samples,
    *,
    num_in_suite: int | None = None,
    compared: bool = True,
    done: Callable[[TaskSample], None] | None = None,
    **settings: Any,
) -> Resampled:
    """Resample what runs predicted; `settings` are those of `score_intervals` and `compare`."""
    held = list(samples)
    scores = score_intervals(held, num_in_suite=num_in_suite, done=done, **settings)
    comparison = None
    if compared and len({score.series for score in scores}) > 1:
        comparison = compare(held, **settings)
    return Resampled(
        scores, comparison, settings["level"], settings["resamples"], varied_lines(samples.varied(settings["source"]))
    )
