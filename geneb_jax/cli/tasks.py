"""``geneb tasks``: the tasks of a suite, or with ``--audit`` what is odd about their data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geneb_jax.errors import ExitCode, UsageError
from geneb_jax.task import Suite, TaskInfo, load_suite

if TYPE_CHECKING:
    from rich.console import Console

    from geneb_jax.task.audit import SuiteAudit, TaskAudit

_WIDTH_WHEN_PIPED = 140


@click.command()
@click.option("--suite", "suite_name", default="geneb", show_default=True, metavar="SUITE",
              help="geneb, quickstart, a folder in the official layout, or a .toml file.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR",
              help="Local GENEB files: DIR/tasks/<task_id>/{train,test}.csv, also .csv.gz or .parquet. "
              "Default: the folder in GENEB_DATA, if set, else the hub.")  # fmt: skip
@click.option("--tasks", "patterns", multiple=True, metavar="GLOB",
              help="Only tasks whose id matches, such as '*splice*'; repeat it or use commas.")  # fmt: skip
@click.option("--audit", "want_audit", is_flag=True,
              help="Read the data; report duplicates, class balance, lengths and odd letters.")  # fmt: skip
@click.option("--near", is_flag=True,
              help="With --audit: also near-duplicates (90% identity over 80% of the length, both strands) between "
              "splits and between tasks.")  # fmt: skip
@click.option("--against", "other_name", metavar="SUITE",
              help="With --audit: also which sequences this suite's tasks share with those of another suite.",
              )  # fmt: skip
@click.option("--offline", is_flag=True, help="Use only hub files that are in the cache already.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    suite_name: str,
    data: Path | None,
    patterns: tuple[str, ...],
    want_audit: bool,
    near: bool,
    other_name: str | None,
    offline: bool,
    as_json: bool,
) -> int:
    """List the tasks of a suite, or audit their data.

    Exit status with --audit: 4 when a task could not be read (the others still are), 3 when none could.
    """
    suite = load_suite(suite_name, data=data, offline=offline)
    suite = suite.select([part for pattern in patterns for part in pattern.split(",") if part])
    if near and not want_audit:
        raise UsageError("--near is a part of the audit", cure="give --audit --near")
    if want_audit:
        other = None if other_name is None else load_suite(other_name, data=data, offline=offline)
        return _run_audit(suite, near, other, as_json)
    if other_name is not None:
        raise UsageError("--against is a part of the audit", cure="give --audit --against SUITE")
    present = _present(suite)
    if as_json:
        tasks = [{**asdict(info), "present": present.get(info.id)} for info in suite.tasks]
        listing = {"suite": suite.name, "version": suite.version, "source": suite.source, "tasks": tasks}
        click.echo(json.dumps(listing, indent=2))
    else:
        _print_listing(suite, present)
    return int(ExitCode.DONE)


def _present(suite: Suite) -> dict[str, bool | None]:
    """Which tasks have files here; empty for the hub, which can fetch them all."""
    from geneb_jax.task.hub import HubReader

    return {} if isinstance(suite.reader, HubReader) else suite.present()


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    # rich assumes 80 columns in a pipe, which would fold ids that somebody wants to grep
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH_WHEN_PIPED)


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _print_listing(suite: Suite, present: dict[str, bool | None]) -> None:
    from rich.table import Table
    from rich.text import Text

    console = _console()
    groups = list(dict.fromkeys((info.category, info.source_suite) for info in suite.tasks))
    categories = len({category for category, _ in groups})
    noun = "category" if categories == 1 else "categories"
    count = f"{_plural(len(suite.tasks), 'task')} in {categories} {noun}"
    version = "" if suite.version in suite.source else f", version {suite.version}"
    console.print(Text.assemble((f"Suite {suite.name}", "bold"), f": {count}"))
    console.print(Text(f"source {suite.source}{version}"), soft_wrap=True)
    if present:
        console.print(f"data here: {sum(p is True for p in present.values())} of {_plural(len(present), 'task')}")
    console.print()
    # the longest GENEB id has 82 letters: every column of padding counts in a window of 100
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("task id", overflow="fold")
    for name in ("classes", "train", "test"):
        table.add_column(name, justify="right", no_wrap=True)
    if present:
        table.add_column("data", no_wrap=True)
    marks: set[str] = set()
    for group in groups:
        title = group[0] + (f" · {group[1]}" if group[1] else "")
        table.add_row(Text(title, style="bold"))
        for info in suite.tasks:
            if (info.category, info.source_suite) == group:
                cells = _sizes(info)
                marks |= {cell[0] for cell in cells}
                here = [("yes" if present[info.id] else "no")] if present else []
                table.add_row(Text(info.id), *cells, *here)
    console.print(table)
    notes = {
        "~": "stated for the collection that the task was drawn from, not counted in the task's own files",
        "–": "not stated anywhere; --audit reads the files and counts",
    }
    if marks & set(notes):
        console.print()
    for mark in sorted(marks & set(notes), reverse=True):
        console.print(Text(f"{mark} {notes[mark]}", style="dim"))


def _sizes(info: TaskInfo) -> list[str]:
    """Class count, training and test rows: the task's own, else those of its source marked with ``~``."""
    cells = []
    for name in ("num_classes", "n_train", "n_test"):
        own = getattr(info, name)
        other = getattr(info.upstream, name) if info.upstream else None
        cells.append(f"{own}" if own is not None else f"~{other}" if other is not None else "–")
    return cells


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on stderr that moves on with every task."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("auditing"), BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn())
    last = TextColumn("{task.fields[name]}", markup=False)
    # in a log a bar is noise
    with Progress(*columns, last, console=console, transient=True, disable=not console.is_terminal) as bar:
        handle = bar.add_task("audit", total=total, name="")
        yield lambda task_id: bar.update(handle, advance=1, name=task_id)


