"""What few-shot draws add to the uncertainty of scores: deviations by seed, and the row noise that hides in them.

A score is a mean over K draws, all scored on the same test rows. Of one draw it is

    score = true mean + effect of the draw + row noise that all draws share + row noise of this draw alone,

and the variance of the mean of K over new draws *and* new rows is

    common row variance + S/K,

with S the variance of the K scores around their mean. S already holds the row noise of a single draw, so of the rows
only what the draws share is added. A resample of rows with the draws held fixed has that and 1/K of the other part; the
second, `noise`, is taken out of it (`without_noise`). These are the components of Obuchowski & Rockette (1995), with
the draws in place of their readers.

Draws are crossed with tasks: one seed picks its rows in every task, so what a seed does is added up over tasks before
it is squared. `Deviations` therefore stay signed, by seed, until the end.

The variance of K draws is known with K - 1 degrees of freedom, so their part of a resample is multivariate t: normal
multipliers of the seeds, the same for all tasks and encoders, over the root of a common χ²/(K - 1). Together with the
rows that is the distribution of Behrens and Fisher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

import numpy as np
from scipy.stats import chi2

from geneb_jax.axes import NumpyFloat, NumpyInt

_DRAWS, _SCALE = 1, 4
"""Last part of a key: multipliers of a seed, and the common scale."""

_KEPT: Final = 1e-9
"""Directions with less than this share of the largest variance are rounding."""


@dataclass(frozen=True)
class Deviations:
    """Of U units the deviations (s, U) of every seed's score from the mean, over √(K(K-1)); their squares sum to S/K.

    `fewest` (U,) is K of the task with the fewest draws among those that have several; 0 where none has.
    """

    seeds: tuple[int, ...]
    values: NumpyFloat
    fewest: NumpyInt

    @classmethod
    def of(cls, scores: Sequence[NumpyFloat], seeds: Sequence[Sequence[int]]) -> Deviations:
        """From every unit's scores (K,) and the seeds of its draws; a unit with a single draw does not vary."""
        held = tuple(dict.fromkeys(seed for own in seeds if len(own) > 1 for seed in own))
        place = {seed: i for i, seed in enumerate(held)}
        values = np.zeros((len(held), len(scores)))
        for unit, (lanes, own) in enumerate(zip(scores, seeds, strict=True)):
            K = len(own)
            if K > 1:
                values[[place[seed] for seed in own], unit] = (lanes - lanes.mean()) / np.sqrt(K * (K - 1))
        return cls(held, values, np.array([len(own) if len(own) > 1 else 0 for own in seeds]))

    @property
    def covariance(self) -> NumpyFloat:
        """What the draws add to the covariance (U, U) of the units' means."""
        found: NumpyFloat = self.values.T @ self.values
        return found

    @property
    def variance(self) -> NumpyFloat:
        """What the draws add to the variance (U,) of the units' means."""
        found: NumpyFloat = (self.values**2).sum(axis=0)
        return found

    def resampled(self, seed: int, b: int) -> NumpyFloat:
        """What the draws add to b resamples (b, U), paired over units, tasks and whatever else has the same seeds."""
        if not self.seeds:
            return np.zeros((b, *self.values.shape[1:]))
        out = np.stack([_multipliers(seed, draw, b) for draw in self.seeds], axis=1) @ self.values
        for fewest in np.unique(self.fewest[self.fewest > 0]).tolist():
            scale = _scale(seed, b, fewest - 1).reshape(-1, *[1] * self.fewest.ndim)
            out *= np.where(self.fewest == fewest, scale, 1)
        return np.asarray(out)

    def __add__(self, other: Self) -> Deviations:
        seeds = tuple(dict.fromkeys((*self.seeds, *other.seeds)))
        both = np.stack([self.fewest, other.fewest])
        return Deviations(
            seeds,
            self._at(seeds) + other._at(seeds),
            np.where(both.min(axis=0) > 0, both.min(axis=0), both.max(axis=0)),
        )

    def __mul__(self, share: float) -> Deviations:
        return Deviations(self.seeds, share * self.values, self.fewest)

    def __getitem__(self, units: int | NumpyInt) -> Deviations:
        return Deviations(self.seeds, self.values[:, units], np.asarray(self.fewest[units]))

    def _at(self, seeds: tuple[int, ...]) -> NumpyFloat:
        if seeds == self.seeds:
            return self.values
        place = {seed: i for i, seed in enumerate(seeds)}
        out = np.zeros((len(seeds), *self.values.shape[1:]))
        out[[place[seed] for seed in self.seeds]] = self.values
        return out


