"""``geneb leakage``: test rows that also stand in train, and a run's scores without them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.cli.files import write_text
from geneb_jax.cli.options import resample_options, split_list, suite_options
from geneb_jax.cli.resampling import open_runs, open_samples, settings_of
from geneb_jax.cli.sequences import behind, load_task
from geneb_jax.errors import ExitCode, MissingDataError, RunError

if TYPE_CHECKING:
    from geneb_jax.task.near import Leaks


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN…")
@suite_options(required=False, made="run")
@click.option("--near/--no-near", default=True, show_default=True,
              help="Also near-duplicates: 80% of a test sequence stand in one of train at 90% identity, either strand.",
              )  # fmt: skip
@resample_options(sources=("both", "rows", "draws"), resamples=2_000)
@click.option("--write-groups", type=click.Path(path_type=Path), metavar="CSV",
              help="Also write which test rows repeat one another, as --groups CSV reads them.",
              )  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    runs: tuple[Path, ...],
    suite_name: str | None,
    data: Path | None,
    patterns: tuple[str, ...],
    near: bool,
    write_groups: Path | None,
    as_json: bool,
    **resampling: Any,
) -> int:
    """Count the test rows of the tasks in RUN… that also stand in their training rows, and score the others alone.

    It reads the sequences of the suite (by default the runs', if it is built in) and the predictions that the runs
    keep; nothing is fitted again. The change of a score has an interval, from resamples of both scores together. Exit
    status: 4 when the data of some task are not at hand.
    """
    from geneb_jax.report.board import METRIC_LINES
    from geneb_jax.report.leakage import print_leaks
    from geneb_jax.report.tables import console
    from geneb_jax.stats.leakage import rescored
    from geneb_jax.stats.varied import varied_json, varied_lines
    from geneb_jax.task.near import leaked_rows

    opened = open_runs(runs)
    tasks = behind(opened, suite_name, data, split_list(patterns))
    if not tasks:
        raise RunError(
            "the runs hold none of these tasks", where=opened.name, cure="name the suite that they were made from"
        )
    leaks: dict[str, Leaks] = {}
    groups: dict[str, list[int]] = {}
    absent: dict[str, MissingDataError] = {}
    for task_id, (run, suite) in tasks.items():
        try:
            task = load_task(run, suite, task_id)
        except MissingDataError as error:
            absent[task_id] = error
            continue
        leaks[task_id] = leaked_rows(task.train.sequences, task.test.sequences, near=near)
        if write_groups is not None:
            from geneb_jax.task.groups import duplicate_groups

            groups[task_id] = duplicate_groups(task.test.sequences, near=near).tolist()
    if not leaks:
        raise next(iter(absent.values()))
    if write_groups is not None:
        lines = [f"{task},{row},{group}" for task, of in groups.items() for row, group in enumerate(of)]
        write_text(write_groups, "\n".join(["task,row,group", *lines]) + "\n")
    settings = settings_of(resampling)
    samples, done = open_samples(
        opened, {**resampling, "suite_name": suite_name, "data": data, "reads_suite": True}, quiet=as_json
    )  # fmt: skip
    with done as tick:
        scores = rescored(samples, {task: found.any for task, found in leaks.items()}, done=tick, **settings)
    counts = {task: _counts(found) for task, found in leaks.items()}
    if as_json:
        reasons = {task: missing.what for task, missing in absent.items()}
        listing = {**settings, "near": near, "tasks": counts, "absent": reasons}
        listing["varied"] = {one.regime: varied_json(one) for one in samples.varied(resampling["source"])}
        listing["scores"] = [asdict(s) for s in scores]
        click.echo(json.dumps({"geneb_type": "leakage", "geneb_version": 1, **listing}, indent=2))
    else:
        to = console()
        to.print(METRIC_LINES[resampling["metric"]])
        for line in varied_lines(samples.varied(resampling["source"])):
            to.print(line)
        to.print()
        print_leaks(counts, scores, opened.meta.suite.labels, to, near=near, level=resampling["level"])
        for task_id, missing in absent.items():
            click.echo(f"not looked at: {task_id}: {missing.what}", err=True)
    return int(ExitCode.SOME_FAILED if absent else ExitCode.DONE)


def _counts(found: Leaks) -> dict[str, int]:
    kinds = {"same": found.exact, "mirror": found.opposite, "near": found.near, "leaked": found.any}
    return {"rows": len(found.exact), **{kind: int(rows.sum()) for kind, rows in kinds.items()}}
