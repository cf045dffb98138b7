"""Rows as text: a table for the terminal, Markdown for the README."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.machine import device_label, heading, short_commit
from benchmarks.record import Rival, Row


def seconds(value: float | None) -> str:
    """A duration with three digits and its unit."""
    if value is None:
        return "–"
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if value < limit:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s" if value < 999.5 else f"{value:,.0f} s"


def span(low: float, high: float) -> str:
    """Two durations, the unit once where it is the same."""
    first, last = seconds(low), seconds(high)
    same = first.split(" ")[1] == last.split(" ")[1]
    return f"{first.split(' ')[0] if same else first} – {last}"


def amount(value: float | None, suffix: str = "") -> str:
    """A figure with three digits."""
    if value is None:
        return "–"
    return (f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}") + suffix


def work(row: Row) -> str:
    """The size of the work."""
    w = row.workload
    if not w.d:  # predictions alone were resampled
        return f"{w.m:,} test rows, {w.k} classes, {w.lanes:,} encoders"
    if not w.lanes:  # nothing was fitted
        return f"{w.n + w.m:,} sequences to width {w.d:,}"
    return f"{w.n:,} × {w.d:,}, {w.k} classes, {w.lanes:,} probe{'s' * (w.lanes > 1)}"


def steady(row: Row) -> str:
    """Median and spread."""
    if row.steady_s is None:
        return "–"
    return f"{seconds(row.steady_s.median)} ({span(row.steady_s.min, row.steady_s.max)})"


def fastest(row: Row, *, as_shipped: bool) -> Rival | None:
    """The rival behind the ratio."""
    if as_shipped and not row.name.startswith("race-"):
        return row.rivals[0] if row.rivals else None
    times = {rival.name: rival.as_shipped if as_shipped else rival.best for rival in row.rivals}
    there = [rival for rival in row.rivals if times[rival.name] is not None and (rival.best is not None)]
    key = (lambda r: r.as_shipped or 0.0) if as_shipped else (lambda r: r.best or 0.0)
    return min(there, key=key, default=None)


def rival_seconds(row: Row, *, as_shipped: bool) -> str:
    """Seconds of the rival behind the ratio, and which it is in a race."""
    rival = fastest(row, as_shipped=as_shipped)
    if rival is None:
        return "–"
    text = seconds(rival.as_shipped if as_shipped else rival.best)
    if row.name.startswith("race-"):
        return f"{text}, {rival.name}"
    if not as_shipped:
        setting = min(rival.seconds, key=lambda label: rival.seconds[label])
        text += f", {rival.dtype}, {setting.removeprefix('as shipped, ')}"
    return text + ("*" if rival.scaled else "")


def ratio(row: Row, *, as_shipped: bool) -> str:
    """How many times faster than the rival."""
    value = row.ratio_as_shipped if as_shipped else row.ratio_best
    return "–" if value is None else f"{amount(value)}×"


def goals(row: Row) -> str:
    """Every goal with what was reached."""
    signs = {True: "met", False: "MISSED", None: ""}
    parts = [
        f"{t.measure.replace('_', ' ')} {t.sense} {t.bound:g}: {amount(t.value)} {signs[t.met]}".rstrip()
        for t in row.targets
    ]
    return "; ".join(parts) or "–"


def correct(row: Row) -> str:
    """The check's outcome with its figures."""
    c = row.check
    figures = f"gap {c.gap:.0e}, {c.rows_different} of {c.rows_compared:,} rows differ"
    return f"yes ({figures})" if c.ok else f"NO: {'; '.join(c.trouble)}"


def own_measures(row: Row) -> str:
    """The row's further figures, without those that a goal already shows."""
    shown = {target.measure for target in row.targets} | {"peak_over_allowed"}
    return ", ".join(f"{k.replace('_', ' ')} {amount(v)}" for k, v in row.measures.items() if k not in shown) or "–"


_SHORT = {"ratio_best": "at best", "ratio_as_shipped": "as shipped", "fit_over_gram": "Grams"}
_SHORT |= {"grid_over_one_C": "grid / one C", "peak_over_allowed": "peak / allowed"}


