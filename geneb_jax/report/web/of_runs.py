"""Runs as content: scores with their marks, and intervals, ranks and ties where they were resampled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from geneb_jax.report.board import Board
from geneb_jax.report.marks import MARKS, is_certain
from geneb_jax.report.web.content import MACRO, MICRO, OF_RUN, Cell, Entrant, Place, TaskEntry, key_of
from geneb_jax.run.presets import defect_of
from geneb_jax.run.runs import Runs
from geneb_jax.stats.aggregate import Aggregate, Series
from geneb_jax.stats.resampled import Resampled
from geneb_jax.stats.uncertainty import Score

Cells = dict[Place, dict[str, Cell]]


def run_keys(board: Board) -> dict[Series, str]:
    """The key of every series."""
    return {series: key_of(board.name(series), OF_RUN) for series in board.series}


def run_entrants(board: Board, params: Mapping[Series, int]) -> list[Entrant]:
    """The series of the runs; `params` gives their sizes, where they are known."""
    found = []
    for series, key in run_keys(board).items():
        meta = board.runs.meta.encoder(series.encoder_digest)
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
                (
                    *((f"Reference preset with a known defect: {defect}.",) if defect else ()),
                    *(
                        f"Letters: {line}."
                        for line in board.reading.lines(series.encoder_digest, meta.name if meta else key)
                    ),
                ),
            )
        )
    return found


def run_tasks(runs: Runs) -> list[TaskEntry]:
    """The tasks that have a record, with what the runs recorded of their data."""
    held = set(runs.records["task"].to_pylist())
    found = []
    for task, category in runs.meta.suite.categories.items():
        if task not in held:
            continue
        meta = runs.meta.tasks.get(task)
        sizes = (
            (("Training rows", meta.n_train), ("Test rows", meta.n_test), ("Classes", len(meta.labels))) if meta else ()
        )
        facts = tuple((name, f"{number:,}") for name, number in sizes)
        label = runs.meta.suite.labels.get(task, task)
        notes = [*meta.warnings, *([f"{meta.leak_sentence}."] if meta.leaked else [])] if meta else []
        found.append(TaskEntry(key_of(task), task, label, category, facts, tuple(notes)))
    return found


def run_cells(board: Board, resampled: Resampled | None, *, ranked: bool = True) -> dict[str, Cells]:
    """Scores of every regime, with intervals and, where `ranked`, the ranks among themselves that were resampled."""
    keys = run_keys(board)
    found: dict[str, Cells] = {regime: {} for regime in board.regimes}
    for one in board.aggregates:
        for place, cell in _means(board, one):
            found[one.regime].setdefault(place, {})[keys[one.series]] = cell
    for score in board.scores:
        cell = Cell(score.mean, std=score.std, marks=board.signs(score))
        found[score.regime].setdefault(("task", score.task), {})[keys[score.series]] = cell
    if resampled:
        for interval in resampled.scores:
            _update(found, interval.regime, (interval.scope, interval.name), keys[interval.series],
                    marks=[MARKS[m][0] for m in interval.marks], **_ends(interval))  # fmt: skip
        comparison = resampled.comparison if ranked else None
        told = {(r.regime, r.scope, r.name) for r in comparison.rankings if r.can_tell} if comparison else set()
        for rank in comparison.ranks if comparison else ():
            ties: dict[str, Any] = {"tied": rank.tied} if (rank.regime, rank.scope, rank.name) in told else {}
            _update(found, rank.regime, (rank.scope, rank.name), keys[rank.series], rank=rank.rank,
                    rank_low=rank.rank_low, rank_high=rank.rank_high, **ties)  # fmt: skip
    return found


def _ends(found: Score) -> dict[str, float]:
    """The ends of an interval; none of a score that is 0 by rule."""
    return {} if is_certain(found.low, found.high, found.marks) else {"low": found.low, "high": found.high}


def _means(board: Board, one: Aggregate) -> Iterable[tuple[Place, Cell]]:
    whole = Cell(one.macro, marks=board.signs(one), num_tasks=one.num_tasks, num_in_suite=one.num_in_suite)
    yield MACRO, replace(whole, std=one.macro_std, gain=one.gain)
    yield MICRO, replace(whole, value=one.micro, std=one.micro_std)
    for name, score in one.categories.items():
        yield (
            ("category", name),
            Cell(score.mean, marks=board.signs(one, name), num_tasks=score.num_tasks, num_in_suite=score.num_in_suite),
        )


def _update(
    found: dict[str, Cells], regime: str, place: Place, key: str, *, marks: Sequence[str] = (), **values: float | bool
) -> None:
    """Add to a score what resampling says about it; scores that are not shown are passed over."""
    cells = found.get(regime, {}).get(place, {})
    if key in cells:
        old = cells[key]
        signs = "".join(dict.fromkeys([*old.marks, *marks]))
        cells[key] = replace(old, marks=signs, **values)  # type: ignore[arg-type]
