"""Result files of every kind as Markdown, and the place in the README that they are written to."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import record
from benchmarks.gpu import steps
from benchmarks.grid import result as grid
from benchmarks.grid.report import print_grid
from benchmarks.machine import heading, short_commit
from benchmarks.report import markdown, markdown_table
from geneb_jax.errors import DataError

BEGIN, END = "<!-- results, written by: python -m benchmarks table --into FILE -->\n", "<!-- end of results -->\n"
RESULTS = Path(__file__).parent / "results"


def tables(files: Sequence[Path]) -> str:
    """One section for each file."""
    return "\n".join(_section(file) for file in files)


def _section(path: Path) -> str:
    kind = record.open_document(path)["geneb_type"]
    if kind == grid.TYPE:
        out = io.StringIO()
        print_grid(Console(file=out, width=100), grid.read_grid(path))
        body = f"```text\n{out.getvalue()}```\n"
    elif kind == steps.TYPE:
        body = _checks(record.open_document(path, steps.TYPE, steps.VERSION))
    else:
        body = markdown(record.read(path))
    return f"### `{path.name}`\n\n{body}"


def _checks(found: dict[str, Any]) -> str:
    machine = found["machine"]
    lines = [(step["name"], step["outcome"], f"{step['seconds']:.1f} s", step["why"] or "–") for step in found["steps"]]
    where = heading(machine["device"], machine["date"][:10], [short_commit(machine["commit"], machine["dirty"])])
    return "\n".join([where, "", *markdown_table(("check", "outcome", "time", "why"), lines)])


def split_at_results(page: Path) -> tuple[str, str, str]:
    """What stands before, between and after the two marks. Raises DataError where they are missing."""
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise DataError("this page has no place for results", where=page.name, cure=f"add {BEGIN.strip()} and {END}")
    head, rest = text.split(BEGIN)
    between, tail = rest.split(END)
    return head, between, tail


def write_into(page: Path, text: str) -> None:
    """Put the tables between the marks."""
    head, _, tail = split_at_results(page)
    page.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}", encoding="utf-8")
