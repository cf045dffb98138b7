"""Intervals, ranks and differences for the terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from geneb_jax.published import models
from geneb_jax.report.board import Board
from geneb_jax.report.claims import (
    INTERVALS,
    adjacent_claim,
    detectable_claim,
    equivalence_note,
    equivalence_words,
    floor_claim,
    tie_claim,
)
from geneb_jax.report.layout import Column, once, packed, value
from geneb_jax.report.marks import MARKS, ends_text, is_certain, signs_of
from geneb_jax.report.naming import series_name
from geneb_jax.stats.aggregate import Series
from geneb_jax.stats.compare import Comparison, Difference, Rank, Ranking
from geneb_jax.stats.means import Scope
from geneb_jax.stats.placing import Place
from geneb_jax.stats.ties import best_first
from geneb_jax.stats.uncertainty import Score

SCOPES: Final[tuple[Scope, ...]] = ("macro", "micro", "category", "task")

MEANS: Final = {"macro": "macro, the mean of the categories", "micro": "micro, the mean of the tasks"}


def print_scores(scores: Sequence[Score], to: Console, *, level: float) -> None:
    """Tables of estimates with intervals, one per regime and scope, best first."""
    among = list(dict.fromkeys(score.series for score in scores))
    for regime in dict.fromkeys(score.regime for score in scores):
        for scope in SCOPES:
            rows = [s for s in scores if s.regime == regime and s.scope == scope]
            if not rows:
                continue
            rows = sorted(best_first(rows, lambda s: s.estimate, lambda s: str(s.series)), key=lambda s: s.name)
            to.print()
            to.print(Text(f"{regime}: {MEANS.get(scope, 'each ' + scope)}", style="bold"))
            named = [Column(scope, once([s.name for s in rows]))] if scope not in MEANS else []
            left = [*named, Column("encoder", [series_name(s.series, among) for s in rows])]
            columns = [
                Column("score", [f"{s.estimate:.3f}{signs(s)}" for s in rows]),
                Column(f"{level:.0%} interval", [ends_text(s.low, s.high, s.marks) for s in rows]),
                Column("s.e.", [f"{s.se:.3f}" for s in rows]),
                Column("tasks" if scope != "task" else "rows",
                       [f"{s.num_tasks if scope != 'task' else s.num_rows:,}" for s in rows]),
            ]  # fmt: skip
            for table in packed(left, columns, to.width):
                to.print(table)
    print_marks(scores, to)


def print_marks(scores: Sequence[Score | Place], to: Console) -> None:
    """What the signs beside these scores mean."""
    explain_marks({mark for score in scores for mark in score.marks}, to)


def explain_marks(used: Collection[str], to: Console) -> None:
    """What the signs of these marks mean."""
    if used:
        to.print()
    for mark, (sign, meaning) in MARKS.items():
        if mark in used:
            to.print(f"{sign} {meaning}", style="dim")


def print_comparison(
    found: Comparison,
    board: Board,
    to: Console,
    *,
    level: float,
    scopes: Sequence[str],
    pairs: bool,
    within: float | None = None,
) -> None:
    """Ranks with intervals, the ties with the best, and what could be detected; with `pairs` every difference."""
    among = list(dict.fromkeys(rank.series for rank in found.ranks))
    names = {series: series_name(series, among) for series in among}
    tested: dict[tuple[str, str, str], Ranking] = {(r.regime, r.scope, r.name): r for r in found.rankings}
    for regime in dict.fromkeys(rank.regime for rank in found.ranks):
        for scope in scopes:
            ranks = [r for r in found.ranks if r.regime == regime and r.scope == scope]
            for name in dict.fromkeys(r.name for r in ranks):
                own = sorted((r for r in ranks if r.name == name), key=lambda r: r.rank)
                differences = [d for d in found.differences if (d.regime, d.scope, d.name) == (regime, scope, name)]
                to.print()
                head = MEANS.get(scope, f"{scope} {name}")
                to.print(Text(f"{regime}: {head}", style="bold"))
                for table in packed(*_ranking(own, differences, among, board), to.width):
                    to.print(table)
                ranking = tested[regime, scope, name]
                order = [r.series for r in own]
                claims = tie_claim(ranking, own, names), adjacent_claim(ranking, order, differences)
                to.print(" ".join(filter(None, claims)), style="dim")
                if within is not None and differences:
                    _print_equivalence(differences, own[0].series, among, within, to)
                if pairs and differences:
                    to.print()
                    for table in packed(*_pairs(differences, among), to.width):
                        to.print(table)
    shown = [r for r in found.ranks if r.scope in scopes]
    explain_marks({mark for r in shown for mark in board.marks_at(r.series, r.regime, r.scope, r.name)}, to)
    to.print()
    to.print(INTERVALS, style="dim")
    to.print(floor_claim([one for one in found.rankings if one.scope in scopes]), style="dim")
    if found.detectable:
        to.print()
        to.print(Text("Smallest difference that a task can show", style="bold"))
        regimes = list(dict.fromkeys(d.regime for d in found.detectable))
        tasks = list(dict.fromkeys(d.task for d in found.detectable))
        size = {(d.task, d.regime): d for d in found.detectable}
        rows = {d.task: d.num_rows for d in found.detectable}
        left = [Column("task", tasks), Column("rows", [f"{rows[t]:,}" for t in tasks])]
        columns = [
            Column(f"{r}, {which}", [value(getattr(size[t, r], name)) if (t, r) in size else "–" for t in tasks])
            for r in regimes
            for which, name in (("alone", "difference"), ("among all", "adjusted"))
        ]
        for table in packed(left, columns, to.width):
            to.print(table)
        to.print(detectable_claim(level), style="dim")
    if found.left_out:
        tasks = list(dict.fromkeys(task for _, task in found.left_out))
        to.print(f"Left out, since not every encoder has them: {', '.join(tasks)}", style="yellow")


def print_places(places: Sequence[Place], protocol: Sequence[str], to: Console, *, level: float) -> None:
    """Our macro and category scores among the published ones, and in what the protocols differ."""
    among = list(dict.fromkeys(place.series for place in places))
    names = {one.model: one.display for one in models().values()}

    def neighbour(one: tuple[str, float] | None) -> str:
        return "–" if one is None else f"{names[one[0]]} {one[1]:.3f}"

    for regime, scope, tasks in dict.fromkeys((p.regime, p.scope, _tasks(p)) for p in places):
        rows = [p for p in places if (p.regime, p.scope, _tasks(p)) == (regime, scope, tasks)]
        rows = sorted(best_first(rows, lambda p: p.estimate, lambda p: str(p.series)), key=lambda p: p.name)
        to.print()
        over = f"macro over {tasks} of the board's 100 tasks" if scope == "macro" else "each category"
        to.print(Text(f"{regime}: {over}", style="bold"))
        encoder = Column("encoder", [series_name(p.series, among) for p in rows])
        left = [encoder] if scope == "macro" else [Column(scope, once([p.name for p in rows])), encoder]
        columns = [
            *([] if scope == "macro" else [Column("tasks", [str(p.num_tasks) for p in rows])]),
            Column("score", [f"{p.estimate:.3f}{signs_of(p.marks)}" for p in rows]),
            Column(f"{level:.0%} interval", [ends_text(p.low, p.high, p.marks) for p in rows]),
            Column(f"place of {rows[0].num_models + 1}", [str(p.place) for p in rows]),
            Column("at its ends", [_places(p) for p in rows]),
            Column("behind the best", [f"{p.behind:.3f}" for p in rows]),
            Column("best published", [neighbour(p.best) for p in rows]),
            *([Column("next above", [neighbour(p.above) for p in rows]),
               Column("next below", [neighbour(p.below) for p in rows])] if scope == "macro" else []),
        ]  # fmt: skip
        for table in packed(left, columns, to.width):
            to.print(table)
    print_marks(places, to)
    to.print()
    for line in protocol:
        to.print(Text(line, style="dim"))


def _places(place: Place) -> str:
    """The places at the ends of the interval; a dash where the score is 0 by rule and has none."""
    return "–" if is_certain(place.low, place.high, place.marks) else f"{place.place_low} to {place.place_high}"


def _tasks(place: Place) -> int | None:
    """What tells tables of macro apart: scores over different numbers of tasks are not comparable."""
    return place.num_tasks if place.scope == "macro" else None


def _ranking(
    ranks: Sequence[Rank], differences: Sequence[Difference], among: Sequence[Series], board: Board
) -> tuple[list[Column], list[Column]]:
    best = ranks[0].series
    to_best = {d.second: d for d in differences if d.first == best}
    left = [Column("encoder", [series_name(r.series, among) for r in ranks])]
    columns = [
        Column(
            "score", [f"{r.estimate:.3f}{signs_of(board.marks_at(r.series, r.regime, r.scope, r.name))}" for r in ranks]
        ),
        Column("rank", [f"{r.rank:g}" for r in ranks]),
        Column("rank interval", [f"{r.rank_low:g} to {r.rank_high:g}" for r in ranks]),
        Column("leads", [f"{r.best:.0%}" if r.best >= 0.005 else "–" for r in ranks]),
    ]
    if to_best:
        gaps = [to_best.get(r.series) for r in ranks]
        columns += [
            Column("behind the best", ["" if g is None else _gap(g) for g in gaps]),
            Column("tied", ["=" if r.tied else "" for r in ranks]),
        ]  # fmt: skip
    return left, columns


def _gap(d: Difference) -> str:
    return f"{d.estimate:.3f} ({d.low:.3f} to {d.high:.3f})"


def _print_equivalence(
    differences: Sequence[Difference], leader: Series, among: Sequence[Series], within: float, to: Console
) -> None:
    """Every other encoder beside the leader, with the margin."""
    rows = [(d, d.equivalence) for d in differences if d.first == leader and d.equivalence is not None]
    columns = [
        Column("behind", [_gap(d) for d, _ in rows]),
        Column("", [equivalence_words(e.verdict, within, apart=d.apart) for d, e in rows]),
        Column("TOST p", [f"{e.p:.2g}" for _, e in rows]),
        Column("worse", [f"{e.rope.better:.0%}" for _, e in rows]),
        Column("within", [f"{e.rope.same:.0%}" for _, e in rows]),
        Column("better", [f"{e.rope.worse:.0%}" for _, e in rows]),
    ]
    to.print()
    to.print(Text(f"Practical equivalence with {series_name(leader, among)}: a margin of {within:g}", style="bold"))
    for table in packed([Column("encoder", [series_name(d.second, among) for d, _ in rows])], columns, to.width):
        to.print(table)
    to.print(equivalence_note(within) + " worse, within, better: share of resamples.", style="dim")


def _pairs(differences: Sequence[Difference], among: Sequence[Series]) -> tuple[list[Column], list[Column]]:
    left = [
        Column("encoder", [series_name(d.first, among) for d in differences]),
        Column("minus", [series_name(d.second, among) for d in differences]),
    ]
    columns = [
        Column("difference", [f"{d.estimate:+.3f}" for d in differences]),
        Column("interval", [f"{d.low:+.3f} to {d.high:+.3f}" for d in differences]),
        Column("p alone", [f"{d.p:.2g}" for d in differences]),
        Column("max-T", [f"{d.p_max_t:.2g}" for d in differences]),
        Column("", ["differ" if d.apart else "" for d in differences]),
        Column("Holm", [f"{d.p_holm:.2g}" for d in differences]),
        Column("BH", [f"{d.p_bh:.2g}" for d in differences]),
    ]
    return left, columns


def signs(score: Score) -> str:
    """The signs of a score's marks."""
    return signs_of(score.marks)
