"""How far each encoder's own score moves along an axis, and how much of all differences that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from geneb_jax.stats.means import Scope
from geneb_jax.stats.sensitivity.agreement import ALL
from geneb_jax.stats.sensitivity.scores import MeanScores
from geneb_jax.stats.sensitivity.settings import Axis, Setting
from geneb_jax.stats.sensitivity.study import Study
from geneb_jax.stats.sensitivity.variance import decompose
from geneb_jax.stats.ties import comparable

NAMES: Final = ("encoder", "task", "axis", "draw")


@dataclass(frozen=True)
class Spread:
    """One encoder along one axis, in one regime and mean, over the contexts of the other axes.

    `mean` is its mean score, `sd` and `range` the standard deviation (ddof 1) and the largest minus the smallest score
    over the axis, each a mean over contexts; `best` and `worst` are the values with its highest and lowest mean score,
    of equal ones the first along the axis.
    """

    axis: Axis
    encoder: str
    regime: str
    scope: Scope
    name: str
    num_contexts: int
    mean: float
    sd: float
    range: float
    best: str
    worst: str


@dataclass(frozen=True)
class Variance:
    """One term of the analysis of variance along one axis in one regime, summed over contexts.

    `share` is its part of all sums of squares; `component` its variance component, the mean over contexts (below 0: no
    more than chance), in squared units of the score. `df` are degrees of freedom, summed over contexts.
    """

    axis: Axis
    regime: str
    term: str
    df: int
    share: float
    component: float
    num_contexts: int
    num_draws: int


def by_regime(axis: Axis, groups: Sequence[Mapping[str, Setting]]) -> dict[str, list[Mapping[str, Setting]]]:
    """The contexts of an axis by their regime; those of the axis of shots lie between regimes."""
    found: dict[str, list[Mapping[str, Setting]]] = {}
    for group in groups:
        found.setdefault(ALL if axis == "shots" else next(iter(group.values())).shots, []).append(group)
    return found


def spreads(scores: MeanScores, axis: Axis, groups: Sequence[Mapping[str, Setting]]) -> Iterator[Spread]:
    """The spread of every encoder, over the contexts in which it has a score of several values of the axis."""
    for regime, own in by_regime(axis, groups).items():
        for row, encoder in enumerate(scores.study.encoders):
            series = [{value: float(scores.estimates[s][row]) for value, s in group.items()} for group in own]
            known = [{v: x for v, x in one.items() if np.isfinite(x)} for one in series]
            known = [one for one in known if len(one) > 1]
            if not known:
                continue
            values = {
                v: float(comparable(np.mean([one[v] for one in known if v in one])))
                for v in dict.fromkeys(v for k in known for v in k)
            }
            yield Spread(
                axis, encoder, regime, scores.scope, scores.name, len(known),
                mean=float(np.mean([x for one in known for x in one.values()])),
                sd=float(np.mean([np.std(list(one.values()), ddof=1) for one in known])),
                range=float(np.mean([max(one.values()) - min(one.values()) for one in known])),
                best=max(values, key=lambda v: values[v]),
                worst=min(values, key=lambda v: values[v]),
            )  # fmt: skip


def variances(study: Study, axis: Axis, groups: Sequence[Mapping[str, Setting]]) -> Iterator[Variance]:
    """Analyses of variance in every context, put together by regime.

    Where a context is unbalanced, the encoders that all its settings have are analysed, and the draws that all have;
    draws are averaged first on the axis of shots, where their number differs and full data has none.
    """
    for regime, own in by_regime(axis, groups).items():
        found: dict[str, list[tuple[int, float, float]]] = {}
        fewest = []
        for group in own:
            if axis == "shots":
                y = np.stack([study.means[s] for s in group.values()], axis=2)[..., None]
            else:
                count = min(study.draws[s].shape[2] for s in group.values())
                if not count:
                    continue
                y = np.stack([study.draws[s][:, :, :count] for s in group.values()], axis=2)
            y = y[np.isfinite(y).all(axis=(1, 2, 3))]
            if len(y) < 2:
                continue
            fewest.append(y.shape[3])
            for term in decompose(y, NAMES, {"draw": "task"}):
                found.setdefault(term.name.replace("axis", axis), []).append((term.df, term.ss, term.component))
        total = sum(ss for rows in found.values() for _, ss, _ in rows)
        for name, rows in found.items():
            df, ss, component = np.array(rows).T
            yield Variance(
                axis, regime, name, int(df.sum()), float(ss.sum() / total) if total else 0.0, float(component.mean()),
                len(rows), min(fewest),
            )  # fmt: skip
