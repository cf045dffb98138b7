"""Comparisons over tasks, and practical equivalence, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from geneb_jax.report.claims import TASK_QUESTION, equivalence_note, equivalence_words, task_claim, task_method
from geneb_jax.report.layout import Column, packed
from geneb_jax.stats.task_comparison import TaskComparison, TaskPair

HEADS = {"macro": "macro, the mean of the categories", "micro": "micro, the mean of the tasks"}


def print_task_comparison(found: Sequence[TaskComparison], to: Console, *, pairs: bool) -> None:
    """Ranks over tasks, ties with the leader, the bars of a critical-difference diagram; with `pairs` every pair."""
    to.print(TASK_QUESTION)
    for one in found:
        to.print()
        to.print(Text(f"{one.regime}: {HEADS.get(one.scope, one.name)}, over {one.num_tasks} tasks", style="bold"))
        leads = {pair.second: pair for pair in one.pairs if pair.first == one.places[0].name}
        left = [Column("encoder", [place.name for place in one.places])]
        columns = [
            Column("mean", [f"{place.mean:.3f}" for place in one.places]),
            Column("mean rank", [f"{place.mean_rank:.2f}" for place in one.places]),
            Column("Borda", [f"{place.borda:g}" for place in one.places]),
            Column("rank interval", [f"{place.rank_low} to {place.rank_high}" for place in one.places]),
            Column("behind", [f"{leads[p.name].difference:.3f}" if p.name in leads else "" for p in one.places]),
            Column("tasks won : lost", [_won(leads.get(place.name)) for place in one.places]),
            Column("tied", ["=" if place.tied and one.can_tell else "" for place in one.places]),
        ]
        for table in packed(left, columns, to.width):
            to.print(table)
        to.print(task_claim(one), style="dim")
        to.print(task_method(one), style="dim")
        if one.within is not None:
            _print_equivalence(one, to)
        if one.bars and one.can_tell:
            _print_bars(one, to)
        if pairs:
            _print_pairs(one, to)


def _won(pair: TaskPair | None) -> str:
    """On how many tasks an encoder beats the leader, and on how many the leader beats it."""
    return "" if pair is None else f"{pair.losses} : {pair.wins}"


def _print_bars(one: TaskComparison, to: Console) -> None:
    """A critical-difference diagram on its side: encoders by mean rank, a line beside those that are not told apart."""
    places = sorted(one.places, key=lambda place: place.mean_rank)
    columns = [[place.name in bar for place in places] for bar in one.bars]
    lanes: list[list[str]] = []
    # bars that do not touch share a lane
    for column in columns:
        start = column.index(True)
        lane = next((own for own in lanes if not any(own[max(0, start - 1) :][i] != " " for i in range(1))
                     and all(mark == " " for mark in own[start:])), None)  # fmt: skip
        if lane is None:
            lane = [" "] * len(places)
            lanes.append(lane)
        for i, inside in enumerate(column):
            if inside:
                lane[i] = "│"
    to.print()
    to.print(Text("Encoders joined by a line are not told apart", style="bold"))
    left = [
        Column("mean rank", [f"{place.mean_rank:.2f}" for place in places]),
        Column("encoder", [place.name for place in places]),
    ]
    text = ["".join(f"{lane[i]} " for lane in lanes) for i in range(len(places))]
    for table in packed(left, [Column("", text)], to.width):
        to.print(table)


def _print_equivalence(one: TaskComparison, to: Console) -> None:
    """Every other encoder beside the leader, with the margin."""
    rows = [pair for pair in one.pairs if pair.rope is not None and pair.equivalence is not None]
    within = one.within or 0.0
    to.print()
    to.print(Text(f"Practical equivalence with {one.places[0].name}: a margin of {within:g}", style="bold"))
    parts = [(p, p.equivalence, p.rope) for p in rows if p.equivalence is not None and p.rope is not None]
    columns = [
        Column("behind", [f"{e.difference:.3f} ({e.low:.3f} to {e.high:.3f})" for _, e, _ in parts]),
        Column("", [equivalence_words(e.verdict, within, apart=e.low > 0) for _, e, _ in parts]),
        Column("TOST p", [f"{min(1, 2 * len(one.pairs) * e.p):.2g}" for _, e, _ in parts]),
        Column("P(worse)", [f"{r.better:.2f}" for *_, r in parts]),
        Column("P(equal)", [f"{r.same:.2f}" for *_, r in parts]),
        Column("P(better)", [f"{r.worse:.2f}" for *_, r in parts]),
    ]
    for table in packed([Column("encoder", [p.second for p, *_ in parts])], columns, to.width):
        to.print(table)
    to.print(equivalence_note(within) + " P: Bayesian signed-rank test over the tasks.", style="dim")


def _print_pairs(one: TaskComparison, to: Console) -> None:
    left = [Column("encoder", [p.first for p in one.pairs]), Column("minus", [p.second for p in one.pairs])]
    certain = [
        Column("better on at least", [f"{p.tasks_first}, {p.tasks_second}" for p in one.pairs])
    ] if any(p.tasks_first is not None for p in one.pairs) else []  # fmt: skip
    columns = [
        Column("difference", [f"{p.difference:+.3f}" for p in one.pairs]),
        Column("won : lost", [f"{p.wins} : {p.losses}" for p in one.pairs]),
        Column("p alone", [f"{p.p:.2g}" for p in one.pairs]),
        Column("max-T", [f"{p.p_max_t:.2g}" for p in one.pairs]),
        Column("sign test alone", [f"{p.p_sign:.2g}" for p in one.pairs]),
        Column("better", [p.better or "" for p in one.pairs]),
        *certain,
    ]
    to.print()
    for table in packed(left, columns, to.width):
        to.print(table)
    if certain:
        to.print(
            "Better on at least: tasks on which the first, and the second, is the better one by the test rows and "
            "draws of that task (partial conjunction); each number is right with the level.",
            style="dim",
        )
