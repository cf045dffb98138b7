"""What a study says in sentences, and how far the answer depends on the other axes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from geneb_jax.stats.sensitivity.agreement import ALL, Agreement
from geneb_jax.stats.sensitivity.analysis import Sensitivity
from geneb_jax.stats.sensitivity.settings import Axis, value_words
from geneb_jax.stats.ties import comparable, reaches

STEADY: Final = 0.9
"""Spearman from which rankings are called nearly the same."""
CHANGED: Final = 0.7
"""Spearman below which they are called changed."""

SUBJECTS: Final[dict[Axis, str]] = {
    "probe": "the type of probe",
    "C": "C",
    "pooling": "the pooling",
    "layer": "the layer",
    "shots": "the number of training rows",
    "standardize": "standardization",
}


@dataclass(frozen=True)
class Condition:
    """Agreement along one axis where another is held at one value: mean and lowest Spearman of macro rankings.

    `num_comparisons` counts pairs of settings; `lowest_first` and `lowest_second` are the values that agree least.
    """

    axis: Axis
    regime: str
    held: Axis
    value: str
    num_comparisons: int
    spearman: float
    lowest: float
    lowest_first: str
    lowest_second: str


def conditions(found: Sensitivity) -> list[Condition]:
    """Every axis under every value of every other; regimes are told apart as everywhere."""
    groups: dict[tuple[Axis, str, Axis, str], list[tuple[float, str, str]]] = {}
    for one in found.comparisons:
        rho = float(comparable(one.values[0, 0]))
        for held in found.axes:
            value = one.first.value(held)
            if held not in (one.axis, "shots") and value == one.second.value(held) and value in found.axes[held]:
                words = one.first.value(one.axis), one.second.value(one.axis)
                groups.setdefault((one.axis, one.regime, held, value), []).append((rho, *words))
    rows = []
    for key, all_rows in groups.items():
        own = [row for row in all_rows if np.isfinite(row[0])]
        if own:
            least = min(own)
            rows.append(Condition(*key, len(own), float(np.mean([rho for rho, *_ in own])), *least))
    order = list(found.axes)
    rows.sort(key=lambda row: (order.index(row.axis), order.index(row.held), found.axes[row.held].index(row.value)))
    return rows


def verdicts(found: Sensitivity) -> list[str]:
    """A sentence or two for every axis and regime: does the ranking change, between what, and is that real?"""
    return [
        _sentences(found, axis, regime, own)
        for axis in found.axes
        for regime, own in _by_regime(found, axis)
        if any(one.spearman.value is not None for one in own)
    ]


def _by_regime(found: Sensitivity, axis: Axis) -> Iterator[tuple[str, list[Agreement]]]:
    macro = [one for one in found.agreements if one.axis == axis and one.scope == "macro"]
    for regime in dict.fromkeys(one.regime for one in macro):
        yield regime, [one for one in macro if one.regime == regime]


def _sentences(found: Sensitivity, axis: Axis, regime: str, own: list[Agreement]) -> str:
    known = [(float(comparable(one.spearman.value)), one) for one in own if one.spearman.value is not None]
    rho, worst = min(known, key=lambda pair: pair[0])
    how = "hardly changes" if reaches(rho, STEADY) else "changes somewhat" if reaches(rho, CHANGED) else "changes"
    between = f"{value_words(axis, worst.first)} and {value_words(axis, worst.second)}"
    where = {"full": "At full data the", ALL: "The"}.get(regime, f"At {regime.replace('shot', '-shot')} the")
    text = f"{where} ranking {how} with {SUBJECTS[axis]}: lowest Spearman {rho:.2f} between {between}"
    if worst.num_contexts > 1:
        text += f", the mean over {worst.num_contexts} ways to hold the rest"
        if worst.lowest is not None and worst.lowest < rho - 0.05:
            text += f" ({worst.lowest:.2f} with {worst.lowest_at})"
    return f"{text}. {_flips(own)}"


def _flips(own: list[Agreement]) -> str:
    pairs, flips = sum(one.num_pairs for one in own), sum(one.num_flips for one in own)
    if not flips:
        return f"No two encoders change order in {pairs:,} comparisons."
    text = f"Of {pairs:,} comparisons of two encoders {flips:,} ({flips / pairs:.0%}) change order"
    if own[0].num_real is None:
        return f"{text}."
    real = sum(one.num_real or 0 for one in own)
    return f"{text}, {real:,} of them beyond chance in both settings."
