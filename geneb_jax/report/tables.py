"""The tables of a run, for the terminal: leaderboards, tasks, what the signs mean, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from geneb_jax.report.board import (
    METRIC_LINES,
    Board,
    control_lines,
    failures,
    leak_lines,
    partial_lines,
)
from geneb_jax.report.layout import Column, number_range, packed, share, value
from geneb_jax.report.marks import MARKS
from geneb_jax.report.naming import chooses_penalty, penalty
from geneb_jax.run.controls import control_sentence
from geneb_jax.run.directory import Run
from geneb_jax.run.meta import Phase
from geneb_jax.run.presets import defect_of, preset_of
from geneb_jax.run.runs import Runs
from geneb_jax.stats.aggregate import (
    Aggregate,
    Metric,
    Series,
    TaskScore,
)
from geneb_jax.stats.marks import DEFAULT_C, LEAKED, SHORT, UNREAD

WIDTH_WHEN_PIPED: Final = 100
_FEW_TASKS = 24


def console() -> Console:
    """A console for listings; in a pipe it does not fold at 80 columns."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=WIDTH_WHEN_PIPED)


def print_report(
    run: Runs | Run, to: Console | None = None, *, metric: Metric = "mcc", tasks: bool | None = None
) -> None:
    """Print the leaderboards, the tasks (by default if they are few), the legend, and where the time went."""
    to = to or console()
    runs = Runs.of(run)
    board = Board(runs, metric)
    to.print()
    to.print(Text(_headline(board), style="bold"))
    to.print(METRIC_LINES[metric])
    few = [r for r in board.regimes if r != "full"]
    if few:
        to.print("In the few-shot regimes a score is the mean over random draws, ± the standard deviation over draws.")
    for line in (*control_lines(runs), *leak_lines(runs), *partial_lines(board), *runs.notes):
        to.print(Text(line, style="yellow"))
    for regime in board.regimes:
        to.print()
        to.print(Text(_regime_line(regime), style="bold"))
        for table in _leaderboard(board, regime, to.width):
            to.print(table)
    scored_tasks = list(dict.fromkeys(s.task for s in board.scores))
    if tasks or (tasks is None and len(scored_tasks) <= _FEW_TASKS):
        to.print()
        to.print(Text("Tasks", style="bold"))
        for table in _task_tables(board, scored_tasks, to.width):
            to.print(table)
    chosen = list(_choices(board, to.width))
    if chosen:
        to.print()
        to.print(Text("C chosen on held-out training rows: share of the fits", style="bold"))
        for table in chosen:
            to.print(table)
    legend = list(_legend(board))
    if legend:
        to.print()
        for line in legend:
            to.print(line, style="dim")
    warned = {task: meta.warnings for task, meta in runs.meta.tasks.items() if meta.warnings}
    for task, warnings in warned.items():
        to.print(Text(f"warning: {task}: {'; '.join(warnings)}", style="yellow"))
    for line in failures(board):
        to.print(Text(line, style="red"))
    to.print()
    to.print(Text(time_line(runs), style="dim"))


def report_json(run: Runs | Run, metric: Metric = "mcc") -> dict[str, Any]:
    """The same content as plain values."""
    runs = Runs.of(run)
    board = Board(runs, metric)
    return {
        "geneb_type": "report",
        "geneb_version": 1,
        "metric": metric,
        "suite": {"name": runs.meta.suite.name, "version": runs.meta.suite.version},
        "settings": runs.meta.settings.model_dump(),
        "partial": partial_lines(board),
        "leaks": {
            task: {"rows": meta.leaked, "other_label": meta.leaked_other_label, "test_rows": meta.n_test}
            for task, meta in runs.meta.tasks.items()
            if meta.leaked is not None
        },
        "control": control_sentence(runs.parts[0].meta.suite.name),
        "missing": {f"{board.name(s)}": list(m) for s, m in _missing(board).items() if m},
        "aggregates": [
            {
                **asdict(a.series),
                "regime": a.regime,
                "macro": a.macro,
                "micro": a.micro,
                "macro_std": a.macro_std,
                "micro_std": a.micro_std,
                "gain_over_kmer": a.gain,
                "categories": {name: asdict(c) for name, c in a.categories.items()},
                "num_draws": {"fewest": a.num_draws[0], "most": a.num_draws[1]},
                **_choice_json(a),
                "num_tasks": a.num_tasks,
                "num_tasks_in_suite": a.num_in_suite,
                "partial": a.partial,
                "statuses": {s.label: n for s, n in a.statuses.items()},
                "marks": sorted(board.marks(a)),
            }
            for a in board.aggregates
        ],
        "tasks": [
            {
                **asdict(s.series),
                "regime": s.regime,
                "task": s.task,
                "category": s.category,
                "mean": s.mean,
                "std": s.std,
                "num_draws": s.num_scores,
                **_choice_json(s),
                "draws": {str(seed): value for seed, value in s.draws.items()},
                "statuses": {status.label: n for status, n in s.statuses.items()},
                "marks": sorted(board.marks(s)),
                "message": s.message,
            }
            for s in board.scores
        ],
        "phases": {name: phase.model_dump() for name, phase in _phases(runs).items()},
        "finished": runs.meta.finished,
    }


