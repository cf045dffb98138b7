"""The outcome of a grid run for the terminal; every figure of the whole grid says how it was come by."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks.grid.result import GridResult, GridRival, Phase, Size
from benchmarks.machine import device_label, short_commit
from benchmarks.report import amount, seconds

PROBING = ("read", "transfer", "solve", "score", "record", "rest")
"""What `geneb probe` does with a store, compilation apart."""
WORDS = {
    "generate": "draw vectors",
    "write": "into the store, synced",
    "read": "from the disk, checksums compared",
    "transfer": "to the device, centred, scaled",
    "solve": "all probes",
    "score": "on all test rows",
    "record": "records, predictions",
    "compile": "each new shape once",
    "rest": "start, open, merge",
    "bootstrap": "all intervals, paired",
}


def print_grid(console: Console, result: GridResult) -> None:
    """The tables and sentences of one run."""
    console.print(
        f"[bold]grid benchmark, scale {result.scale:g}[/bold]: {_size(result.run)}; whole grid: {_size(result.whole)}"
    )
    console.print(
        f"{device_label(result.device)}, {result.date[:10]}, commit {short_commit(result.commit, result.dirty)}; "
        f"{result.resamples:,} bootstrap resamples; at most {result.disk_bytes / 1e9:.3g} GB on the disk at a time."
    )
    if result.row_share < 1:
        console.print(f"Each task keeps {100 * result.row_share:.3g} % of its rows.")
    table = Table(title="seconds by phase", title_justify="left")
    table.add_column("phase", no_wrap=True)
    table.add_column("this run", justify="right")
    table.add_column("whole grid" if result.exact else "whole grid,\nextrapolated", justify="right")
    if not result.exact:
        table.add_column("held-out\ncalls", justify="right")
    table.add_column("what")
    for phase in result.phases:
        held_out = [] if result.exact else [error(phase.held_out_error)]
        table.add_row(phase.name, seconds(phase.seconds), whole(result, phase), *held_out, WORDS[phase.name])
    console.print(table)
    if not result.exact:
        console.print(
            "Extrapolated: seconds = rates × counted work (bytes, passes, Gram matrices, new shapes; model.py), rates "
            "fitted on this run's calls. Held-out calls: each predicted from the others, all of them over measured."
        )
    f, how = result.floors, "" if result.exact else " (extrapolated)"
    spent = sum(result.phase(name).whole_seconds for name in PROBING)
    console.print(
        f"Floors of the whole grid: reading {amount(f.whole_read_s)} s at {f.disk_bytes_per_s / 1e9:.3g} GB/s, one "
        f"Gram matrix a cell {amount(f.whole_gram_s)} s at {f.matrix_flops_per_s / 1e9:,.0f} Gflop/s. "
        f"{', '.join(PROBING).capitalize()} take {amount(spent)} s{how}: "
        f"{amount(spent / f.whole_read_s)} × the reading, {amount(spent / (f.whole_read_s + f.whole_gram_s))} × both."
    )
    for rival in result.rivals:
        console.print(_rival(result, rival))
    if result.mcc_wanted:
        console.print(f"MCC at full data, 5 to 95 %: {_few(result.mcc_reached)}; drawn for {_few(result.mcc_wanted)}.")
    sizes = ", ".join(f"{count} {source}" for source, count in result.task_sizes.items())
    console.print(f"Rows of the tasks: {sizes}; more than 100,000 cut to that.")
    for fault in result.faults:
        console.print(f"[yellow]without a score: {fault}[/yellow]")
    if result.streamed:
        console.print(f"{result.streamed} cells did not fit the memory budget and were read in blocks.")
    if result.sessions > 1:
        console.print(f"Interrupted: {result.sessions} processes worked on this run.")
    if result.busy:
        console.print(
            f"[yellow]Other work ran on this machine (load {result.load}): not to be quoted as its speed.[/yellow]"
        )


def whole(result: GridResult, phase: Phase) -> str:
    """Seconds of the whole grid, marked where they are extrapolated."""
    return seconds(phase.whole_seconds) if result.exact else f"≈ {seconds(phase.whole_seconds)}"


def error(value: float | None) -> str:
    """A relative error in per cent."""
    return "–" if value is None else f"{100 * value:+.0f} %"


def _rival(result: GridResult, rival: GridRival) -> str:
    by_cell = sum(rival.seconds) / sum(rival.ours) / rival.processes
    cores = f"{rival.processes} core{'s' * (rival.processes > 1)}"
    text = (
        f"{rival.name}: {len(rival.cells)} cells take {amount(sum(rival.seconds) / rival.processes)} s on "
        f"{cores} and us {amount(sum(rival.ours))} s, {amount(by_cell)} × as long"
    )
    if rival.whole_seconds is not None:
        ours = sum(result.phase(name).whole_seconds for name in ("transfer", "solve", "score"))
        text += (
            f"; the whole grid ≈ {amount(rival.whole_seconds)} s against {amount(ours)} s, "
            f"{amount(rival.whole_seconds / ours)} × (extrapolated, held-out cells {error(rival.held_out_error)})"
        )
    return f"{text}. {rival.note[0].upper()}{rival.note[1:]}."


def _size(size: Size) -> str:
    return (
        f"{size.encoders} encoders of width {size.widths[0]:,} to {size.widths[-1]:,} × {size.tasks} tasks, "
        f"{size.rows:,} rows, {size.bytes / 1e9:.3g} GB"
    )


def _few(values: list[float]) -> str:
    return f"{values[0]:.2f} to {values[-1]:.2f}, median {values[len(values) // 2]:.2f}"
