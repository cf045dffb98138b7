"""What tables, pages and the JSON show of runs, computed once; and what must be said beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from geneb_jax.report.marks import MARKS, signs_of
from geneb_jax.report.naming import encoder_name, series_name
from geneb_jax.report.reading import Reading
from geneb_jax.run.controls import control_sentence
from geneb_jax.run.runs import Runs
from geneb_jax.stats.aggregate import FLOOR_FAMILY, Aggregate, Metric, Series, TaskScore, aggregate, task_scores
from geneb_jax.stats.marks import LEAKED, UNREAD
from geneb_jax.status import Status

METRIC_LINES: Final[Mapping[str, str]] = {
    "mcc": "Scores are MCC (Matthews correlation): 1 is perfect, 0 as good as guessing, -1 always wrong.",
    "accuracy": "Scores are accuracy: the share of test sequences given their true class.",
    "macro_f1": "Scores are macro-F1: the mean over classes of the F1 score, 1 is perfect.",
}


WEAK_FLOOR: Final = (
    "They are word frequencies, which an unscaled probe hardly uses: a weak floor. Counts are a stronger one; add "
    "kmer:6,counts=true."
)


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
        self._by_mean: dict[tuple[Series, str], list[TaskScore]] = {}
        for score in self.scores:
            self._by_mean.setdefault((score.series, score.regime), []).append(score)
        self.statuses: Counter[Status] = Counter()
        for one in self.aggregates:
            self.statuses.update(one.statuses)

    def marks(self, found: Aggregate | TaskScore, category: str | None = None) -> frozenset[str]:
        """The names of the marks of a task's score, of a mean, or of a category of it: those of all its tasks."""
        own = [found] if isinstance(found, TaskScore) else self._by_mean.get((found.series, found.regime), [])
        return self._marks_of([one for one in own if category in (None, self._kind(one))])

    def _kind(self, one: TaskScore) -> str:
        return self.runs.meta.suite.categories.get(one.task, one.category)

    def _marks_of(self, scores: Iterable[TaskScore]) -> frozenset[str]:
        marks: set[str] = set()
        for one in scores:
            meta = self.runs.meta.tasks.get(one.task)
            marks |= one.marks | ({LEAKED} if meta is not None and meta.leaked and one.num_scores else set())
            marks |= {UNREAD} if self.reading.is_marked(one.series.encoder_digest, one.task) else set()
        return frozenset(marks)

    def marks_at(self, series: Series, regime: str, scope: str, name: str) -> frozenset[str]:
        """The names of the marks of one series in one regime: on a task, in a category, or in a mean of all."""
        own = self._by_mean.get((series, regime), [])
        if scope == "task":
            own = [one for one in own if one.task == name]
        elif scope == "category":
            own = [one for one in own if self._kind(one) == name]
        return self._marks_of(own)

    def signs(self, found: Aggregate | TaskScore, category: str | None = None) -> str:
        """The signs of `marks`."""
        return signs_of(self.marks(found, category))

    @property
    def floor_sentence(self) -> str:
        """Over what gains are counted, by name; and what is wrong with a floor of word frequencies alone."""
        floors = [one for one in self.runs.meta.encoders if one.family == FLOOR_FAMILY]
        held = {series.encoder_digest for series in self.series}
        names = ", ".join(one.name for one in floors if one.digest in held)
        line = f"vs k-mer: gain over the best of the k-mer encoders here by macro ({names}), which need no training."
        scaled = any(probe.get("standardize") for probe in self.runs.meta.settings.probes)
        if scaled or any(one.settings.get("counts") for one in floors):
            return line
        return f"{line} {WEAK_FLOOR}"

    def name(self, series: Series) -> str:
        """Name of a series: its encoder, and whatever else tells it from the others of these runs."""
        return series_name(series, self.series)

    def encoder(self, series: Series) -> str:
        """The encoder's name, with a part of its digest where two of these runs share it."""
        return encoder_name(series, self.series)


def control_lines(runs: Runs) -> list[str]:
    """What must be said beside every score of a control."""
    done = control_sentence(runs.parts[0].meta.suite.name)
    return [f"Control: {done}. These are no scores of the encoders, but what real ones must exceed."] if done else []


def leak_lines(runs: Runs, limit: int = 3) -> list[str]:
    """Which tasks have test rows that stand in train, the worst first: said above every table of their scores."""
    held = set(runs.records["task"].to_pylist())
    found = {task: meta for task, meta in runs.meta.tasks.items() if task in held and meta.leaked}
    if not found:
        return []
    worst = sorted(found, key=lambda task: -(found[task].leaked or 0) / max(1, found[task].n_test))
    named = [f"{runs.meta.suite.labels.get(task, task)}: {found[task].leak_sentence}" for task in worst[:limit]]
    more = f"; and {len(worst) - limit} more task{'s' * (len(worst) - limit != 1)}" if len(worst) > limit else ""
    return [
        f"Leaks, marked {MARKS[LEAKED][0]}: {'; '.join(named)}{more}. Such rows reward memory; `geneb leakage` scores "
        "without them."
    ]


def degenerate_lines(runs: Runs) -> list[str]:
    """Which encoders have scores that are 0 by rule, and on which tasks."""
    by_label = {status.label: status for status in Status if status.is_degenerate}
    columns = runs.records.select(["status", "encoder", "task"]).to_pydict()
    lines = []
    for label, status in by_label.items():
        found = [
            (encoder, task) for own, encoder, task in zip(*columns.values(), strict=True) if own == label
        ]  # fmt: skip
        encoders, tasks = (list(dict.fromkeys(names)) for names in zip(*found, strict=True)) if found else ([], [])
        if found:
            lines.append(
                f"{status.mark} {len(found)} fit{'s' * (len(found) != 1)} of {', '.join(encoders[:4])}"
                f"{' …' * (len(encoders) > 4)} on {', '.join(tasks[:4])}{' …' * (len(tasks) > 4)} "
                f"{'are' if len(found) != 1 else 'is'} {label.replace('_', ' ')}: such scores are 0 by rule."
            )
    return lines


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
