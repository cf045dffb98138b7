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
from geneb_jax.stats.intervals import holm, interval, p_value

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
    """The paired bootstrap test of a claim. `p_holm` is adjusted over all claims of the analysis that can be tested."""

    p: float
    p_holm: float
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

    def p(self) -> float | None:
        """Two-sided p of "the only value is 0"; None where nothing varies."""
        return None if self.resamples is None else float(p_value(self.resamples))

    def _places(self) -> NumpyInt:
        return np.arange(self.value.shape[0] if self.value.ndim else 1) if self.rows is None else self.rows

    def _complete(self, resamples: NumpyFloat) -> NumpyFloat:
        """Resamples of all rows (b, n, ...): those that do not vary stand as they are."""
        if self.rows is None:
            return resamples
        whole = np.repeat(self.value[None], len(resamples), axis=0)
        whole[:, self.rows] = resamples
        return whole


def claim_tests(p: Sequence[float | None], level: float = LEVEL) -> list[ClaimTest | None]:
    """Tests of several claims by their p-values, adjusted together; None where a claim has no p-value."""
    known = [i for i, one in enumerate(p) if one is not None]
    found: list[ClaimTest | None] = [None] * len(p)
    if known:
        values = np.array([p[i] for i in known], np.float64)
        for i, plain, adjusted in zip(known, values, holm(values), strict=True):
            found[i] = ClaimTest(float(plain), float(adjusted), bool(adjusted <= 1 - level))
    return found


def stacked(*parts: Sampled) -> Sampled:
    """Values (n, ...) of the same rows side by side on a new last axis; all vary, or none does."""
    resamples = [part.resamples for part in parts if part.resamples is not None]
    return Sampled(
        np.stack([part.value for part in parts], axis=-1),
        np.stack(resamples, axis=-1) if resamples else None,
        parts[0].rows,
    )
