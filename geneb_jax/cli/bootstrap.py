"""``geneb bootstrap``: intervals for every score of one or more runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.cli.effect import refuse_idle
from geneb_jax.cli.options import resample_options, split_known, suite_options
from geneb_jax.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from geneb_jax.stats.means import Scope
    from geneb_jax.stats.uncertainty import Score


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN…")
@resample_options(sources=("both", "rows", "draws", "tasks"))
@suite_options(required=False, made="run", tasks=False)
@click.option("--method", type=click.Choice(("bca", "percentile", "basic")), default="bca", show_default=True,
              help="Kind of interval.")  # fmt: skip
@click.option("--scope", "scopes", default="macro,micro,category", show_default=True, metavar="LIST",
              help="Which scores: macro, micro, category, task.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(runs: tuple[Path, ...], method: str, scopes: str, as_json: bool, **resampling: Any) -> int:
    """Intervals of the scores in RUN…, from the predictions that runs keep; nothing is fitted again.

    What varies is said by --source: the test rows (the same for all encoders), the few-shot draws, both, or the tasks.
    Full data has no draws, so there `both` is the rows. docs/uncertainty.md explains each and shows how often the
    intervals hold the truth.
    """
    from geneb_jax.cli.resampling import open_runs, open_samples, settings_of
    from geneb_jax.report.board import METRIC_LINES
    from geneb_jax.report.tables import console
    from geneb_jax.report.uncertainty import print_scores
    from geneb_jax.stats.uncertainty import score_intervals, task_resampled_scores
    from geneb_jax.stats.varied import varied_json, varied_lines

    wanted = check_scopes(scopes)
    if resampling["source"] == "tasks" and "task" in wanted:
        raise UsageError("--source tasks gives intervals of means over tasks, not of one task", cure="leave task out")
    if resampling["source"] == "tasks":
        reason = "--source tasks gives Student's t over the tasks, and resamples nothing"
        refuse_idle(reason, "method", "resamples", "seed", cure="leave it out, or take --source both")
    opened = open_runs(runs)
    samples, done = open_samples(opened, resampling, quiet=as_json)
    settings = settings_of(resampling, "metric", "level", "resamples", "seed")
    size = len(opened.meta.suite.categories)
    with done as tick:
        if resampling["source"] == "tasks":
            own = settings_of(resampling, "metric", "level")
            found = task_resampled_scores(samples, num_in_suite=size, done=tick, **own)
        else:
            found = score_intervals(
                samples, num_in_suite=size, source=resampling["source"], method=method, done=tick, **settings  # type: ignore[arg-type]
            )  # fmt: skip
    shown = [score for score in found if score.scope in wanted]
    if as_json:
        held = {one.regime: one for one in samples.varied(resampling["source"])}
        rows = [{**asdict(score), **_no_ends(score), **varied_json(held[score.regime])} for score in shown]
        click.echo(json.dumps(rows, indent=2))
    else:
        to = console()
        to.print(METRIC_LINES[resampling["metric"]])
        how = f"{method}, {resampling['resamples']:,} resamples" if resampling["source"] != "tasks" else "Student's t"
        to.print(f"Intervals at {resampling['level']:.0%}: {how}.")
        for line in varied_lines(samples.varied(resampling["source"])):
            to.print(line)
        print_scores(shown, to, level=resampling["level"])
    return int(ExitCode.DONE)


def _no_ends(score: Score) -> dict[str, None]:
    from geneb_jax.report.marks import is_certain

    return {"low": None, "high": None} if is_certain(score.low, score.high, score.marks) else {}


def check_scopes(text: str) -> list[Scope]:
    """The scopes of a list, in their usual order. Raises UnknownNameError."""
    from geneb_jax.report.uncertainty import SCOPES

    asked = split_known(text, "scope", SCOPES)
    return [scope for scope in SCOPES if scope in asked]
