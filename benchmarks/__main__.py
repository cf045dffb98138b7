"""``python -m benchmarks``: list, run, compare, profile, grid, table."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from geneb_jax.errors import ExitCode, GenebError

FAILED = 1
"""Exit status where a check failed or a row became slower."""

size_option = click.option(
    "--size",
    type=click.Choice(["toy", "real"]),
    default="real",
    show_default=True,
    help="toy: bundled sequences, seconds, no figure to quote. real: the rows as published.",
)
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with geneb/tasks and more/tasks. Default: data in GENEB_SHARED, else in ../shared.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def app() -> None:
    """Speed of geneb_jax against its rivals and against the machine, correctness checked in the same run."""
    machine.leave_memory()


@app.command("list")
@size_option
@data_option
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def list_rows(size: str, data: Path | None, as_json: bool) -> None:
    """What can be run, against which rival, with which goal."""
    from benchmarks.rows import BENCHES
    from benchmarks.workloads import find_data

    folder = find_data(data)
    facts = []
    for bench in BENCHES.values():
        task, encoder = bench.source(size)  # type: ignore[arg-type]
        facts.append(
            {
                "name": bench.name,
                "what": bench.what,
                "rival": bench.rival,
                "task": task,
                "encoder": encoder,
                "goals": [goal.text for goal in bench.goals],
                "data": bench.here(size, folder),  # type: ignore[arg-type]
            }
        )
    if as_json:
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    console = Console()
    table = Table(title=f"{len(facts)} benchmarks, {size} size", title_justify="left")
    for header in ("name", "encoder", "goal", "data"):
        table.add_column(header, overflow="fold")
    what = None
    for fact in facts:
        if fact["what"] != what:
            what = fact["what"]
            table.add_section()
            table.add_row(f"[italic]{what}[/italic]\n[dim]against: {fact['rival']}[/dim]", "", "", "")
        goals = "\n".join(fact["goals"]) or "–"  # type: ignore[arg-type]
        table.add_row(str(fact["name"]), str(fact["encoder"]), goals, "here" if fact["data"] else "not here")
    console.print(table)


@app.command("run")
@click.argument("names", nargs=-1)
@size_option
@data_option
@click.option("--out", type=click.Path(path_type=Path), help="JSON file to write; rewritten after every row.")
@click.option("--repeats", type=click.IntRange(2), default=7, show_default=True, help="Steady calls of our side.")
@click.option(
    "--memory/--no-memory", default=True, show_default=True, help="Peak memory of every row, in a new process."
)
@click.option(
    "--stock",
    type=click.Choice(["both", "float32", "float64"]),
    default="both",
    show_default=True,
    help="Precision of the embeddings that the stock harness gets; the best ratio is against the faster.",
)
@click.option("--cap", type=float, default=60.0, show_default=True, help="Seconds for one run of a rival in a race.")
@click.option("--cache", type=click.Path(path_type=Path), help="JAX's persistent compilation cache; default: none.")
def run_rows(
    names: tuple[str, ...],
    size: str,
    data: Path | None,
    out: Path | None,
    repeats: int,
    memory: bool,
    stock: str,
    cap: float,
    cache: Path | None,
) -> int:
    """Measure rows by NAME or pattern (protocol-*); without a name, all whose data are here."""
    import jax

    from benchmarks.record import Row, dump
    from benchmarks.report import print_rows
    from benchmarks.rows import select
    from benchmarks.rows.base import Context
    from benchmarks.workloads import find_data

    if cache is not None:
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    console = Console()
    folder = find_data(data)
    benches = select(names)
    rows: list[Row] = []
    with console.status("") as status:
        for number, bench in enumerate(benches, 1):
            head = f"{number} of {len(benches)}: {bench.name}"
            if not bench.here(size, folder):  # type: ignore[arg-type]
                console.print(f"[yellow]left out[/yellow] {bench.name}: its task is not on this machine (see --data)")
                continue

            def say(text: str, head: str = head) -> None:
                status.update(f"{head} · {text}")

            say("embedding")
            context = Context(
                size=size,  # type: ignore[arg-type]
                data=folder,
                repeats=repeats,
                memory=memory,
                stock_dtypes=("float32", "float64") if stock == "both" else (stock,),
                cap=cap,
                say=say,
            )
            rows.append(bench.measure(context, bench))
            if out is not None:
                dump(rows, out)
    if not rows:
        console.print("Nothing was measured.")
        return int(ExitCode.BAD_INPUT)
    print_rows(console, rows)
    if out is not None:
        console.print(f"Written: {out.name}, {len(rows)} row{'s' * (len(rows) > 1)}.")
    return 0 if all(row.check.ok for row in rows) else FAILED


@app.command("compare")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
def compare_files(before: Path, after: Path) -> int:
    """What became slower from BEFORE.json to AFTER.json, beyond the spreads; exit status 1 if anything did."""
    from benchmarks.compare import compare_rows, print_changes
    from benchmarks.record import read

    changes = compare_rows(read(before), read(after))
    print_changes(Console(), changes)
    return FAILED if any(change.bad for change in changes) else 0


@app.command("profile")
@click.argument("name")
@size_option
@data_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("benchmark-profile"), show_default=True)
def profile_row(name: str, size: str, data: Path | None, out: Path) -> None:
    """Where the time of one row goes: a trace for Perfetto, and a summary by function and by operation."""
    from benchmarks.profiling import profile_bench
    from benchmarks.rows import select
    from benchmarks.rows.base import Context
    from benchmarks.workloads import find_data

    (bench, *_) = select((name,))
    console = Console()
    context = Context(size=size, data=find_data(data))  # type: ignore[arg-type]
    profile_bench(context, bench, out, console)


@app.command("grid")
@click.option(
    "--scale",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.01,
    show_default=True,
    help="Share of the whole grid's bytes to run; the rest is extrapolated, and said so.",
)
@click.option("--store", type=click.Path(path_type=Path), help="Folder to work in, where an interrupted run goes on.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file to write.")
@click.option("--keep", is_flag=True, help="Keep the store and the run directory of all encoders.")
@click.option("--resamples", type=click.IntRange(100), default=10_000, show_default=True)
@click.option(
    "--rivals", type=float, default=60.0, show_default=True, help="About how many seconds the rivals may take; 0: none."
)
def grid(scale: float, store: Path | None, out: Path | None, keep: bool, resamples: int, rivals: float) -> int:
    """The whole board at its published size, or a part: 40 encoders × 100 tasks, from a store to intervals."""
    from benchmarks.grid import run_grid
    from benchmarks.grid.report import print_grid
    from benchmarks.grid.result import dump_grid

    console = Console()
    with console.status("") as status:
        result = run_grid(scale, folder=store, keep=keep, resamples=resamples, rival_seconds=rivals, say=status.update)
    print_grid(console, result)
    if out is not None:
        dump_grid(result, out)
        console.print(f"Written: {out.name}.")
    return FAILED if result.faults else 0


@app.command("table")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--into", type=click.Path(path_type=Path), help="Page to write them to, between its two marks.")
def print_tables(files: tuple[Path, ...], into: Path | None) -> None:
    """The Markdown tables of result FILES of every kind; without a name, of all in benchmarks/results."""
    from benchmarks.tables import RESULTS, tables, write_into

    text = tables(files or sorted(RESULTS.glob("*.json")))
    if into is None:
        click.echo(text)
    else:
        write_into(into, text)


def main() -> None:
    """Run the command and turn errors into exit statuses, as ``geneb`` does."""
    # so that a run that is told to end deletes its temporary store
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        code = app.main(prog_name="python -m benchmarks", standalone_mode=False)
    except GenebError as error:
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(str(error), err=True)
        sys.exit(int(error.exit_code))
    except click.exceptions.Abort:
        sys.exit(int(ExitCode.INTERRUPTED))
    except click.ClickException as error:
        error.show()
        sys.exit(int(ExitCode.USAGE))
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
