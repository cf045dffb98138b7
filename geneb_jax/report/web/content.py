"""What a report and a site show, gathered once from stats and then only laid out: no statistic is computed after that.

A *place* is where a score belongs: ``("macro", "macro")``, ``("micro", "micro")``, ``("category", NAME)`` or
``("task", ID)``, with the scopes of `geneb_jax.stats.uncertainty`. An *entrant* is a line of the leaderboard: a model
of the official board, or one series of a run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from geneb_jax.stats.means import Scope
from geneb_jax.stats.ties import best_first

Place = tuple[Scope, str]
MACRO: Final[Place] = ("macro", "macro")
MICRO: Final[Place] = ("micro", "micro")
OF_RUN, OF_BOARD = "run", "official board"
"""Where an entrant's scores come from."""


@dataclass(frozen=True)
class Cell:
    """A score: `std` over draws, `low` … `high` its interval, `rank_low` … `rank_high` that of its rank.

    `tied`: not told from the best; None where nothing was tested. `gain` counts from the best k-mer encoder.
    `num_tasks` of `num_in_suite` tasks are in a mean.
    """

    value: float | None
    rank: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    rank_low: float | None = None
    rank_high: float | None = None
    tied: bool | None = None
    gain: float | None = None
    marks: str = ""
    num_tasks: int = 1
    num_in_suite: int = 1


@dataclass(frozen=True)
class Entrant:
    """One line of the leaderboard. `origin` is OF_RUN or OF_BOARD; `kind` groups it in charts; `facts` are (name, text)
    of its own page.
    """

    key: str
    name: str
    origin: str
    kind: str
    params: int | None = None
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskEntry:
    """One task, and what is known of its data."""

    key: str
    id: str
    label: str
    category: str
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A small table for people: `rows` of text under `heads`; the first `left` columns are names."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    note: str = ""
    left: int = 1


@dataclass(frozen=True)
class Content:
    """Everything shown. `cells[regime][place][entrant key]`; `headlines` is a sentence per regime.

    `frontier` holds the keys on the Pareto frontier of size and score; `legend` is (sign, meaning) of every mark that
    occurs; `audit` and `provenance` are tables; `sensitivity` the content of ``sensitivity.json``.
    """

    title: str
    subtitle: str
    metric: str
    metric_line: str
    regimes: tuple[str, ...]
    categories: Mapping[str, int]
    entrants: tuple[Entrant, ...]
    tasks: tuple[TaskEntry, ...]
    cells: Mapping[str, Mapping[Place, Mapping[str, Cell]]]
    headlines: Mapping[str, str]
    frontier: Mapping[tuple[str, Place], frozenset[str]]
    method: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    audit: tuple[Table, ...] = ()
    provenance: tuple[Table, ...] = ()
    sensitivity: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """The means that a leaderboard shows: macro, micro, categories."""
        return (MACRO, MICRO, *(("category", name) for name in self.categories))

    @cached_property
    def is_mixed(self) -> bool:
        """Whether runs stand among models of the board."""
        return len({entrant.origin for entrant in self.entrants}) > 1

    @cached_property
    def has_intervals(self) -> bool:
        """Whether any score has one."""
        return any(c.low is not None for places in self.cells.values() for c in places.get(MACRO, {}).values())

    @cached_property
    def has_marks(self) -> bool:
        """Whether something is to be said of some mean."""
        return any(cell.marks for held in self.cells.values() for own in held.values() for cell in own.values())

    def cell(self, regime: str, place: Place, key: str) -> Cell:
        """The score of an entrant, an empty one where it has none."""
        return self.cells[regime].get(place, {}).get(key, _NO_SCORE)

    def ordered(self, regime: str, place: Place = MACRO) -> list[Entrant]:
        """Entrants with a score in the regime, best first."""
        held = self.cells[regime].get(place, {})
        found = [e for e in self.entrants if e.key in held]
        return best_first(found, lambda e: held[e.key].value, lambda e: f"{e.name} {e.key}")


_NO_SCORE: Final = Cell(None)
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_KEY: Final = 80


def key_of(name: str, identity: str = "") -> str:
    """A file name and anchor for any name; a digest of name and identity is added where the name alone will not do."""
    plain = _UNSAFE.sub("-", name).strip("-.")[:_LONGEST_KEY]
    if plain == name and not identity:
        return plain
    digest = hashlib.sha256("\0".join((name, identity)).encode()).hexdigest()[:8]
    return f"{plain or 'name'}-{digest}"


def regime_words(regime: str) -> str:
    """The regime in a few words, for headings."""
    if regime == "full":
        return "all training sequences"
    shots = regime.removesuffix("shot")
    return f"{shots} training sequence{'s' * (shots != '1')} per class"


def regime_name(regime: str) -> str:
    """The regime's name for people."""
    return "Full data" if regime == "full" else regime.replace("shot", "-shot")


def place_name(place: Place, metric: str) -> str:
    """What a place's score is called in a sentence."""
    scope, name = place
    return f"{scope} {metric}" if scope in ("macro", "micro") else f"{metric} in {name}"
