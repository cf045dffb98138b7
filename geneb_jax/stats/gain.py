"""Gain over the floor: how much better a series is than the best k-mer counts, with an interval.

The floor of a mean is the k-mer encoder with the best estimate of that mean, under the same probe, engine and
precision. It is picked on the same test rows on which the gain is measured, which favours it: gains are, if anything,
too small. Differences and intervals are those of `geneb_jax.stats.compare`; p-values of Holm and BH are adjusted over
the gains alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from geneb_jax.run.runs import Runs
from geneb_jax.stats.aggregate import FLOOR_FAMILY, Series
from geneb_jax.stats.compare import Comparison, Difference, Rank
from geneb_jax.stats.intervals import benjamini_hochberg, holm
from geneb_jax.stats.means import Scope
from geneb_jax.stats.ties import best_first


@dataclass(frozen=True)
class Gain:
    """`series` minus `floor` in one regime and mean. `p_holm` and `p_bh` are adjusted over all gains of that mean,
    `p_max_t` and the interval over all pairs of encoders."""

    scope: Scope
    name: str
    regime: str
    series: Series
    floor: Series
    estimate: float
    low: float
    high: float
    p: float
    p_max_t: float
    p_holm: float
    p_bh: float


def floor_digests(runs: Runs) -> set[str]:
    """Digests of the k-mer encoders of these runs."""
    return {encoder.digest for encoder in runs.meta.encoders if encoder.family == FLOOR_FAMILY}


def gains_over_floor(found: Comparison, floors: Collection[str]) -> list[Gain]:
    """The gain of every series that is no floor, best first, in every regime and mean; floors are encoder digests.

    A series without a floor under its probe, engine and precision has no gain.
    """
    ranks: dict[tuple[Scope, str, str], list[Rank]] = {}
    for rank in found.ranks:
        ranks.setdefault((rank.scope, rank.name, rank.regime), []).append(rank)
    pairs: dict[tuple[Scope, str, str], dict[tuple[Series, Series], Difference]] = {}
    for one in found.differences:
        pairs.setdefault((one.scope, one.name, one.regime), {})[one.first, one.second] = one
    gains: list[Gain] = []
    for place, differences in pairs.items():
        best: dict[tuple[str, str, str], Rank] = {}
        ordered = best_first(ranks[place], lambda r: r.estimate, lambda r: str(r.series))
        for rank in ordered:
            if rank.series.encoder_digest in floors:
                best.setdefault(_probe(rank.series), rank)
        rows: list[tuple[Series, Series, Difference, int]] = []
        for rank in ordered:
            floor = best.get(_probe(rank.series))
            if floor is None or rank.series.encoder_digest in floors:
                continue
            forward = differences.get((rank.series, floor.series))
            one = forward or differences[floor.series, rank.series]
            rows.append((rank.series, floor.series, one, 1 if forward else -1))
        if not rows:
            continue
        p = np.array([one.p for _, _, one, _ in rows])
        for (series, lowest, one, sign), by_holm, by_bh in zip(rows, holm(p), benjamini_hochberg(p), strict=True):
            low, high = sorted((sign * one.low, sign * one.high))
            gains.append(
                Gain(
                    *place,
                    series,
                    lowest,
                    sign * one.estimate,
                    low,
                    high,
                    one.p,
                    one.p_max_t,
                    float(by_holm),
                    float(by_bh),
                )
            )
    return gains


def _probe(series: Series) -> tuple[str, str, str]:
    return series.probe_digest, series.engine, series.dtype
