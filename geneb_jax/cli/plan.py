"""``geneb plan``: how large a study has to be."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from geneb_jax.cli.effect import refuse_idle
from geneb_jax.cli.options import Finite, resample_options, suite_options
from geneb_jax.errors import ExitCode, UsageError


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN…]")
@click.option("--detect", type=Finite(min=0, min_open=True), required=True, metavar="DIFFERENCE",
              help="Difference between two encoders that the study is to find, such as 0.02.")  # fmt: skip
@click.option("--power", type=Finite(0.5, 1, max_open=True), default=0.8, show_default=True,
              help="Chance with which it is to be found.")  # fmt: skip
@click.option("--among", type=click.IntRange(min=2), default=2, show_default=True, metavar="N",
              help="How many encoders will be compared, all pairs.")  # fmt: skip
@click.option("--disagree", type=Finite(0, 1), metavar="SHARE",
              help="Without RUN: share of test rows on which exactly one of the two is right; gives the "
              "test rows.")  # fmt: skip
@click.option("--sd-draws", type=Finite(min=0), metavar="SD",
              help="Without RUN: standard deviation of the difference from draw to draw; gives the draws.")  # fmt: skip
@click.option("--sd-tasks", type=Finite(min=0), metavar="SD",
              help="Without RUN: standard deviation of the difference from task to task; gives the tasks.")  # fmt: skip
@resample_options(sources=("both",), resamples=2_000)
@suite_options(required=False, made="run", tasks=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    runs: tuple[Path, ...], detect: float, power: float, among: int, disagree: float | None, sd_draws: float | None,
    sd_tasks: float | None, as_json: bool, **resampling: Any,
) -> int:  # fmt: skip
    """How many test rows, draws or tasks show a difference of that size.

    From what the paired differences of RUN… vary by, or from what you state of it. docs/uncertainty.md says how.
    """
    stated = {"disagree": disagree, "sd_draws": sd_draws, "sd_tasks": sd_tasks}
    given = {name: value for name, value in stated.items() if value is not None}
    if bool(runs) == bool(given):
        raise UsageError(
            "a plan needs a run, or what its differences vary by, and not both",
            cure="name a run, or state --disagree, --sd-draws or --sd-tasks",
        )
    if given:
        unused = ["regimes", "resamples", "seed", "groups", "suite_name", "data"]
        unused += [] if disagree is not None else ["metric"]
        reason = "what differences vary by is stated, and no run is looked at"
        refuse_idle(reason, *unused, cure="name a run in place of it, or leave it out")
    return _from_stated(given, detect, power, among, as_json, resampling) if given else _from_runs(
        runs, detect, power, among, as_json, resampling
    )  # fmt: skip


def _from_stated(
    given: dict[str, float], detect: float, power: float, among: int, as_json: bool, resampling: dict[str, Any]
) -> int:
    from geneb_jax.stats.plan import level_alone
    from geneb_jax.stats.testing.planning import needed, needed_rows

    level = level_alone(resampling["level"], among)
    found: dict[str, int | None] = {}
    if "disagree" in given:
        scale = 1.0 if resampling["metric"] == "accuracy" else 2.0
        found["rows"] = needed_rows(detect, given["disagree"], scale=scale, level=level, power=power)
    for name, unit in (("sd_draws", "draws"), ("sd_tasks", "tasks")):
        if name in given:
            found[unit] = needed(detect, given[name] ** 2, level=level, power=power, t_test=True)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return int(ExitCode.DONE)
    from geneb_jax.report.claims import stated_claim
    from geneb_jax.report.tables import console

    to = console()
    for unit, count in found.items():
        to.print(stated_claim(unit, count, detect, level=resampling["level"], power=power), soft_wrap=True)
    return int(ExitCode.DONE)


def _from_runs(
    runs: tuple[Path, ...], detect: float, power: float, among: int, as_json: bool, resampling: dict[str, Any]
) -> int:
    from geneb_jax.cli.resampling import open_runs, open_samples, settings_of
    from geneb_jax.report.board import METRIC_LINES
    from geneb_jax.report.plan import print_plans
    from geneb_jax.report.tables import console
    from geneb_jax.stats.plan import plan

    samples, done = open_samples(open_runs(runs), resampling, quiet=as_json)
    with done as tick:
        found = plan(samples, detect, power=power, among=among, done=tick,
                     **settings_of(resampling, "metric", "level", "resamples", "seed"))  # fmt: skip
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
    else:
        to = console()
        to.print(METRIC_LINES[resampling["metric"]])
        print_plans(found, to, level=resampling["level"], power=power, among=among)
    return int(ExitCode.DONE)
