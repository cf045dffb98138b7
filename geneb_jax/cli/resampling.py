"""What the commands that resample runs share: opening runs, groups of rows, and the progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from geneb_jax.axes import NumpyInt
from geneb_jax.cli.effect import refuse_idle_resampling
from geneb_jax.cli.options import split_list
from geneb_jax.cli.sequences import RULES, groups_by_rule
from geneb_jax.errors import DataError, UsageError, unknown_name
from geneb_jax.plain import require_file

if TYPE_CHECKING:
    from geneb_jax.run.runs import Runs
    from geneb_jax.stats.varied import Samples


def open_runs(paths: Iterable[Path]) -> Runs:
    """The runs in these directories as one; what must be said of that is said."""
    from geneb_jax.report.board import degenerate_lines, leak_lines
    from geneb_jax.run.runs import Runs

    runs = Runs.of(paths)
    for note in (*runs.notes, *leak_lines(runs), *degenerate_lines(runs)):
        click.echo(f"note: {note}", err=True)
    return runs


def settings_of(resampling: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Of the options of `geneb_jax.cli.options.resample_options` those that the bootstrap takes, or `names` of them."""
    return {name: resampling[name] for name in names or ("metric", "source", "level", "resamples", "seed")}


def open_samples(
    runs: Runs, resampling: Mapping[str, Any], *, quiet: bool
) -> tuple[Samples, AbstractContextManager[Callable[[object], None] | None]]:
    """The runs' tasks, one at a time, and a progress bar that counts those that are done."""
    from geneb_jax.probes.regime import Regime
    from geneb_jax.stats.samples import task_samples
    from geneb_jax.stats.varied import Samples

    regimes = None
    if resampling.get("regimes") is not None:
        regimes = [Regime.parse(word).name for word in split_list(resampling["regimes"])]
        if not regimes:
            raise UsageError("--regimes is empty", cure="name some with commas, or leave it out for all")
        held = set(runs.records["regime"].unique().to_pylist())
        for word in regimes:
            if word not in held:
                raise unknown_name("regime of these runs", word, held)
    refuse_idle_resampling(
        resampling.get("source", "both"), resampling["groups"], suite=not resampling.get("reads_suite")
    )
    groups = None
    if str(resampling["groups"]) in RULES:
        groups = groups_by_rule(runs, str(resampling["groups"]), resampling.get("suite_name"), resampling.get("data"))
    elif resampling["groups"]:
        groups = read_groups(resampling["groups"])
    return Samples(task_samples(runs, regimes=regimes, groups=groups)), _progress(len(runs.categories), quiet)


@contextmanager
def _progress(tasks: int, quiet: bool) -> Iterator[Callable[[object], None] | None]:
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        job = bar.add_task("resampling tasks", total=tasks)
        yield lambda _: bar.advance(job)


def read_groups(path: Path) -> dict[str, NumpyInt]:
    """Groups of test rows by task, from a CSV with the columns task, row (from 0) and group (any text).

    Raises:
        DataError: it cannot be read, a column is missing, or a task's rows are not 0 … m-1, each once.
    """
    import csv

    require_file(path)
    held: dict[str, dict[int, str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, line in enumerate(csv.DictReader(file), start=2):
                row = int(line["row"])
                if row in held.setdefault(line["task"], {}):
                    raise DataError(f"row {row} of task {line['task']} has two groups", where=f"{path}, line {number}")
                held[line["task"]][row] = line["group"]
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(
            f"the groups cannot be read: {error}", where=str(path), cure="write a CSV with the columns task,row,group"
        ) from error
    found = {}
    for task, rows in held.items():
        if sorted(rows) != list(range(len(rows))):
            raise DataError(
                "some test rows have no group", where=f"{path}, task {task}", cure="number the rows from 0, each once"
            )
        found[task] = np.unique([rows[i] for i in range(len(rows))], return_inverse=True)[1].astype(np.int64)
    return found
