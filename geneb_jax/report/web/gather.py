"""Content from the official board, from runs, or from runs beside the board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from geneb_jax import published
from geneb_jax.published import SizeVersion
from geneb_jax.report.board import METRIC_LINES, Board, control_lines, failures, leak_lines, partial_lines
from geneb_jax.report.web import words
from geneb_jax.report.web.content import MACRO, Cell, Content, Entrant, Place, TaskEntry
from geneb_jax.report.web.of_board import board_cells, board_entrants, board_tasks, with_ranks
from geneb_jax.report.web.of_runs import run_cells, run_entrants, run_tasks
from geneb_jax.report.web.provenance import audit_tables, board_provenance, recorded_tables, run_provenance
from geneb_jax.run.runs import Runs
from geneb_jax.stats.aggregate import Metric, Series
from geneb_jax.stats.analysis.pareto import on_frontier
from geneb_jax.stats.placing import no_common_task
from geneb_jax.stats.resampled import Resampled

METRIC_NAMES: Final[Mapping[Metric, str]] = {"mcc": "MCC", "accuracy": "accuracy", "macro_f1": "macro-F1"}

Cells = Mapping[str, Mapping[Place, Mapping[str, Cell]]]


def board_content(size_version: SizeVersion = "board", sensitivity: Mapping[str, Any] | None = None) -> Content:
    """The official board: points, ranks among them, no intervals."""
    cells = _ranked({regime: board_cells(regime) for regime in published.REGIMES})
    entrants, tasks = board_entrants(size_version), board_tasks()
    num_official = sum(m.official for m in published.models().values())
    return _content(
        "GENEB: the official board",
        f"{len(entrants)} models ({num_official} official, {len(entrants) - num_official} self-reported) on "
        f"{len(tasks)} tasks, in {len(published.REGIMES)} label budgets",
        "mcc",
        entrants,
        tasks,
        cells,
        method=(words.NO_INTERVALS, words.size_line(size_version)),
        provenance=board_provenance(),
        sensitivity=sensitivity,
    )


def runs_content(
    runs: Runs,
    *,
    metric: Metric = "mcc",
    resampled: Resampled | None = None,
    params: Mapping[Series, int] | None = None,
    audit: Mapping[str, Any] | None = None,
    sensitivity: Mapping[str, Any] | None = None,
) -> Content:
    """One or several runs."""
    board = Board(runs, metric)
    cells = _ranked(run_cells(board, resampled))
    suite = runs.meta.suite
    return _content(
        f"GENEB probes: {suite.name}",
        f"{len(board.series)} encoders or probes on {len({s.task for s in board.scores})} of "
        f"{len(suite.categories)} tasks",
        metric,
        run_entrants(board, params or {}),
        run_tasks(runs),
        cells,
        method=words.method_lines(resampled),
        level=resampled.level if resampled else 0.95,
        warnings=(
            *leak_lines(runs),
            *control_lines(runs),
            *runs.notes,
            *partial_lines(board),
            *failures(board),
            *_left_out(resampled),
        ),
        legend=words.legend(runs, cells),
        audit=(*recorded_tables(runs, resampled), *audit_tables(audit or {}, suite.labels)),
        provenance=run_provenance(runs),
        sensitivity=sensitivity,
    )


def beside_content(
    runs: Runs,
    *,
    resampled: Resampled | None = None,
    size_version: SizeVersion = "board",
    params: Mapping[Series, int] | None = None,
    audit: Mapping[str, Any] | None = None,
    sensitivity: Mapping[str, Any] | None = None,
) -> Content:
    """Runs among the models of the board, over the tasks that both have.

    Raises:
        UsageError: no task of the runs is on the board.
    """
    shared_part = on_the_board(runs)
    board = Board(shared_part, "mcc")
    suite = shared_part.meta.suite
    ours = run_cells(board, resampled, ranked=False)
    regimes = [r for r in published.REGIMES if r in ours] + [r for r in ours if r not in published.REGIMES]
    theirs = {regime: board_cells(regime, suite.categories) for regime in regimes}
    cells = _ranked({
        regime: {place: {**theirs[regime].get(place, {}), **held} for place, held in ours[regime].items()}
        for regime in regimes
    })  # fmt: skip
    shared = len(suite.categories)
    return _content(
        "GENEB probes beside the official board",
        f"{len(board.series)} encoders or probes of ours among {len(published.models())} published models, on "
        f"{shared} of the board's {len(published.tasks())} tasks",
        "mcc",
        [*run_entrants(board, params or {}), *board_entrants(size_version)],
        run_tasks(shared_part),
        cells,
        method=(words.NO_INTERVALS, words.BESIDE, words.size_line(size_version), *words.method_lines(resampled)[:1]),
        level=resampled.level if resampled else 0.95,
        warnings=(
            f"Every mean on this page is over {shared} tasks, so the board's models stand here with other scores and "
            "ranks than on the board itself.",
            *leak_lines(shared_part), *control_lines(runs), *runs.notes, *partial_lines(board), *failures(board),
        ),
        legend=words.legend(shared_part, cells),
        audit=(*recorded_tables(shared_part, resampled), *audit_tables(audit or {}, suite.labels)),
        provenance=(*run_provenance(runs), *board_provenance()),
        sensitivity=sensitivity,
    )  # fmt: skip


def on_the_board(runs: Runs) -> Runs:
    """The part of runs that is about tasks of the official board. Raises UsageError where there is none."""
    shared = set(published.known_tasks(runs.categories))
    if not shared:
        raise no_common_task()
    return runs.only(shared)


def _content(
    title: str,
    subtitle: str,
    metric: Metric,
    entrants: Sequence[Entrant],
    tasks: Sequence[TaskEntry],
    cells: Cells,
    *,
    level: float = 0.95,
    sensitivity: Mapping[str, Any] | None = None,
    **parts: Any,
) -> Content:
    name = METRIC_NAMES[metric]
    return Content(
        title=title,
        subtitle=subtitle,
        metric=name,
        metric_line=METRIC_LINES[metric],
        regimes=tuple(cells),
        categories=dict(Counter(task.category for task in tasks)),
        entrants=tuple(entrants),
        tasks=tuple(tasks),
        cells=cells,
        headlines={r: words.headline(r, name, held.get(MACRO, {}), entrants, level) for r, held in cells.items()},
        frontier=_frontiers(entrants, cells),
        sensitivity=sensitivity or {},
        **parts,
    )


def _frontiers(entrants: Sequence[Entrant], cells: Cells) -> dict[tuple[str, Place], frozenset[str]]:
    """Of every regime and mean the entrants that no other beats with as few parameters."""
    sizes = {e.key: e.params for e in entrants if e.params}
    found = {}
    for regime, places in cells.items():
        for place, held in places.items():
            known = [(key, cell.value) for key, cell in held.items() if key in sizes and cell.value is not None]
            if place[0] != "task" and known:
                best = on_frontier(np.array([float(sizes[key]) for key, _ in known]), np.array([v for _, v in known]))
                found[regime, place] = frozenset(key for (key, _), one in zip(known, best, strict=True) if one)
    return found


def _ranked(cells: Cells) -> Cells:
    return {regime: {place: with_ranks(held) for place, held in places.items()} for regime, places in cells.items()}


def _left_out(resampled: Resampled | None) -> tuple[str, ...]:
    if resampled is None or resampled.comparison is None or not resampled.comparison.left_out:
        return ()
    tasks = dict.fromkeys(task for _, task in resampled.comparison.left_out)
    return (f"Ranks leave out what not every encoder has: {', '.join(tasks)}.",)
