"""The leaderboard and the tasks' scores as plain tables: one definition of a row for every format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from geneb_jax.report.web.content import MACRO, MICRO, Cell, Content, Place, regime_name

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]


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
                    **{c: content.cell(regime, ("category", c), entrant.key).value for c in content.categories},
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

    rows = leaderboard_rows(content)
    spoken = [name for name in rows[0] if name not in ("regime", "kind", "num_tasks", "num_tasks_in_suite")]
    told = [name for name in spoken if len({str(row[name]) for row in rows}) > 1 or name in content.categories]
    return {
        regime: tabulate(
            [[_text(row[name]) for name in told] for row in rows if row["regime"] == regime],
            headers=[name.replace("_", " ") for name in told],
            tablefmt=style,
            disable_numparse=True,
            colalign=["left" if isinstance(rows[0][name], str) else "right" for name in told],
        )
        for regime in content.regimes
    }


def _text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "=" if value else ""
    if isinstance(value, float):
        return f"{value:g}" if value.is_integer() else f"{value:.3f}"
    return str(value)


def _rank(cell: Cell) -> Row:
    return {"rank": cell.rank, "rank_low": cell.rank_low, "rank_high": cell.rank_high, "tied": cell.tied}


def _score(name: str, cell: Cell) -> Row:
    return {name: cell.value, f"{name}_low": cell.low, f"{name}_high": cell.high, f"{name}_std": cell.std}


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
