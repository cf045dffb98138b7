"""``geneb compare --source tasks`` and ``geneb compare --published``: encoders compared over tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from geneb_jax.run.runs import Runs
    from geneb_jax.stats.means import Scope
    from geneb_jax.stats.task_comparison import TaskTable
    from geneb_jax.stats.testing.over_tasks import TaskTest


def compare_tasks(
    runs: Runs | None,
    resampling: Mapping[str, Any],
    scopes: Sequence[Scope],
    *,
    published: bool,
    test: TaskTest,
    within: float | None,
    pairs: bool,
    as_json: bool,
) -> int:
    """Compare the encoders of runs, of the published board, or of both, over tasks.

    Raises:
        UsageError: a scope that is no mean over tasks, or no task in common.
    """
    from geneb_jax.report.board import METRIC_LINES
    from geneb_jax.report.tables import console
    from geneb_jax.report.task_comparison import print_task_comparison
    from geneb_jax.stats.task_comparison import compare_tables

    if "task" in scopes:
        raise UsageError("one task is no sample of tasks", cure="take --scope macro, micro or category")
    if published or runs is None:
        tables = _board_tables(runs, resampling)
    else:
        tables = _run_tables(runs, resampling, quiet=as_json)
    found = compare_tables(
        tables, scopes, test=test, within=within, level=resampling["level"], flips=resampling["resamples"],
        seed=resampling["seed"],
    )  # fmt: skip
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
    else:
        to = console()
        to.print(METRIC_LINES[resampling["metric"]])
        print_task_comparison(found, to, pairs=pairs)
    return int(ExitCode.DONE)


def _run_tables(runs: Runs, resampling: Mapping[str, Any], *, quiet: bool) -> list[TaskTable]:
    from geneb_jax.cli.resampling import open_samples, settings_of
    from geneb_jax.report.naming import series_name
    from geneb_jax.stats.aggregate import task_scores
    from geneb_jax.stats.task_comparison import run_tables

    among = list(dict.fromkeys(score.series for score in task_scores(runs.records)))
    samples, done = open_samples(runs, resampling, quiet=quiet)
    with done as tick:
        return run_tables(
            samples,
            lambda one: series_name(one, among),
            done=tick,
            **settings_of(resampling, "metric", "resamples", "seed"),
        )


def _board_tables(runs: Runs | None, resampling: Mapping[str, Any]) -> list[TaskTable]:
    from geneb_jax.cli.boards import require_mcc, run_entries
    from geneb_jax.cli.options import split_known
    from geneb_jax.cli.resampling import open_samples
    from geneb_jax.stats.analysis.board import ScoreBoard
    from geneb_jax.stats.task_comparison import board_tables

    require_mcc(resampling)
    board = ScoreBoard.published()
    if runs:
        samples, _ = open_samples(runs, resampling, quiet=True)
        board = board.beside(ScoreBoard.of_runs(samples, run_entries(runs, {}, "board"), resamples=1))
    asked = resampling.get("regimes")
    return board_tables(board, split_known(asked, "regime", board.regimes) if asked else None)
