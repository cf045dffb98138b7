"""The leaderboard and the tasks' scores as plain tables: one definition of a row for every format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from geneb_jax.plain import write_whole
from geneb_jax.report.web.content import MACRO, MICRO, Cell, Content, Place, regime_name

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]
_SCORE: Final = ".3f"


def leaderboard_rows(content: Content) -> list[Row]:
    """One row per regime and encoder, best macro first: ranks, means with intervals, categories."""
    rows = []
    for regime in content.regimes:
        for entrant in content.ordered(regime):
            macro = content.cell(regime, MACRO, entrant.key)
            micro = content.cell(regime, MICRO, entrant.key)
            rows.append(
                {
                    "regime": regime,
                    "encoder": entrant.name,
                    "source": entrant.origin,
                    "kind": entrant.kind,
                    "params": entrant.params,
                    **_rank(macro),
                    **_score("macro", macro),
                    **_score("micro", micro),
                    "gain_over_kmer": macro.gain,
                    **_categories(content, regime, entrant.key),
                    "num_tasks": macro.num_tasks,
                    "num_tasks_in_suite": macro.num_in_suite,
                    "marks": macro.marks,
                }
            )
    return rows


def task_rows(content: Content) -> list[Row]:
    """One row per task, regime and encoder."""
    rows = []
    for task in content.tasks:
        place: Place = ("task", task.id)
        for regime in content.regimes:
            for entrant in content.ordered(regime, place):
                cell = content.cell(regime, place, entrant.key)
                rows.append(
                    {
                        "task": task.id,
                        "label": task.label,
                        "category": task.category,
                        "regime": regime,
                        "encoder": entrant.name,
                        "source": entrant.origin,
                        **_rank(cell),
                        **_score("score", cell),
                        "marks": cell.marks,
                    }
                )
    return rows


def write_markdown(content: Content, out: Path) -> list[Path]:
    """``leaderboard.md``: the headline and a table for every regime, the legend below."""
    parts = [f"# {content.title}\n\n{content.subtitle}\n\n{content.metric_line}"]
    parts += list(content.warnings)
    for regime, table in _printed(content, "github").items():
        parts.append(f"## {regime_name(regime)}\n\n{content.headlines[regime]}\n\n{table}")
    parts += ["\n".join(f"- {sign} {meaning}" for sign, meaning in content.legend)] if content.legend else []
    parts.append("\n".join(f"- {name}: {text}" for name, text in content.method))
    return [_write(out / "leaderboard.md", "\n\n".join(parts) + "\n")]


def write_latex(content: Content, out: Path) -> list[Path]:
    """``leaderboard.tex``: a table for every regime, with the rules of the package booktabs."""
    parts = [f"% {content.title}: {content.subtitle}. Needs \\usepackage{{booktabs}}."]
    for regime, table in _printed(content, "latex_booktabs").items():
        parts.append(f"% {regime_name(regime)}: {content.headlines[regime]}\n{table}")
    return [_write(out / "leaderboard.tex", "\n\n".join(parts) + "\n")]


def write_csv(content: Content, out: Path) -> list[Path]:
    """``leaderboard.csv`` and ``tasks.csv``."""
    import pyarrow.csv

    return _write_both(content, out, "csv", pyarrow.csv.write_csv)


def write_parquet(content: Content, out: Path) -> list[Path]:
    """``leaderboard.parquet`` and ``tasks.parquet``."""
    import pyarrow.parquet

    return _write_both(content, out, "parquet", pyarrow.parquet.write_table)


WRITERS: Final[Mapping[str, Callable[[Content, Path], list[Path]]]] = {
    "markdown": write_markdown,
    "csv": write_csv,
    "parquet": write_parquet,
    "latex": write_latex,
}


def _write_both(content: Content, out: Path, ending: str, write: Callable[[pa.Table, Path], None]) -> list[Path]:
    import pyarrow as pa

    out.mkdir(parents=True, exist_ok=True)
    found = []
    for name, rows in (("leaderboard", leaderboard_rows(content)), ("tasks", task_rows(content))):
        path = out / f"{name}.{ending}"
        write(pa.Table.from_pylist(rows), path)
        found.append(path)
    return found


def _printed(content: Content, style: str) -> dict[str, str]:
    """The leaderboard of each regime as text, without the columns that are empty or say the same in every row."""
    from tabulate import tabulate

    lines = [(row["regime"], _line(row, content.categories)) for row in leaderboard_rows(content)]
    always = {"Encoder", "Macro", "Micro", *content.categories}
    told = [name for name in lines[0][1] if name in always or len({line[name] for _, line in lines}) > 1]
    return {
        regime: tabulate(
            [[line[name] for name in told] for at, line in lines if at == regime],
            headers=told,
            tablefmt=style,
            disable_numparse=True,
            colalign=["left" if name in ("Encoder", "Source", "Marks") else "right" for name in told],
        )
        for regime in content.regimes
    }


def _line(row: Row, categories: Iterable[str]) -> dict[str, str]:
    """A row as people read it, an interval in one column."""
    rank = " ".join(filter(None, (_text(row["rank"], "g"), _span(row, "rank", "g"), "=" if row["tied"] else "")))
    return {
        "Rank": rank,
        "Encoder": row["encoder"],
        "Source": row["source"],
        "Parameters": _text(row["params"], ","),
        "Macro": _marked(row["macro"], row["marks"]),
        "Interval": _span(row, "macro"),
        "s.d.": _text(row["macro_std"]),
        "Micro": _marked(row["micro"], row["marks"]),
        "vs k-mer": _text(row["gain_over_kmer"]),
        **{name: _marked(row[name], row[f"{name}_marks"]) for name in categories},
        "Tasks": f"{row['num_tasks']}/{row['num_tasks_in_suite']}",
        "Marks": row["marks"],
    }


def _span(row: Row, name: str, style: str = _SCORE) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if low is None else f"({low:{style}}–{high:{style}})"


def _text(value: float | None, style: str = _SCORE) -> str:
    return "" if value is None else format(value, style)


def _marked(value: float | None, marks: str) -> str:
    return _text(value) + marks


def _categories(content: Content, regime: str, key: str) -> Row:
    cells = {name: content.cell(regime, ("category", name), key) for name in content.categories}
    marks = {f"{name}_marks": cell.marks for name, cell in cells.items()}
    return {**{name: cell.value for name, cell in cells.items()}, **marks}


def _rank(cell: Cell) -> Row:
    return {"rank": cell.rank, "rank_low": cell.rank_low, "rank_high": cell.rank_high, "tied": cell.tied}


def _score(name: str, cell: Cell) -> Row:
    return {name: cell.value, f"{name}_low": cell.low, f"{name}_high": cell.high, f"{name}_std": cell.std}


def _write(path: Path, text: str) -> Path:
    write_whole(path, text)
    return path
