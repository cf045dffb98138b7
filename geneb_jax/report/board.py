"""What tables, pages and the JSON show of runs, computed once; and what must be said beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from geneb_jax.report.naming import encoder_name, series_name
from geneb_jax.report.reading import Reading
from geneb_jax.run.controls import control_sentence
from geneb_jax.run.runs import Runs
from geneb_jax.stats.aggregate import FLOOR_FAMILY, Aggregate, Metric, Series, TaskScore, aggregate, task_scores
from geneb_jax.status import Status

METRIC_LINES: Final[Mapping[str, str]] = {
    "mcc": "Scores are MCC (Matthews correlation): 1 is perfect, 0 as good as guessing, -1 always wrong.",
    "accuracy": "Scores are accuracy: the share of test sequences given their true class.",
    "macro_f1": "Scores are macro-F1: the mean over classes of the F1 score, 1 is perfect.",
}
DEFAULT_C: Final = "§"
"""The sign behind scores of probes whose C could not be chosen on held-out rows."""


class Board:
    """Everything that tables, pages and the JSON show, computed once from runs."""

    def __init__(self, runs: Runs, metric: Metric = "mcc") -> None:
        self.runs = runs
        self.metric: Metric = metric
        self.reading = Reading(runs)
        self.scores = task_scores(runs.records, metric)
        floors = [e.digest for e in runs.meta.encoders if e.family == FLOOR_FAMILY]
        self.aggregates = aggregate(self.scores, runs.meta.suite.categories, floors=floors)
        self.regimes = list(dict.fromkeys(a.regime for a in self.aggregates))
        self.series = list(dict.fromkeys(a.series for a in self.aggregates))
        self.statuses: Counter[Status] = Counter()
        for one in self.aggregates:
            self.statuses.update(one.statuses)

    def name(self, series: Series) -> str:
        """Name of a series: its encoder, and whatever else tells it from the others of these runs."""
        return series_name(series, self.series)

    def encoder(self, series: Series) -> str:
        """The encoder's name, with a part of its digest where two of these runs share it."""
        return encoder_name(series, self.series)

    def marks(self, found: Aggregate | TaskScore) -> str:
        """`marks_of`, and that of letters that were not read."""
        return marks_of(found) + self.reading.mark(found)


def control_lines(runs: Runs) -> list[str]:
    """What must be said beside every score of a control."""
    done = control_sentence(runs.parts[0].meta.suite.name)
    return [f"Control: {done}. These are no scores of the encoders, but what real ones must exceed."] if done else []


def partial_lines(board: Board) -> list[str]:
    """What must be said beside every aggregate of a suite of which some tasks have no score."""
    lines = []
    for regime in board.regimes:
        rows = [a for a in board.aggregates if a.regime == regime]
        line = _partial_line(rows, board.runs.meta.suite.name)
        if line and line not in lines:
            lines.append(line)
    return lines


def _partial_line(rows: Sequence[Aggregate], suite: str) -> str | None:
    worst = min(rows, key=lambda a: a.num_tasks)
    if not worst.partial:
        return None
    against = "the published board" if suite == "geneb" else "scores over the whole suite"
    scope = f"{worst.num_tasks} of {worst.num_in_suite} tasks"
    if len({a.missing for a in rows}) > 1:
        scope = f"encoders have scores on different tasks, the fewest on {scope}"
    have = len(worst.categories)
    return (
        f"Partial: {scope}; macro over {have} of {worst.num_categories_in_suite} categories: "
        f"not comparable with {against}."
    )


def failures(board: Board, limit: int = 8) -> list[str]:
    """One line per (encoder, task) without any score, with what went wrong."""
    lines = dict.fromkeys(
        f"✗ {board.name(s.series)}, {s.task}: {s.message or max(s.statuses).sentence}"
        for s in board.scores
        if s.mean is None
    )
    shown = list(lines)[:limit]
    return shown + ([f"✗ … and {len(lines) - limit} more, see records.parquet"] if len(lines) > limit else [])


def marks_of(found: Aggregate | TaskScore) -> str:
    """The signs of every status that occurs, and of a C that could not be chosen."""
    marks = "".join(dict.fromkeys(s.mark for s in sorted(found.statuses) if s.mark))
    return marks + DEFAULT_C * bool(found.num_default)