def _choice_json(found: Aggregate | TaskScore) -> dict[str, Any]:
    """How often each C was chosen on held-out rows; null where C was fixed."""
    free = chooses_penalty(found.series)
    return {
        "C_chosen": {f"{C:g}": n for C, n in found.chosen.items()} if free else None,
        "C_default": found.num_default if free else None,
    }


def time_line(runs: Runs) -> str:
    """Where the time of the last command went, and the memory it needed."""
    phases = _phases(runs)
    parts = [f"{name} {phase.seconds:.1f} s" for name, phase in phases.items()]
    peaks = [p.peak_memory for p in phases.values() if p.peak_memory]
    memory = f"; peak memory {max(peaks) / 1e9:.1f} GB" if peaks else ""
    return f"Time: {', '.join(parts) or 'nothing was left to do'}{memory}."


def _phases(runs: Runs) -> Mapping[str, Phase]:
    return runs.meta.sessions[-1].phases if runs.meta.sessions else {}


def _headline(board: Board) -> str:
    meta = board.runs.meta
    count = len({s.encoder_digest for s in board.series})
    done = max((a.num_tasks for a in board.aggregates), default=0)
    probes = ", ".join(dict.fromkeys(s.probe for s in board.series))
    penalties = ", ".join(dict.fromkeys(penalty(s) for s in board.series))
    encoders = f"{count} encoder{'s' * (count != 1)}"
    preset = next(filter(None, (preset_of(e.settings) for e in meta.encoders)), None)
    return (
        f"Suite {meta.suite.name}: {encoders}, {done} of {len(meta.suite.categories)} tasks, "
        f"probe {probes}, C = {penalties} ({meta.settings.engine}, {meta.settings.dtype})"
        + (f", preset {preset}" if preset else "")
    )


def _regime_line(name: str) -> str:
    if name == "full":
        return "full: the probe is trained on all training sequences"
    shots = name.removesuffix("shot")
    return f"{name}: the probe is trained on {shots} sequence{'s' * (shots != '1')} per class, drawn at random"


def _leaderboard(board: Board, regime: str, width: int) -> Iterator[Table]:
    """The leaderboard of one regime; categories that find no room go on in tables below it."""
    rows = [a for a in board.aggregates if a.regime == regime]
    categories = dict.fromkeys(board.runs.meta.suite.categories.values())
    present = [c for c in categories if any(c in a.categories for a in rows)]
    # over a single category all means are the same number
    single = len(present) < 2
    columns = [Column("mean" if single else "macro", [value(a.macro, a.macro_std, board.signs(a)) for a in rows])]
    if not single:
        columns.append(Column("micro", [value(a.micro, a.micro_std, board.signs(a)) for a in rows]))
    if regime != "full":
        columns.append(Column("draws", [number_range(*a.num_draws) for a in rows]))
    if any(a.gain for a in rows):  # not where only the floors themselves are listed
        columns.append(Column("vs k-mer", [_gain(a) for a in rows]))
    if any(a.partial for a in rows):
        columns.append(Column("tasks", [f"{a.num_tasks}/{a.num_in_suite}" for a in rows]))
    if not single:
        columns += [Column(name, [_category(board, a, name) for a in rows]) for name in present]
    left = [Column("encoder", [board.encoder(a.series) for a in rows])]
    if len({s.probe for s in board.series}) > 1:
        left.append(Column("probe", [a.series.probe for a in rows]))
    if len({s.C for s in board.series}) > 1 or any(s.C is None for s in board.series):
        left.append(Column("C", [penalty(a.series) for a in rows]))
    return packed(left, columns, width)


