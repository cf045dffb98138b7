"""The sentences of a report: what the data say, how it was found, what the signs mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from geneb_jax.published import SizeVersion
from geneb_jax.report.claims import ADJUSTED, TIED, alpha
from geneb_jax.report.marks import MARKS
from geneb_jax.report.web.content import OF_RUN, Cell, Entrant, Place, regime_words
from geneb_jax.run.runs import Runs
from geneb_jax.stats.resampled import Resampled
from geneb_jax.stats.ties import best_first
from geneb_jax.status import Status

NO_INTERVALS: Final = (
    "No intervals",
    "The board publishes means over five seeds without intervals or predictions, so its scores are points: what "
    "other test rows would say of two of its models cannot be told. Over tasks they can be tested: `geneb compare "
    "--published`.",
)
NOT_RESAMPLED: Final = (
    "No intervals",
    "Intervals were switched off: scores are points, and ties are not told. Without --no-intervals they are.",
)
BESIDE: Final = (
    "Side by side",
    "The board was made with the stock scikit-learn harness, which stops before the optimum; scores of runs are optima "
    "unless their engine is sklearn-stock or sklearn. Ranks count every line, ours and the board's, by its point.",
)
TIE_SIGN: Final = ("=", TIED)


def headline(regime: str, metric: str, cells: Mapping[str, Cell], entrants: Collection[Entrant], level: float) -> str:
    """Who leads in a regime by macro score, and who cannot be told from it, in one sentence."""
    names = {e.key: e.name for e in entrants}
    scored = best_first(
        (key for key, c in cells.items() if c.value is not None), lambda key: cells[key].value, names.__getitem__
    )
    if not scored:
        return f"With {regime_words(regime)} no encoder has a score."
    best, *rest = scored
    cell = cells[best]
    start = f"With {regime_words(regime)}, {names[best]} has the highest macro {metric}, {cell.value:.3f}{cell.marks}"
    if cell.low is not None and cell.high is not None:
        start += f" ({level:.0%} interval {cell.low:.3f} to {cell.high:.3f})"
    if not rest:
        return start + "."
    origins = {e.origin for e in entrants}
    if cell.tied is None and cell.low is not None and len(origins) == 1:
        return f"{start}. The resamples are too few to tell whether any other is worse."
    if cell.tied is None:
        followers = " and ".join(f"{names[key]} ({cells[key].value:.3f}{cells[key].marks})" for key in rest[:2])
        if origins == {OF_RUN}:
            return f"{start}, before {followers}. Nothing was resampled, so whether this order is real is left open."
        return f"{start}, before {followers}. Published scores are points: other test rows may order them otherwise."
    tied = [key for key in rest if cells[key].tied]
    if not tied:
        others = "the other one" if len(rest) == 1 else f"each of the {len(rest)} others"
        return f"{start}; {others} is worse, at {alpha(level)}, {ADJUSTED}."
    if len(rest) == 1:
        return f"{start}; the other one, {names[rest[0]]}, cannot be told from it."
    named = f" ({', '.join(names[key] for key in tied)})" if len(tied) < 4 else ""
    return f"{start}; {len(tied)} of the {len(rest)} others cannot be told from it{named}."


def method_lines(resampled: Resampled | None) -> tuple[tuple[str, str], ...]:
    """How the intervals and ranks of runs were made."""
    if resampled is None:
        return (NOT_RESAMPLED,)
    intervals = (
        f"{resampled.level:.0%}, BCa bootstrap, {resampled.resamples:,} resamples, the same for every encoder. "
        f"{' '.join(f'In {line}' for line in resampled.varied)} Nothing is fitted again."
    )
    if resampled.comparison is None:
        return (("Intervals", intervals),)
    ranks = (
        f"The interval holds the places that no paired difference at {alpha(resampled.level)} rules out, {ADJUSTED}. "
        f"{TIE_SIGN[0]} marks encoders {TIED.replace(':', ', which means that', 1)}."
    )
    return ("Intervals", intervals), ("Ranks", ranks)


def size_line(version: SizeVersion) -> tuple[str, str]:
    """Which of the two published sizes are shown."""
    source = {"board": "the board as it stands today", "paper": "the first version of the paper"}[version]
    return "Sizes", f"Those of published models are from {source}; the two sources differ for some models."


def legend(runs: Runs, cells: Mapping[str, Mapping[Place, Mapping[str, Cell]]]) -> tuple[tuple[str, str], ...]:
    """(sign, meaning) of every mark that occurs: how fits ended, what weakens an interval, ties."""
    shown = [c for places in cells.values() for held in places.values() for c in held.values()]
    marks = {sign for cell in shown for sign in cell.marks}
    absent = {status.label for status in Status} - set(runs.records["status"].to_pylist())  # some share a sign
    found = [text for name, text in MARKS.items() if text[0] in marks and name not in absent]
    found += [TIE_SIGN] if any(cell.tied for cell in shown) else []
    return tuple(found)
