"""Runs as content: scores with their marks, and intervals, ranks and ties where they were resampled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from geneb_jax.report.tables import Board, marks_of
from geneb_jax.report.uncertainty import MARKS
from geneb_jax.report.web.content import MACRO, MICRO, OF_RUN, Cell, Entrant, Place, TaskEntry, key_of
from geneb_jax.run.controls import require_runs_of_one_control
from geneb_jax.run.directory import Run
from geneb_jax.run.presets import defect_of, require_runs_of_one_preset
from geneb_jax.stats.aggregate import Aggregate, Series
from geneb_jax.stats.compare import Comparison
from geneb_jax.stats.uncertainty import Score

Cells = dict[Place, dict[str, Cell]]


@dataclass(frozen=True)
class Resampled:
    """Intervals and comparisons of the runs; `comparison` is None where there is a single series.

    `varied` says what varied and what was held fixed, a line for the regimes of which the same is to be said.
    """

    scores: Sequence[Score]
    comparison: Comparison | None
    level: float
    resamples: int
    varied: Sequence[str]


def merged(runs: Sequence[Run]) -> Run:
    """Several runs as one that is only looked at; what two of them hold is taken from the first.

    Raises:
        UsageError: runs of both presets, or of a control and of something else.
    """
    import pyarrow as pa

    require_runs_of_one_preset(runs)
    require_runs_of_one_control(runs)
    meta = runs[0].meta.model_copy(deep=True)
    tables, held = [runs[0].records], set(runs[0].records["record_id"].to_pylist())
    for run in runs[1:]:
        known = {e.digest for e in meta.encoders}
        meta.encoders += [e for e in run.meta.encoders if e.digest not in known]
        meta.suite.categories = run.meta.suite.categories | meta.suite.categories
        meta.suite.labels = run.meta.suite.labels | meta.suite.labels
        meta.tasks = run.meta.tasks | meta.tasks
        ids = run.records["record_id"].to_pylist()
        tables.append(run.records.filter(pa.array([one not in held for one in ids])))
        held.update(ids)
    return Run(runs[0].path, meta, pa.concat_tables(tables, promote_options="default"))


def run_keys(board: Board) -> dict[Series, str]:
    """The key of every series."""
    return {series: key_of(board.name(series), OF_RUN) for series in board.series}


def run_entrants(board: Board, params: Mapping[Series, int]) -> list[Entrant]:
    """The series of the runs; `params` gives their sizes, where they are known."""
    found = []
    for series, key in run_keys(board).items():
        meta = board.run.meta.encoder(series.encoder_digest)
        settings = dict(meta.settings) if meta else {}
        defect = defect_of(settings)
        facts = {
            "Family": meta.family if meta else "",
            "Embedding width": f"{meta.width:,}" if meta and meta.width else "",
            "Revision": meta.revision if meta else "",
            **{f"Setting: {name}": str(value) for name, value in settings.items() if value is not None},
            "Probe": f"{series.probe}" + ("" if series.C is None else f", C = {series.C:g}"),
            "Engine": f"{series.engine}, {series.dtype}",
            "Digest of the encoder": series.encoder_digest,
        }
        found.append(
            Entrant(
                key,
                board.name(series),
                OF_RUN,
                meta.family if meta and meta.family else "run",
                params.get(series),
                tuple((name, text) for name, text in facts.items() if text),
                (f"Reference preset with a known defect: {defect}.",) if defect else (),
            )
        )
    return found


def run_tasks(run: Run) -> list[TaskEntry]:
    """The tasks that have a record, with what the run recorded of their data."""
    held = set(run.records["task"].to_pylist())
    found = []
    for task, category in run.meta.suite.categories.items():
        if task not in held:
            continue
        meta = run.meta.tasks.get(task)
        sizes = (
            (("Training rows", meta.n_train), ("Test rows", meta.n_test), ("Classes", len(meta.labels))) if meta else ()
        )
        facts = tuple((name, f"{number:,}") for name, number in sizes)
        label = run.meta.suite.labels.get(task, task)
        found.append(TaskEntry(key_of(task), task, label, category, facts, tuple(meta.warnings) if meta else ()))
    return found


def run_cells(board: Board, resampled: Resampled | None, *, ranked: bool = True) -> dict[str, Cells]:
    """Scores of every regime, with intervals and, where `ranked`, the ranks among themselves that were resampled."""
    keys = run_keys(board)
    found: dict[str, Cells] = {regime: {} for regime in board.regimes}
    for one in board.aggregates:
        for place, cell in _means(one):
            found[one.regime].setdefault(place, {})[keys[one.series]] = cell
    for score in board.scores:
        cell = Cell(score.mean, std=score.std, marks=marks_of(score))
        found[score.regime].setdefault(("task", score.task), {})[keys[score.series]] = cell
    if resampled:
        for interval in resampled.scores:
            _update(found, interval.regime, (interval.scope, interval.name), keys[interval.series],
                    low=interval.low, high=interval.high, marks=[MARKS[m][0] for m in interval.marks])  # fmt: skip
        comparison = resampled.comparison if ranked else None
        told = {(r.regime, r.scope, r.name) for r in comparison.rankings if r.can_tell} if comparison else set()
        for rank in comparison.ranks if comparison else ():
            ties: dict[str, Any] = {"tied": rank.tied} if (rank.regime, rank.scope, rank.name) in told else {}
            _update(found, rank.regime, (rank.scope, rank.name), keys[rank.series], rank=rank.rank,
                    rank_low=rank.rank_low, rank_high=rank.rank_high, **ties)  # fmt: skip
    return found


def _means(one: Aggregate) -> Iterable[tuple[Place, Cell]]:
    whole = Cell(one.macro, marks=marks_of(one), num_tasks=one.num_tasks, num_in_suite=one.num_in_suite)
    yield MACRO, replace(whole, std=one.macro_std, gain=one.gain)
    yield MICRO, replace(whole, value=one.micro, std=one.micro_std)
    for name, score in one.categories.items():
        yield ("category", name), Cell(score.mean, num_tasks=score.num_tasks, num_in_suite=score.num_in_suite)


def _update(
    found: dict[str, Cells], regime: str, place: Place, key: str, *, marks: Sequence[str] = (), **values: float | bool
) -> None:
    """Add to a score what resampling says about it; scores that are not shown are passed over."""
    cells = found.get(regime, {}).get(place, {})
    if key in cells:
        old = cells[key]
        signs = "".join(dict.fromkeys([*old.marks, *marks]))
        cells[key] = replace(old, marks=signs, **values)  # type: ignore[arg-type]