@lru_cache(maxsize=256)
def _multipliers(seed: int, draw: int, b: int) -> NumpyFloat:
    return np.random.default_rng((seed, draw, _DRAWS)).standard_normal(b)


@lru_cache(maxsize=8)
def _scale(seed: int, b: int, df: int) -> NumpyFloat:
    """√(df/χ²) of b resamples; large ones are large for every df."""
    share = np.random.default_rng((seed, _SCALE)).random(b)
    return np.asarray(np.sqrt(df / chi2.ppf(share, df)))


def noise(lanes: Sequence[NumpyFloat], seeds: Sequence[Sequence[int]]) -> NumpyFloat:
    """The row noise (U, U) in the covariance of `Deviations`, from row resamples (b, K) of every unit's draws.

    It is what the covariance of the deviations would be if all draws were equally good.
    """
    by_seed: dict[int, list[tuple[int, NumpyFloat]]] = {}
    for unit, (drawn, own) in enumerate(zip(lanes, seeds, strict=True)):
        K = len(own)
        if K > 1:
            off = drawn - drawn.mean(axis=0)
            off = (off - off.mean(axis=1, keepdims=True)) / np.sqrt(K * (K - 1))
            for place, seed in enumerate(own):
                by_seed.setdefault(seed, []).append((unit, off[:, place]))
    found = np.zeros((len(lanes), len(lanes)))
    for held in by_seed.values():
        units = [unit for unit, _ in held]
        columns = np.stack([column for _, column in held], axis=1)
        found[np.ix_(units, units)] += columns.T @ columns / max(len(columns) - 1, 1)
    return found


def without_noise(values: NumpyFloat, estimate: NumpyFloat, hidden: NumpyFloat) -> NumpyFloat:
    """Row resamples (b, U) of means over draws with the covariance C - `hidden` (U, U) in place of their own, C.

    The linear map that moves them least (the optimal transport between two normal distributions): for one unit a
    factor. Directions in which more is hidden than there is are left without variance.
    """
    off = values - estimate
    C = np.atleast_2d(np.cov(off, rowvar=False))
    root, inverse = _roots(C)
    middle, _ = _roots(root @ (C - hidden) @ root)
    return np.asarray(estimate + off @ (inverse @ middle @ inverse))


def each_without_noise(values: NumpyFloat, estimate: NumpyFloat, hidden: NumpyFloat) -> NumpyFloat:
    """As `without_noise`, unit by unit with the noise (U,) of each: whatever other units there are changes nothing."""
    own = values.var(axis=0, ddof=1)
    factor = np.sqrt(np.clip(1 - hidden / np.where(own > 0, own, 1), 0, 1))
    return np.asarray(estimate + (values - estimate) * factor)


def _roots(matrix: NumpyFloat) -> tuple[NumpyFloat, NumpyFloat]:
    """The symmetric square root of the positive part of a matrix, and its pseudo-inverse."""
    sizes, axes = np.linalg.eigh((matrix + matrix.T) / 2)
    kept = sizes > _KEPT * max(float(sizes.max(initial=0.0)), 0.0)
    roots = np.sqrt(np.where(kept, sizes, 0))
    inverse = np.where(kept, 1 / np.where(kept, roots, 1), 0)
    return (axes * roots) @ axes.T, (axes * inverse) @ axes.T