def _short_goals(row: Row) -> str:
    signs = {True: "[green]met[/green]", False: "[red]missed[/red]", None: ""}
    lines = []
    for target in row.targets:
        value = "" if target.measure.startswith("ratio") else f" {amount(target.value)}"
        name = _SHORT.get(target.measure, target.measure)
        lines.append(f"{name}{value} {target.sense} {target.bound:g} {signs[target.met]}".replace("  ", " ").rstrip())
    return "\n".join(lines)


def _short_rival(row: Row, *, as_shipped: bool) -> str:
    if not row.rivals:
        return "–"
    return f"{rival_seconds(row, as_shipped=as_shipped)}\n{ratio(row, as_shipped=as_shipped)}".replace(", ", "\n")


def print_rows(console: Console, rows: Sequence[Row]) -> None:
    """The outcome of a run for the terminal, in 100 columns."""
    table = Table(title=f"geneb_jax benchmarks · {device_label()}", title_justify="left", show_lines=True)
    table.add_column("benchmark", no_wrap=True)
    for header in ("our time", "rival\nas shipped", "rival\nat its best"):
        table.add_column(header, justify="right")
    table.add_column("correct, goal")
    for row in rows:
        spread = median = "–"
        if row.steady_s is not None:
            median = seconds(row.steady_s.median)
            spread = span(row.steady_s.min, row.steady_s.max)
        table.add_row(
            f"[bold]{row.name}[/bold]\n" + work(row)[::-1].replace(" ,", "\n", 1)[::-1],
            f"[bold]{median}[/bold]\n{spread}\n+ {seconds(row.compile_s)} compile",
            _short_rival(row, as_shipped=True),
            _short_rival(row, as_shipped=False),
            ("[green]correct[/green]\n" if row.check.ok else "[red]NOT CORRECT[/red]\n") + _short_goals(row),
        )
    console.print(table)
    console.print(
        "our time: median and spread of the calls after the first, from NumPy arrays to scores; compile comes once.\n"
        "rival: its time, and how many times as fast we are; at its best: its fastest thread setting and precision."
    )
    if any(row.size == "toy" for row in rows):
        console.print("Goals are for --size real and are not judged at toy size.")
    if any(rival.scaled for row in rows for rival in row.rivals):
        console.print("* timed on a part of the work and scaled.")
    for row in (row for row in rows if row.points):
        axis = next(iter(row.points[0]))
        line = ", ".join(f"{point[axis]:,.0f}: {seconds(point['median'])}" for point in row.points)
        console.print(f"{row.name}, time by {axis}: {line}; grows like {axis}^{row.measures['exponent']:.2f}")
    for row in rows:
        for trouble in row.check.trouble:
            console.print(f"[red]{row.name}: {trouble}[/red]")
        if row.steady_compilations:
            console.print(f"[yellow]{row.name}: {row.steady_compilations} compilations in steady calls[/yellow]")


