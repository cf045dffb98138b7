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

from benchmarks.report import seconds
from benchmarks.rows.base import Bench, Context, fit
from benchmarks.timing import seconds_of


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
    """Trace one steady call into `folder` and print the two summaries."""
    import jax

    problem, lanes = bench.problem(context), bench.lanes(context.size)
    context.say("first call, with compilation")
    first, _ = seconds_of(lambda: fit(problem, lanes))
    plain, _ = seconds_of(lambda: fit(problem, lanes))
    folder.mkdir(parents=True, exist_ok=True)
    watch = cProfile.Profile()
    watched, _ = seconds_of(lambda: watch.runcall(fit, problem, lanes))
    with jax.profiler.trace(str(folder), create_perfetto_trace=True):
        fit(problem, lanes)
    console.print(
        f"[bold]{bench.name}[/bold]: {problem.n:,} × {problem.d:,}, {problem.classes} classes, {len(lanes)} probes; "
        f"first call {seconds(first)}, steady {seconds(plain)}, with the function profiler {seconds(watched)}"
    )
    _print(console, "by function, called ones included", functions(watch), watched)
    traces = sorted(folder.rglob("perfetto_trace.json.gz"))
    found = operations(traces[-1]) if traces else []
    if found:
        _print(console, "by compiled operation, summed over threads", found, plain)
    else:
        console.print("The trace names no compiled operation on this backend.")
    for trace in traces[-1:]:
        console.print(f"Open {trace.relative_to(folder)} in {folder.name} with https://ui.perfetto.dev")


def _print(console: Console, title: str, phases: list[Phase], whole: float) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("where", overflow="fold")
    for header in ("time", "share", "calls"):
        table.add_column(header, justify="right")
    for phase in phases:
        table.add_row(phase.name, seconds(phase.seconds), f"{100 * phase.seconds / whole:.0f} %", f"{phase.calls:,}")
    console.print(table)
