"""What leaks from train into test, and scores without it, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from geneb_jax.report.layout import Column, once, packed
from geneb_jax.report.naming import series_name
from geneb_jax.stats.leakage import Rescored


def print_leaks(
    counts: Mapping[str, Mapping[str, int]],
    scores: Sequence[Rescored],
    labels: Mapping[str, str],
    to: Console,
    *,
    near: bool,
    level: float,
) -> None:
    """Counts per task and kind of leak, then scores with and without the leaked rows."""
    leaky = [task for task, found in counts.items() if found["leaked"]]
    clean = len(counts) - len(leaky)
    if leaky:
        kinds = {"same": "same", "mirror": "mirror"} | ({"near": "near"} if near else {})
        columns = [Column("test rows", [f"{counts[t]['rows']:,}" for t in leaky])]
        columns += [Column(head, [f"{counts[t][kind]:,}" for t in leaky]) for kind, head in kinds.items()]
        columns.append(Column("left", [f"{counts[t]['rows'] - counts[t]['leaked']:,}" for t in leaky]))
        to.print(Text("Test rows that also stand in train", style="bold"))
        for table in packed([Column("task", [labels.get(t, t) for t in leaky])], columns, to.width):
            to.print(table)
        lines = ["same: the very sequence; mirror: its opposite strand"]
        lines += ["near: 80% of it stand in one training sequence at 90% identity, on either strand"] if near else []
        to.print("; ".join(lines) + ".", style="dim")
    if clean:
        to.print(f"{clean} task{'s' * (clean != 1)} without such rows.")
    one = len(counts) == 1  # then macro is that task again
    shown = [s for s in scores if s.num_kept < s.num_rows and not (one and s.task == "macro")]
    if not shown:
        return
    among = list(dict.fromkeys(s.series for s in scores))
    several = len({s.regime for s in shown}) > 1
    regimes, tasks = (list(dict.fromkeys(names)) for names in zip(*((s.regime, s.task) for s in shown), strict=True))
    shown.sort(key=lambda s: (tasks.index(s.task), regimes.index(s.regime)))  # macro comes last in the scores
    heads = [labels.get(s.task, s.task) for s in shown]
    left = [Column("task", once(heads))]
    left += [Column("regime", [s.regime for s in shown])] if several else []
    left.append(Column("encoder", [series_name(s.series, among) for s in shown]))
    columns = [
        Column("score", [f"{s.score:.3f}" for s in shown]),
        Column("without", ["–" if s.without is None else f"{s.without:.3f}" for s in shown]),
        Column("change", [_change(s) for s in shown]),
        Column(f"{level:.0%} interval", [_ends(s) for s in shown]),
        Column("left", [f"{s.num_kept:,}" for s in shown]),
    ]
    to.print()
    to.print(Text("Scores without them", style="bold"))
    for table in packed(left, columns, to.width):
        to.print(table)
    notes = ["without: over the test rows that are left; the probes are the same"]
    notes += ["–: these are of one class"] if any(s.without is None for s in shown) else []
    notes += ["macro: over the tasks that have both scores"] if any(s.task == "macro" for s in shown) else []
    to.print("; ".join(notes) + ".", style="dim")


def _change(found: Rescored) -> str:
    return "–" if found.without is None else f"{found.without - found.score:+.3f}"


def _ends(found: Rescored) -> str:
    return "–" if found.low is None or found.high is None else f"{found.low:+.3f} to {found.high:+.3f}"
