"""When two scores are equal, and in what order equal ones stand: one rule for whatever ranks, sorts, counts or names.

A mean over tasks has another last bit when its tasks are added up in another order, by another engine or on another
processor. So scores are compared as multiples of 2⁻⁴⁰, about 1e-12: the rounding of a mean over thousands of scores is
a thousandth of that, and it is far below what any score can show. (A power of two, not a decimal: no mean of fractions
of counts lies half way between two of its multiples, where rounding would decide again.) Differences of such multiples
are exact, so an equal pair differs by 0. Against a limit that is no score (0.02, a p-value's 0.05) two of these steps
count as equal.

Equal scores share a rank. Where a list must have an order, or a sentence one name, equal ones stand by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import numpy as np

from geneb_jax.axes import NumpyBool, NumpyFloat, NumpyInt

UNITS: Final = 2.0**40
"""Steps per unit of score."""

_T = TypeVar("_T")


def comparable(values: NumpyFloat | np.floating | float) -> NumpyFloat:
    """Scores as multiples of 1/`UNITS`; what is no number stays so."""
    return np.asarray(np.rint(np.asarray(values, np.float64) * UNITS) / UNITS)


def best_first(items: Iterable[_T], score: Callable[[_T], float | None], name: Callable[[_T], str]) -> list[_T]:
    """Items by score, highest first, equal ones by name, those without a score last."""

    def key(item: _T) -> tuple[bool, float, str]:
        value = score(item)
        return value is None, 0.0 if value is None else -float(comparable(value)), name(item)

    return sorted(items, key=key)


def order_of(values: NumpyFloat, names: Sequence[str]) -> NumpyInt:
    """The rows of scores (n, ...) from the highest to the lowest along the first axis, equal ones by name; NaN last."""
    by_name = np.argsort(np.asarray(names), kind="stable")
    order = np.argsort(-comparable(values)[by_name], axis=0, kind="stable")
    return np.asarray(by_name[order])


def leaders(values: NumpyFloat, axis: int = -1) -> NumpyBool:
    """Which scores no other one along an axis exceeds."""
    scores = comparable(values)
    found: NumpyBool = scores == scores.max(axis=axis, keepdims=True)
    return found


def above(value: NumpyFloat | float, limit: NumpyFloat | float) -> NumpyBool:
    """Whether a value exceeds a limit by more than rounding; what lies at the limit does not."""
    found: NumpyBool = np.subtract(value, limit) > 2 / UNITS
    return found


def reaches(value: NumpyFloat | float, limit: NumpyFloat | float) -> NumpyBool:
    """Whether a value is at least a limit, up to rounding; what lies at the limit does."""
    found: NumpyBool = np.subtract(value, limit) >= -2 / UNITS
    return found
