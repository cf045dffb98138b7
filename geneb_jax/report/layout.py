"""Tables that fit the terminal: columns are measured, and those that find no room go on in a table below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

_GAP = 2


@dataclass(frozen=True)
class Column:
    """A column of plain text; a cell may have several lines."""

    head: str
    cells: list[str]

    @property
    def width(self) -> int:
        """Characters of the longest line."""
        return max(len(line) for text in (self.head, *self.cells) for line in text.split("\n"))


def packed(left: Sequence[Column], columns: Sequence[Column], width: int) -> Iterator[Table]:
    """As few tables as fit the width, each with the left columns and at least one of the others."""
    room = width - sum(c.width + _GAP for c in left)
    blocks: list[list[Column]] = []
    used = room + 1
    for column in columns:
        if used + column.width > room:
            blocks.append([])
            used = 0
        blocks[-1].append(column)
        used += column.width + _GAP
    for block in blocks:
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
        for number, column in enumerate([*left, *block]):
            table.add_column(
                Text(column.head), justify="left" if number < len(left) else "right", overflow="fold", vertical="bottom"
            )
        for cells in zip(*(c.cells for c in [*left, *block]), strict=True):
            table.add_row(*map(Text, cells))
        yield table


def value(mean: float | None, std: float | None = None, marks: str = "") -> str:
    """A score with its spread and its marks; the marks alone, or a dash, where there is none."""
    if mean is None:
        return marks or "–"
    spread = f" ±{std:.3f}" if std is not None else ""
    return f"{mean:.3f}{spread}{marks}"


def number_range(fewest: int, most: int) -> str:
    """One number, or a range where the two differ."""
    return str(fewest) if fewest == most else f"{fewest}–{most}"


def share(part: int, whole: int) -> str:
    """A percentage, a dash for none."""
    if not part:
        return "–"
    return f"{part / whole:.0%}" if part >= whole / 100 else "<1%"


def once(names: Sequence[str]) -> list[str]:
    """Names, each where it first stands."""
    return [name if i == 0 or names[i - 1] != name else "" for i, name in enumerate(names)]
