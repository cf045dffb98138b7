"""Where the differences between scores come from: balanced analysis of variance, by sums of squares.

The model of one axis in one context (everything else held) is

    y = mean + encoder + task + axis + encoder × task + encoder × axis + task × axis + encoder × task × axis
        + draw(task) + encoder × draw + axis × draw + encoder × axis × draw

Draws are nested in tasks (every task has draws of its own, the same for all encoders and settings); all else is
crossed. Without draws, as at full data, the three-way interaction is the residual. A term's effects are the
differences of means that inclusion and exclusion leave; its sum of squares SS is that of its effects over all scores,
its degrees of freedom df their number; sums of squares add up to the total. All terms are taken as random, so the
expected mean square of a term G is Σ over terms H that contain G of c_H σ²_H, with c_H the number of scores that share
one effect of H; solved from the largest term down it gives the variance components σ². They can come out negative,
which says "no more than chance", and stay so in the results.

Source: Searle, Casella & McCulloch, Variance Components (1992), chapter 4; Henderson's analysis-of-variance estimator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np

from geneb_jax.axes import NumpyFloat


@dataclass(frozen=True)
class Term:
    """One term: its factors joined by " × ", degrees of freedom, sum of squares and variance component."""

    name: str
    df: int
    ss: float
    component: float


def decompose(y: NumpyFloat, factors: Sequence[str], nested: Mapping[str, str] | None = None) -> list[Term]:
    """The terms of a balanced array with one dimension per factor; `nested` maps a factor to the one it lies in.

    A factor with a single level takes part in no term.
    """
    inside = dict(nested or {})
    kept = [factor for factor, size in zip(factors, y.shape, strict=True) if size > 1]
    y = np.asarray(y, np.float64).reshape([size for size in y.shape if size > 1])
    sizes = dict(zip(kept, y.shape, strict=True))
    # a factor inside another stands in a term only together with it, unless that one has a single level
    inside = {factor: outer for factor, outer in inside.items() if factor in kept and outer in kept}
    terms = [
        term
        for count in range(1, len(kept) + 1)
        for term in combinations(kept, count)
        if all(inside[f] in term for f in term if f in inside)
    ]
    found = {term: _sum_of_squares(y, kept, term, inside) for term in terms}
    components: dict[tuple[str, ...], float] = {}
    for term in reversed(terms):
        ss, df = found[term]
        above = sum(_share(y, sizes, other) * components[other] for other in components if set(term) < set(other))
        components[term] = (ss / df - above) / _share(y, sizes, term)
    return [
        Term(" × ".join(f for f in term if f not in _parents(term, inside)), df, ss, components[term])
        for term, (ss, df) in found.items()
    ]


def _share(y: NumpyFloat, sizes: Mapping[str, int], term: Sequence[str]) -> float:
    """Scores that share one effect of a term."""
    return y.size / prod(sizes[f] for f in term)


def _parents(term: Sequence[str], inside: Mapping[str, str]) -> set[str]:
    return {inside[f] for f in term if f in inside}


def _sum_of_squares(
    y: NumpyFloat, factors: Sequence[str], term: Sequence[str], inside: Mapping[str, str]
) -> tuple[float, int]:
    """(SS, df) of a term: Σ (-1)^|dropped| of the means over all that is not in it, dropping what may be dropped."""
    parents = _parents(term, inside)
    live = [f for f in term if f not in parents]
    effect = np.zeros([1] * y.ndim)
    for count in range(len(live) + 1):
        for dropped in combinations(live, count):
            left = tuple(i for i, f in enumerate(factors) if f not in term or f in dropped)
            effect = effect + (-1) ** count * y.mean(axis=left, keepdims=True)
    df = prod(y.shape[factors.index(f)] - (f in live) for f in term)
    return float((effect**2).sum() * (y.size / effect.size)), df
