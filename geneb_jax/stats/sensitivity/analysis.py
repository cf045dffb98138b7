"""The whole analysis of a study: every axis, every two of its values, every mean and regime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from geneb_jax.axes import NumpyFloat
from geneb_jax.errors import UsageError
from geneb_jax.stats.aggregate import Metric
from geneb_jax.stats.bootstrap import Source
from geneb_jax.stats.samples import TaskSample
from geneb_jax.stats.sensitivity.agreement import (
    FEWEST,
    Agreement,
    Comparison,
    compare_settings,
    summarise,
)
from geneb_jax.stats.sensitivity.resampled import resample_study
from geneb_jax.stats.sensitivity.scores import mean_scores
from geneb_jax.stats.sensitivity.settings import Axis, Setting, axis_values, contexts, setting_pairs
from geneb_jax.stats.sensitivity.spread import Spread, Variance, spreads, variances
from geneb_jax.stats.sensitivity.study import Study

RESAMPLES: Final = 2_000
TOP: Final = 3


@dataclass(frozen=True)
class Sensitivity:
    """What a study shows.

    `macro` are the encoders' scores (E,) under every setting. `comparisons` are those of macro, context by context;
    agreements and spreads also those of categories. `resamples` is 0 where the runs hold no predictions.
    """

    study: Study
    axes: dict[Axis, tuple[str, ...]]
    macro: dict[Setting, NumpyFloat]
    metric: Metric
    source: Source
    level: float
    resamples: int
    top: int
    agreements: tuple[Agreement, ...]
    comparisons: tuple[Comparison, ...]
    spreads: tuple[Spread, ...]
    variances: tuple[Variance, ...]

    @property
    def resamples_needed(self) -> int:
        """Resamples below which no flip can be called real: p is at least 2/(b + 1), times the pairs of encoders."""
        n = len(self.study.encoders)
        return int(2 * (n * (n - 1) // 2) / (1 - self.level))


def require_encoders(names: Sequence[str]) -> None:
    """Refuse a ranking of too few encoders: raises UsageError."""
    if len(names) < FEWEST:
        raise UsageError(
            f"a ranking needs {FEWEST} encoders, and there {'is' if len(names) == 1 else 'are'} {len(names)}",
            where=", ".join(names),
            cure="name stores or runs of more encoders; views of one model count as one",
        )


def nothing_varied(setting: str) -> UsageError:
    """The error of a study of one setting."""
    return UsageError(
        "nothing was varied: there is one setting",
        where=setting,
        cure="give --probe, --C, --shots or --standardize several values, or embed several poolings or layers",
    )


def analyse(
    study: Study,
    samples: Iterable[TaskSample] | None,
    *,
    metric: Metric = "mcc",
    source: Source = "both",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    top: int = TOP,
    done: Callable[[TaskSample], None] | None = None,
) -> Sensitivity:
    """Analyse a study of `metric`; `samples` are its runs' predictions, or None for no intervals and no tests.

    Raises:
        UsageError: nothing was varied, or there are too few encoders to rank.
    """
    require_encoders(study.encoders)
    axes = axis_values(study.settings)
    if not axes:
        raise nothing_varied(study.settings[0].words())
    resampled = None
    if samples is not None:
        resampled = resample_study(
            study, samples, metric=metric, source=source, resamples=resamples, seed=seed, done=done
        )
    groups = {axis: contexts(study.settings, axis, values) for axis, values in axes.items()}
    agreements: list[Agreement] = []
    comparisons: list[Comparison] = []
    spread: list[Spread] = []
    macro: dict[Setting, NumpyFloat] = {}
    for scores in mean_scores(study, resampled, top):
        for axis, own in groups.items():
            found = list(compare_settings(scores, axis, setting_pairs(own), level=level))
            agreements += summarise(found, level=level)
            if scores.scope == "macro":
                comparisons += found
                macro = scores.estimates
            spread += spreads(scores, axis, own)
    return Sensitivity(
        study, axes, macro, metric, source, level, 0 if samples is None else resamples, top,
        tuple(agreements), tuple(comparisons), tuple(spread),
        tuple(v for axis, own in groups.items() for v in variances(study, axis, own)),
    )  # fmt: skip
