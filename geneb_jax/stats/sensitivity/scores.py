"""Scores of a study by mean: estimates, resamples, and what follows from one setting alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

import numpy as np

from geneb_jax.axes import NumpyBool, NumpyFloat, NumpyInt
from geneb_jax.stats.means import CategorySums, Scope
from geneb_jax.stats.rankings import membership, order_profile, rank_profile
from geneb_jax.stats.sensitivity.resampled import Resampled
from geneb_jax.stats.sensitivity.settings import Setting
from geneb_jax.stats.sensitivity.study import Study
from geneb_jax.stats.testing.few_draws import FewDraws
from geneb_jax.stats.testing.multiple import pair_family
from geneb_jax.stats.ties import comparable

HELD: Final = 2**26
"""Most numbers that are kept so as not to rank one setting's resamples again for its next comparison."""


@dataclass(frozen=True)
class Profile:
    """One setting's encoders, estimates in row 0 and resamples behind it: (1 + b, …), for correlations and overlap."""

    ranks: NumpyFloat
    orders: NumpyFloat
    best: NumpyFloat


@dataclass
class MeanScores:
    """One mean over tasks ("macro" or a category) of all encoders under every setting.

    `estimates` are (E,), `values` (b, E) or None where the runs hold no predictions; NaN where an encoder lacks the
    view.
    """

    scope: Scope
    name: str
    estimates: dict[Setting, NumpyFloat]
    study: Study
    resampled: Resampled | None
    top: int
    _profiles: dict[tuple[Setting, bytes], Profile] = field(default_factory=dict)
    _p: dict[Setting, NumpyFloat] = field(default_factory=dict)

    def values(self, setting: Setting) -> NumpyFloat | None:
        """Resamples (b, E) of one setting."""
        return None if self.resampled is None else self.resampled.of(self.study, setting, self.name)

    def profile(self, setting: Setting, present: NumpyBool) -> Profile:
        """Rankings of the encoders (E,) that are `present`."""
        key = (setting, present.tobytes())
        if key not in self._profiles:
            values = self.values(setting)
            rows = [self.estimates[setting][None], *([] if values is None else [values])]
            scores = np.concatenate(rows)[:, present]
            best = membership(scores, min(self.top, scores.shape[1]))
            if len(self._profiles) * scores.size * scores.shape[1] > HELD:
                self._profiles.clear()
            self._profiles[key] = Profile(rank_profile(scores), order_profile(scores), best)
        return self._profiles[key]

    def _few_draws(self, setting: Setting, first: NumpyInt, second: NumpyInt) -> FewDraws | None:
        found = self.resampled
        return None if found is None else found.few_draws(self.study, setting, self.name, first, second)

    def p(self, setting: Setting) -> NumpyFloat:
        """p-values (E, E) of "these two encoders are equal" under one setting, max-T over all pairs; NaN unknown."""
        if setting not in self._p:
            out = np.full((len(self.study.encoders),) * 2, np.nan)
            values = self.values(setting)
            pairs = list(combinations(np.flatnonzero(np.isfinite(self.estimates[setting])), 2))
            if values is not None and pairs:
                i, j = np.array(pairs).T
                out[i, j] = out[j, i] = pair_family(
                    self.estimates[setting], values, i, j, few_draws=self._few_draws(setting, i, j)
                ).p
            self._p[setting] = out
        return self._p[setting]


def mean_scores(study: Study, resampled: Resampled | None, top: int) -> Iterator[MeanScores]:
    """Macro first, then every category; macro alone where the study has one category."""
    sums: CategorySums[NumpyFloat] = CategorySums()
    stacked = np.stack([study.means[setting] for setting in study.settings])
    for place, category in enumerate(study.categories):
        sums.add(category, stacked[:, :, place])
    means = sorted((mean for mean in sums.means() if mean.scope != "micro"), key=lambda mean: mean.scope != "macro")
    for mean in means if len(set(study.categories)) > 1 else means[:1]:
        estimates = dict(zip(study.settings, comparable(mean.value), strict=True))
        yield MeanScores(mean.scope, mean.name, estimates, study, resampled, top)
