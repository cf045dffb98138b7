"""What intervals and tests let vary and what they held fixed, regime by regime: for headlines, pages and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from geneb_jax.stats.bootstrap import Source
from geneb_jax.stats.samples import TaskSample

AnySource = Literal["rows", "draws", "both", "tasks"]

MANY: Final = 30
"""Draws from which on Student's t is as good as normal, and not mentioned."""


@dataclass(frozen=True)
class Varied:
    """Of one regime: the source in effect, the fewest and the most draws of a series and task, and both sides in words.

    `source` is "none" where draws were to vary and there is a single fit.
    """

    regime: str
    source: AnySource | Literal["none"]
    draws: tuple[int, int]
    varies: str
    held: str

    @property
    def words(self) -> str:
        """Both sides as a sentence, without the regime."""
        return f"{self.varies} {'varies' if self.source == 'none' else 'vary'}; held fixed: {self.held}."


class Samples(Iterator[TaskSample]):
    """Samples that keep, as they go by, how many draws each regime has."""

    def __init__(self, samples: Iterable[TaskSample]) -> None:
        self._samples = iter(samples)
        self._draws: dict[str, set[int]] = {}

    def __next__(self) -> TaskSample:
        sample = next(self._samples)
        for unit in sample.units:
            self._draws.setdefault(unit.regime, set()).add(len(unit.draws))
        return sample

    def varied(self, source: AnySource) -> list[Varied]:
        """What varied in every regime that went by."""
        return [what_varied(source, regime, min(own), max(own)) for regime, own in self._draws.items()]


def effective(source: Source, draws: int) -> Source | Literal["none"]:
    """What varies of a score with so many draws: a single fit has no variance of draws."""
    if draws > 1 or source == "rows":
        return source
    return "rows" if source == "both" else "none"


def what_varied(source: AnySource, regime: str, fewest: int, most: int) -> Varied:
    """What varied in one regime whose series have `fewest` to `most` draws."""
    number = str(most) if fewest == most else f"{fewest} to {most}"
    draws = f"these {number} draws" if most > 1 else "the one fit of each task" if regime == "full" else "this one draw"
    if source == "tasks":
        varies = "tasks, each with test rows of its own (for macro and categories within their category),"
        return Varied(regime, source, (fewest, most), varies, f"the categories, {draws}")
    own = effective(source, most)
    scale = f" (Student's t, {fewest - 1} degrees of freedom)" if 1 < fewest < MANY else ""
    part = f"the draws{scale}"
    if 1 == fewest < most:
        part += " where there are several"
    if own == "none":
        return Varied(regime, own, (fewest, most), "nothing", f"the tasks, their test rows, {draws}")
    varies, held = {
        "rows": ("the test rows", f"the tasks, {draws}"),
        "draws": (part, "the tasks, their test rows"),
        "both": (f"the test rows and {part}", "the tasks"),
    }[own]
    return Varied(regime, own, (fewest, most), varies, held)


def varied_lines(found: Sequence[Varied]) -> list[str]:
    """A line for the regimes of which the same is to be said."""
    by_words: dict[str, list[str]] = {}
    for one in found:
        by_words.setdefault(one.words, []).append(one.regime)
    return [f"{', '.join(regimes)}: {words}" for words, regimes in by_words.items()]


def varied_json(one: Varied) -> dict[str, object]:
    """For JSON, beside a score or a regime."""
    return {"source": one.source, "draws": list(one.draws), "varies": one.varies, "held_fixed": one.held}