def markdown_table(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table, and an empty one."""
    rule = "|" + "|".join("---" for _ in headers) + "|"
    return ["| " + " | ".join(headers) + " |", rule, *("| " + " | ".join(line) + " |" for line in lines), ""]


def markdown(rows: Sequence[Row]) -> str:
    """The tables of the README, from result rows."""
    out: list[str] = []
    places: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        places.setdefault((device_label(row.device), row.size), []).append(row)
    for (_, size), some in sorted(places.items()):
        dates = sorted({row.date[:10] for row in some})
        commits = sorted({short_commit(row.commit, row.dirty) for row in some})
        libraries = ", ".join(f"{k} {v}" for k, v in some[0].versions.items() if k in ("jax", "numpy", "scikit-learn"))
        when = " to ".join(dict.fromkeys((dates[0], dates[-1])))
        out += [f"{heading(some[0].device, when, commits)}, {size} size, {libraries}", ""]
        out += _busy(some)
        out += _sections(some)
    return "\n".join(out)


def _busy(rows: Sequence[Row]) -> list[str]:
    """A row leaves at most as much load as there are cores; more is others' work."""
    cores, loads = int(rows[0].device["cores"]), [row.load for row in rows if row.load is not None]
    if not loads or max(loads) <= 1.5 * cores:
        return []
    return [f"Other work ran meanwhile: load {min(loads):g} to {max(loads):g} on {cores} cores. These are no figures "
            "to quote as the machine's speed; ratios suffered on both sides.", ""]  # fmt: skip


def _sections(rows: Sequence[Row]) -> list[str]:
    out: list[str] = []
    against = [row for row in rows if row.rivals]
    if against:
        headers = ("row", "work", "compile", "first", "steady (min – max)", "rival as shipped", "rival at its best")
        lines = [(*_ours(r), *_theirs(r), goals(r), _ceiling(r), _peak(r), correct(r)) for r in against]
        more = ("ratio as shipped", "ratio at best", "goal", "of the ceiling", "peak memory", "correct")
        out += markdown_table((*headers, *more), lines)
        if any(rival.scaled for row in against for rival in row.rivals):
            out += ["\\* timed on a part and scaled.", ""]
        stops = [
            f"- `{row.name}`: {row.measures['stock_gap_float32']:.1e} after "
            f"{row.measures['stock_iterations_float32']:.0f} iterations"
            for row in against
            if "stock_gap_float32" in row.measures
        ]
        if stops:
            out += ["Where the stock harness (float32) stopped, as its objective's relative distance from the optimum "
                    "at full data; ours is under `correct`:", *stops, ""]  # fmt: skip
        left_out = [
            f"- `{row.name}`: {rival.name} ({rival.dtype}): {rival.note}"
            for row in against
            for rival in row.rivals
            if rival.best is None
        ]
        if left_out:
            out += ["Rivals without a time:", *left_out, ""]
    alone = [row for row in rows if not row.rivals and not row.points]
    if alone:
        headers = ("row", "work", "compile", "first", "steady (min – max)", "goal", "further figures")
        lines = [(*_ours(r), goals(r), own_measures(r), _ceiling(r), _peak(r), correct(r)) for r in alone]
        out += markdown_table((*headers, "of the ceiling", "peak memory", "correct"), lines)
    for row in (row for row in rows if row.points):
        axis = next(iter(row.points[0]))
        headers = (f"`{row.name}`: {axis}", *(f"{point[axis]:,.0f}" for point in row.points))
        lines = [
            ("steady", *(seconds(point["median"]) for point in row.points)),
            ("compile", *(seconds(point["compile_s"]) for point in row.points)),
            ("steps", *(amount(point["steps"]) for point in row.points)),
        ]
        out += markdown_table(headers, lines)
        out += [
            f"{row.what}; cost grows like {axis}^{row.measures['exponent']:.2f} "
            f"({axis}^{row.measures['exponent_last_two']:.2f} between the last two points); correct: {correct(row)}.",
            "",
        ]
    return out


def _ours(row: Row) -> tuple[str, ...]:
    return f"`{row.name}`", work(row), seconds(row.compile_s), seconds(row.first_s), steady(row)


def _theirs(row: Row) -> tuple[str, ...]:
    times = (rival_seconds(row, as_shipped=True), rival_seconds(row, as_shipped=False))
    return *times, ratio(row, as_shipped=True), ratio(row, as_shipped=False)


def _ceiling(row: Row) -> str:
    return "–" if row.ceilings is None else f"{100 * row.ceilings.fraction:.2g} %"


def _peak(row: Row) -> str:
    if row.memory is None:
        return "–"
    peak, before, allowed = (
        b / 1e6 for b in (row.memory.peak_bytes, row.memory.before_bytes, row.memory.allowed_bytes)
    )
    kept = (
        "" if row.memory.kept_bytes is None else f" ({row.memory.kept_bytes / 1e6:,.0f} with programs compiled before)"
    )
    return f"{peak:,.0f} MB{kept} of {allowed:,.0f} allowed, {before:,.0f} before the fit"