def _choices(board: Board, width: int) -> Iterator[Table]:
    """How often each C was chosen, one line per series and regime; none where every C was given."""
    rows = [a for a in board.aggregates if chooses_penalty(a.series) and (a.chosen or a.num_default)]
    if not rows:
        return
    several = len({(a.series.encoder_digest, a.series.probe_digest) for a in rows}) > 1
    left = [Column("encoder", [board.name(a.series) for a in rows])] if several else []
    left.append(Column("regime", [a.regime for a in rows]))
    fits = [sum(a.chosen.values()) + a.num_default for a in rows]
    columns = [Column("fits", list(map(str, fits)))]
    for C in sorted({C for a in rows for C in a.chosen}):
        cells = [share(a.chosen.get(C, 0), n) for a, n in zip(rows, fits, strict=True)]
        columns.append(Column(f"C={C:g}", cells))
    if any(a.num_default for a in rows):
        columns.append(Column("§ none held out", [share(a.num_default, n) for a, n in zip(rows, fits, strict=True)]))
    yield from packed(left, columns, width)


def _task_tables(board: Board, tasks: Sequence[str], width: int) -> Iterator[Table]:
    found: dict[tuple[Series, str, str], TaskScore] = {(s.series, s.regime, s.task): s for s in board.scores}
    labels = board.runs.meta.suite.labels
    rows = [(task, regime) for task in tasks for regime in board.regimes]
    first = board.regimes[0]
    left = [
        Column("task", [labels.get(task, task) if regime == first else "" for task, regime in rows]),
        Column("regime", [regime for _, regime in rows]),
    ]
    columns = []
    for series in board.series:
        scores = [found.get((series, regime, task)) for task, regime in rows]
        cells = ["–" if s is None else value(s.mean, s.std, board.signs(s)) for s in scores]
        # options of an encoder on a line of their own: the scores below are narrow
        columns.append(Column(board.name(series).replace(",", ",\n"), cells))
    return packed(left, columns, width)


def _legend(board: Board) -> Iterator[str]:
    rows = board.aggregates
    if len(set(board.runs.meta.suite.categories.values())) > 1:
        yield "macro: mean over the categories; micro: mean over the tasks."
    if any(a.gain for a in rows):
        yield board.floor_sentence
    if any(a.regime != "full" for a in rows):
        yield "draws: random choices of training sequences, the same for every encoder; each is one fit."
    if any(a.partial for a in rows):
        yield "tasks: how many tasks of the suite have a score; –: no score."
    for status in sorted(board.statuses):
        if status.mark:
            count = board.statuses[status]
            yield f"{status.mark} {status.label}, {count} fit{'s' * (count != 1)}: {status.sentence}"
    seen = frozenset().union(*(board.marks(a) for a in rows))
    yield from (f"{MARKS[name][0]} {MARKS[name][1]}." for name in (LEAKED, SHORT, UNREAD) if name in seen)
    listed = {s.encoder_digest for s in board.series}
    for encoder in board.runs.meta.encoders:
        defect = defect_of(encoder.settings)
        if defect and encoder.digest in listed:
            yield f"{encoder.name}: reference preset with a known defect: {defect}"
    for encoder in board.runs.meta.encoders:
        if encoder.digest in listed:
            yield from (f"Letters: {line}." for line in board.reading.lines(encoder.digest, encoder.name))
    default = sum(a.num_default for a in rows)
    if default:
        used = dict.fromkeys(p["C_without_held_out"] for p in board.runs.meta.settings.probes if p.get("C") == "auto")
        yield (
            f"{MARKS[DEFAULT_C][0]} {default} fit{'s' * (default != 1)} with too few rows per class to hold any out: "
            f"no C was chosen, C = {', '.join(f'{C:g}' for C in used)} was used."
        )


def _missing(board: Board) -> dict[Series, tuple[str, ...]]:
    return {a.series: a.missing for a in board.aggregates}


def _category(board: Board, a: Aggregate, name: str) -> str:
    return value(a.categories[name].mean, None, board.signs(a, name)) if name in a.categories else "–"


def _gain(a: Aggregate) -> str:
    return "–" if a.gain is None else "0" if a.gain == 0 else f"{a.gain:+.3f}"
