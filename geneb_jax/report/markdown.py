"""Sections as Markdown: the same columns that the terminal shows, in one table each."""

from __future__ import annotations

from collections.abc import Sequence

from geneb_jax.report.analysis import Section


def section_markdown(section: Section) -> str:
    """A heading, a table with its left columns flush left and the others flush right, and the notes."""
    columns = [*section.left, *section.columns]
    parts = [f"## {section.title}"]
    if section.left[0].cells:
        rule = [":--"] * len(section.left) + ["--:"] * len(section.columns)
        rows = zip(*(column.cells for column in columns), strict=True)
        parts.append("\n".join(map(_row, ([column.head for column in columns], rule, *rows))))
    return "\n\n".join([*parts, *section.notes])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
