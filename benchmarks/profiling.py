"""Where one benchmark's time goes: a JAX trace for Perfetto and a text summary by phase and by operation."""

from __future__ import annotations

import cProfile
import gzip
import json
import pstats
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import device_label
from benchmarks.phases import Watch
from benchmarks.report import seconds
from benchmarks.rows.base import Bench, Context
from benchmarks.timing import seconds_of
from geneb_jax.errors import UsageError

SUMMARY = "summary.txt"


@dataclass(frozen=True)
class Phase:
    """Seconds inside one function or operation, and how often it ran."""

    name: str
    seconds: float
    calls: int


def functions(profile: cProfile.Profile, most: int = 15) -> list[Phase]:
    """Functions of geneb_jax by the time spent in them and in what they call."""
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    found = []
    for (file, _, name), (_, calls, _, cumulative, _) in stats.items():
        parts = Path(file).with_suffix("").parts
        if "geneb_jax" in parts and not name.startswith("<"):
            inside = parts[len(parts) - 1 - parts[::-1].index("geneb_jax") + 1 :]
            found.append(Phase(f"{'.'.join(inside)}.{name}", cumulative, calls))
    return sorted(found, key=lambda phase: -phase.seconds)[:most]


def operations(trace: Path, most: int = 15) -> list[Phase]:
    """XLA operations of a Perfetto trace by their summed time over all threads."""
    with gzip.open(trace, "rt", encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for event in events:
        # events with an hlo_op are compiled operations; the rest are the runtime and Python
        if event.get("ph") == "X" and "hlo_op" in event.get("args", {}):
            entry = sums[f"{event['args'].get('hlo_module', '')}: {event['args']['hlo_op']}"]
            entry[0] += event.get("dur", 0) / 1e6
            entry[1] += 1
    phases = [Phase(name, total, int(calls)) for name, (total, calls) in sums.items()]
    return sorted(phases, key=lambda phase: -phase.seconds)[:most]


def profile_bench(context: Context, bench: Bench, folder: Path, console: Console) -> None:
    """Trace one steady call into `folder`, and print and leave there a summary by phase, function and operation.

    Raises UsageError for a row that is no single call.
    """
    import jax

    if bench.work is None:
        raise UsageError(
            f"{bench.name} is not one call that could be traced",
            cure="choose a row that fits or resamples; this one's seconds by phase are in the `measures` of its result",
        )
    call = bench.work(context, bench)
    context.say("first call, with compilation")
    first, _ = seconds_of(call)
    plain, _ = seconds_of(call)
    folder.mkdir(parents=True, exist_ok=True)
    steps = Watch()
    with steps.on():
        watched, _ = seconds_of(call)
    profiler = cProfile.Profile()
    slowed, _ = seconds_of(lambda: profiler.runcall(call))
    with jax.profiler.trace(str(folder), create_perfetto_trace=True):
        call()
    traces = sorted(folder.rglob("perfetto_trace.json.gz"))
    by_phase = [Phase(name, spent, 1) for name, spent in steps.seconds.items() if spent]
    by_phase.append(Phase("the rest", watched - sum(steps.seconds.values()), 1))
    tables = [
        ("by phase, each waited for", by_phase, watched),
        ("by function, called ones included", functions(profiler), slowed),
        ("by compiled operation, summed over threads", operations(traces[-1]) if traces else [], plain),
    ]
    with (folder / SUMMARY).open("w", encoding="utf-8") as file:
        for out in (console, Console(file=file, width=120)):
            out.print(
                f"[bold]{bench.name}[/bold], {bench.workload_name(context.size)}: first call {seconds(first)}, steady "
                f"{seconds(plain)}, with phases waited for {seconds(watched)}, with the function profiler "
                f"{seconds(slowed)}; {device_label()}"
            )
            for title, found, whole in tables:
                _print(out, title, found, whole)
    for trace in traces[-1:]:
        console.print(f"Open {trace.relative_to(folder)} in {folder.name} with https://ui.perfetto.dev")
    console.print(f"The tables are in {SUMMARY} beside it.")


def _print(console: Console, title: str, phases: list[Phase], whole: float) -> None:
    if not phases:
        console.print(f"{title}: nothing is named on this backend.")
        return
    table = Table(title=title, title_justify="left")
    table.add_column("where", overflow="fold")
    for header in ("time", "share", "calls"):
        table.add_column(header, justify="right")
    for phase in phases:
        table.add_row(phase.name, seconds(phase.seconds), f"{100 * phase.seconds / whole:.0f} %", f"{phase.calls:,}")
    console.print(table)
