"""The means that GENEB reports, from sums over the tasks of each category: one pass, whatever is added up.

What is summed may be a number, an array or a `geneb_jax.stats.bootstrap.Distribution`: anything with ``+`` and ``*``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import add
from typing import Any, Generic, Literal, NamedTuple, Protocol, Self, TypeVar

from geneb_jax.stats.aggregate import Series

Scope = Literal["task", "category", "macro", "micro"]


class Summable(Protocol):
    """What can be added up and weighted."""

    def __add__(self, other: Any, /) -> Self: ...
    def __mul__(self, share: float, /) -> Self: ...


_T = TypeVar("_T", bound=Summable)


class Mean(NamedTuple, Generic[_T]):
    """A weighted sum over the tasks of some categories, and how many tasks those are."""

    scope: Scope
    name: str
    value: _T
    num_tasks: int


class CategorySums(Generic[_T]):
    """Sums over tasks, category by category."""

    def __init__(self) -> None:
        self._sums: dict[str, _T] = {}
        self._sizes: Counter[str] = Counter()

    @property
    def num_tasks(self) -> int:
        """Tasks added so far."""
        return self._sizes.total()

    def add(self, category: str, value: _T) -> None:
        """Add a task's value."""
        self._sums[category] = self._sums[category] + value if category in self._sums else value
        self._sizes[category] += 1

    def means(self) -> Iterator[Mean[_T]]:
        """Every category's mean, then macro, the mean of these, and micro, the mean of all tasks."""
        for category in self._sums:
            yield self._mean("category", category, {category: 1 / self._sizes[category]})
        yield self._mean("macro", "macro", {c: 1 / (self._sizes[c] * len(self._sizes)) for c in self._sums})
        yield self._mean("micro", "micro", dict.fromkeys(self._sums, 1 / self.num_tasks))

    def _mean(self, scope: Scope, name: str, shares: Mapping[str, float]) -> Mean[_T]:
        value = reduce(add, (self._sums[category] * share for category, share in shares.items()))
        return Mean(scope, name, value, sum(self._sizes[category] for category in shares))


class Common(NamedTuple, Generic[_T]):
    """Of one regime: its series, and the means over the tasks that all of them have; the tasks that some lack."""

    series: tuple[Series, ...]
    means: list[Mean[_T]]
    left_out: list[str]


class CommonSums(Generic[_T]):
    """Sums over the tasks that all series of a regime have, when only the last task shows which series there are.

    Tasks are summed by the series that they have; in the end the sums of those with all series count.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, tuple[Series, ...]], CategorySums[_T]] = {}
        self._tasks: dict[str, dict[str, tuple[Series, ...]]] = {}

    def add(self, regime: str, task: str, category: str, series: tuple[Series, ...], value: _T | None) -> None:
        """Add the value of a task, which is about these series in an order that is always the same.

        None where nothing was computed, since there is nothing to compare with a single series.
        """
        self._tasks.setdefault(regime, {})[task] = series
        if value is not None:
            self._sums.setdefault((regime, series), CategorySums()).add(category, value)

    def common(self) -> dict[str, Common[_T]]:
        """Of every regime in which at least two series, and all that there are, share a task."""
        found = {}
        for regime, tasks in self._tasks.items():
            everyone = set().union(*tasks.values())
            whole = next((series for series in tasks.values() if set(series) == everyone), ())
            if len(whole) > 1:
                left_out = [task for task, series in tasks.items() if series != whole]
                found[regime] = Common(whole, list(self._sums[regime, whole].means()), left_out)
        return found
