"""Values together with their bootstrap resamples, so that whatever is computed of them carries an interval.

A statistic is a function of scores; the same function of every resample of these scores is the statistic's bootstrap
distribution. Published scores are points: they stand in every resample as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.stats.intervals import interval
from geneb_jax.stats.testing.multiple import all_pairs, family

LEVEL: Final = 0.95
BLOCK_NUMBERS: Final = 4_000_000
"""Numbers that a block of completed resamples may hold, so that whole boards fit into little memory."""


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its percentile interval; None where nothing in it was resampled."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ClaimTest:
    """The paired bootstrap test of a claim.

    `p_adjusted` is adjusted over all claims of the analysis that can be tested, by step-down max-T
    (`geneb_jax.stats.testing.multiple`); the claim survives where it is at most 1 - level.
    """

    p: float
    p_adjusted: float
    survives: bool


@dataclass(frozen=True, eq=False)
class Sampled:
    """Values (n, ...) and resamples (b, v, ...) of those in `rows` (v,); None: nothing varies, or all of it does."""

    value: NumpyFloat
    resamples: NumpyFloat | None = None
    rows: NumpyInt | None = None

    def each(self, function: Callable[[NumpyFloat], NumpyFloat]) -> Sampled:
        """A function of every row by itself, on the axes after the rows."""
        return Sampled(function(self.value), None if self.resamples is None else function(self.resamples), self.rows)

    def map(self, function: Callable[[NumpyFloat], NumpyFloat]) -> Sampled:
        """A function of all rows together; it works on the last axes and broadcasts over resamples in front."""
        if self.resamples is None:
            return Sampled(function(self.value))
        block = max(1, BLOCK_NUMBERS // max(self.value.size, 1))
        parts = [function(self._complete(self.resamples[i : i + block])) for i in range(0, len(self.resamples), block)]
        return Sampled(function(self.value), np.concatenate(parts))

    def estimate(self, level: float = LEVEL) -> Estimate:
        """The only value, with its interval."""
        return self.estimates(level)[0]

    def estimates(self, level: float = LEVEL) -> list[Estimate]:
        """Every value, with its interval where it varies."""
        value = np.atleast_1d(self.value)
        found = [Estimate(float(one)) for one in value]
        if self.resamples is None:
            return found
        low, high = interval(self.resamples.reshape(len(self.resamples), -1), value[self._places()], level=level)
        for place, ends in zip(self._places(), zip(low, high, strict=True), strict=True):
            found[place] = Estimate(found[place].value, *map(float, ends))
        return found

    def column(self, row: int) -> NumpyFloat | None:
        """Resamples (b,) of one row; None where it does not vary."""
        places = {int(place): i for i, place in enumerate(self._places())}
        if self.resamples is None or row not in places:
            return None
        column: NumpyFloat = self.resamples[:, places[row]]
        return column

    def difference(self, first: int, second: int) -> Sampled:
        """One row minus another, paired."""
        value = np.asarray(self.value[first] - self.value[second])
        ours, theirs = self.column(first), self.column(second)
        if ours is None and theirs is None:
            return Sampled(value)
        a = self.value[first] if ours is None else ours
        b = self.value[second] if theirs is None else theirs
        return Sampled(value, np.asarray(a - b))

    def _places(self) -> NumpyInt:
        return np.arange(self.value.shape[0] if self.value.ndim else 1) if self.rows is None else self.rows

    def _complete(self, resamples: NumpyFloat) -> NumpyFloat:
        """Resamples of all rows (b, n, ...): those that do not vary stand as they are."""
        if self.rows is None:
            return resamples
        whole = np.repeat(self.value[None], len(resamples), axis=0)
        whole[:, self.rows] = resamples
        return whole


def claim_tests(claims: Sequence[Sequence[Sampled]], level: float = LEVEL) -> list[ClaimTest | None]:
    """Tests of several claims, adjusted together; None where a claim cannot be tested.

    A claim is that some differences are not 0, each of a single value: usually one; of several, each must be told from
    0, so the largest of their p-values is that of the claim.
    """
    known = [i for i, parts in enumerate(claims) if parts and all(part.resamples is not None for part in parts)]
    found: list[ClaimTest | None] = [None] * len(claims)
    parts = [part for i in known for part in claims[i]]
    if parts:
        values = np.stack([part.resamples for part in parts if part.resamples is not None], axis=1)
        tests = family(np.array([float(part.value) for part in parts]), values, level=level)
        start = 0
        for i in known:
            own = slice(start, start + len(claims[i]))
            p = float(tests.p[own].max())
            found[i] = ClaimTest(float(tests.p_alone[own].max()), p, bool(tests.apart[own].all()))
            start = own.stop
    return found


def against_best(scores: Sampled, rows: Sequence[int], best: int, level: float = LEVEL) -> list[ClaimTest | None]:
    """Tests of `best` against each of `rows`, one of the rows themselves: None there, and where nothing varies.

    The best was picked by the same scores, so the family is all pairs of the rows, not those with the best alone.
    """
    first, second = all_pairs(len(rows))
    pairs = [(rows[i], rows[j]) for i, j in zip(first, second, strict=True)]
    found = claim_tests([[scores.difference(i, j)] for i, j in pairs], level)
    by_pair = {frozenset(pair): test for pair, test in zip(pairs, found, strict=True)}
    return [by_pair.get(frozenset((best, row))) for row in rows]


def stacked(*parts: Sampled) -> Sampled:
    """Values (n, ...) of the same rows side by side on a new last axis; all vary, or none does."""
    resamples = [part.resamples for part in parts if part.resamples is not None]
    return Sampled(
        np.stack([part.value for part in parts], axis=-1),
        np.stack(resamples, axis=-1) if resamples else None,
        parts[0].rows,
    )
