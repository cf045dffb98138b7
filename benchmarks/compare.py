"""Two result files side by side: what became slower or faster beyond the spread of its own calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.record import Row
from benchmarks.report import seconds


@dataclass(frozen=True)
class Change:
    """One row of both files. verdict: ``slower``, ``faster``, ``same``, ``wrong now``, ``missing`` or ``new``."""

    name: str
    before: Row | None
    after: Row | None
    verdict: str
    notes: tuple[str, ...] = ()

    @property
    def factor(self) -> float | None:
        """Median after over median before."""
        if not (self.before and self.after and self.before.steady_s and self.after.steady_s):
            return None
        return self.after.steady_s.median / self.before.steady_s.median

    @property
    def bad(self) -> bool:
        """Whether the change is for the worse."""
        return self.verdict in ("slower", "wrong now", "missing")


def _verdict(before: Row, after: Row) -> str:
    if before.check.ok and not after.check.ok:
        return "wrong now"
    a, b = before.steady_s, after.steady_s
    if a is None or b is None:
        return "same"
    # a change counts only where the two spreads do not touch
    return "slower" if b.min > a.max else "faster" if b.max < a.min else "same"


def _notes(before: Row, after: Row) -> tuple[str, ...]:
    notes = []
    if before.device != after.device:
        notes.append("other device")
    if before.workload != after.workload:
        notes.append("other workload")
    for package in sorted(before.versions.keys() | after.versions.keys()):
        old, new = before.versions.get(package, "none"), after.versions.get(package, "none")
        if old != new:
            notes.append(f"{package} {old} → {new}")
    if (after.steady_compilations or 0) > (before.steady_compilations or 0):
        notes.append("compiles again in steady calls")
    if before.memory and after.memory and after.memory.peak_bytes > 1.1 * before.memory.peak_bytes:
        notes.append(f"peak memory × {after.memory.peak_bytes / before.memory.peak_bytes:.2f}")
    return tuple(notes)


def compare_rows(before: Sequence[Row], after: Sequence[Row]) -> list[Change]:
    """Every row of either file, in the order of the first."""
    olds, news = ({(row.name, row.size): row for row in rows} for rows in (before, after))
    changes = []
    for key in dict.fromkeys((*olds, *news)):
        old, new = olds.get(key), news.get(key)
        name = f"{key[0]} ({key[1]})"
        if old is None or new is None:
            changes.append(Change(name, old, new, "new" if old is None else "missing"))
        else:
            changes.append(Change(name, old, new, _verdict(old, new), _notes(old, new)))
    return changes


def print_changes(console: Console, changes: Sequence[Change]) -> None:
    """The comparison for the terminal."""
    table = Table(title="steady time before and after", title_justify="left")
    for header in ("benchmark", "before", "after", "after / before", "verdict", "notes"):
        table.add_column(header, justify="left" if header in ("benchmark", "verdict", "notes") else "right")
    colours = {"slower": "red", "wrong now": "red", "missing": "red", "faster": "green"}
    for change in changes:
        times = [
            seconds(row.steady_s.median) if row is not None and row.steady_s is not None else "–"
            for row in (change.before, change.after)
        ]
        factor = "–" if change.factor is None else f"{change.factor:.2f}"
        colour = colours.get(change.verdict)
        verdict = f"[{colour}]{change.verdict}[/{colour}]" if colour else change.verdict
        table.add_row(change.name, *times, factor, verdict, ", ".join(change.notes))
    console.print(table)
    console.print("slower, faster: the spreads of the two files do not touch. same: they do.")