def _run_audit(suite: Suite, near: bool, other: Suite | None, as_json: bool) -> int:
    from geneb_jax.task.audit import audit

    with _progress(len(suite.tasks)) as done:
        report = audit(suite, near=near, against=other, done=done)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        _print_audit(suite, report)
    return int(ExitCode.SOME_FAILED if report.failed else ExitCode.DONE)


# heading (two lines), what it means
_COLUMNS = (
    ("train\nrows", None),
    ("test\nrows", None),
    ("\nclasses", None),
    ("rarest\nclass", "share of the least frequent class among the training rows"),
    ("\nlength", "shortest–longest sequence"),
    ("\nrepeats", "rows that repeat an earlier row's sequence in the same split (train + test)"),
    ("\nleaked", "test rows whose very sequence is also in train"),
    ("\nmirror", "test rows not leaked whose opposite strand is in train"),
    ("\nnear", "test rows neither leaked nor mirror, 80% of which stand in one training sequence at 90% identity"),
    ("two\nlabels", "sequences that occur with more than one label"),
    ("not\nACGT", "rows with a letter other than A, C, G, T"),
)
_NEAR = _COLUMNS[8]


def _near_rows(task: TaskAudit) -> int | None:
    between = task.between("train", "test")
    return None if between is None else between.near_rows


def _print_audit(suite: Suite, report: SuiteAudit) -> None:
    from rich.table import Table
    from rich.text import Text

    console = _console()
    good = [task for task in report.tasks if task.problem is None]
    labels = {info.id: info.label for info in suite.tasks}
    console.print(Text.assemble((f"Audit of suite {report.suite}", "bold"), f", version {report.version}"))
    tally = [f"{len(good)} of {_plural(len(suite.tasks), 'task')} audited"]
    tally += [f"{len(report.absent)} without data here"] if report.absent else []
    tally += [f"[red]{len(report.failed)} could not be read[/red]"] if report.failed else []
    console.print(", ".join(tally) + "\n")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("\ntask", overflow="fold")
    columns = [c for c in _COLUMNS if c is not _NEAR or any(_near_rows(task) is not None for task in good)]
    for title, _ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for task in good:
        table.add_row(
            Text(labels[task.id]), *(Text(cell, style=_style(i, cell)) for i, cell in enumerate(_cells(task)))
        )
    if good:
        console.print(table)
        console.print()
        for title, meaning in columns:
            if meaning:
                console.print(f"{title.replace(chr(10), ' ').strip():>12}  {meaning}", style="dim")
    _print_pairs(console, report, labels)
    warnings = [(task, warning) for task in good for warning in task.warnings]
    if warnings:
        console.print("\n[bold]Warnings[/bold]")
        for task, warning in warnings:
            console.print(f"  {labels[task.id]}: {warning}", markup=False, soft_wrap=True)
    if report.failed:
        console.print("\n[bold]Could not be read[/bold]")
        for task in report.failed:
            console.print(f"  {task.id}", style="red", markup=False)
            console.print("    " + (task.problem or "").replace("\n", "\n    "), markup=False, soft_wrap=True)


def _print_pairs(console: Console, report: SuiteAudit, labels: dict[str, str]) -> None:
    if not report.pairs:
        return
    from rich.table import Table
    from rich.text import Text

    near = any(pair.near_first is not None for pair in report.pairs)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("same", "of first", "of second", *(("near, of first", "near, of second") if near else ())):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("tasks", overflow="fold")
    for pair in report.pairs:
        shares = [_percent(pair.sequences, pair.distinct_first), _percent(pair.sequences, pair.distinct_second)]
        if near:
            shares += [_percent(pair.near_first or 0, pair.looked_first or 1)]
            shares += [_percent(pair.near_second or 0, pair.looked_second or 1)]
        names = (labels.get(name, name) for name in (pair.first, pair.second))
        table.add_row(f"{pair.sequences:,}", *shares, Text(" and ".join(names)))
    console.print("\n[bold]Sequences that two tasks share[/bold]")
    console.print(table)
    if near:
        from geneb_jax.task.audit import LOOKED_AT

        note = (
            f"near: also those nearly contained in one of the other task; {LOOKED_AT:,} at most of each task are tried"
        )
        console.print(note, style="dim", soft_wrap=True)


def _cells(task: TaskAudit) -> list[str]:
    train, test = task.split("train"), task.split("test")
    between = task.between("train", "test")
    if train is None or test is None or between is None:
        raise LookupError(f"an audited task has train and test: {task.id}")
    shortest = min(split.length_min for split in task.splits)
    longest = max(split.length_max for split in task.splits)
    return [
        f"{train.rows:,}",
        f"{test.rows:,}",
        str(len(set(train.class_counts) | set(test.class_counts))),
        _percent(min(train.class_counts.values()), train.rows),
        f"{shortest}" if shortest == longest else f"{shortest}–{longest}",
        f"{train.duplicate_rows + test.duplicate_rows:,}",
        f"{between.rows:,}",
        f"{between.opposite_rows:,}",
        *([] if between.near_rows is None else [f"{between.near_rows:,}"]),
        f"{task.conflicting_sequences:,}",
        f"{sum(split.rows_with_other_letters for split in task.splits):,}",
    ]


def _style(column: int, cell: str) -> str:
    return "yellow" if column >= 5 and cell != "0" else ""


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.0f}%" if share >= 1 or part == 0 else "<1%"
