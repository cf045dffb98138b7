"""``geneb compare``: which differences between encoders are real."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from geneb_jax.cli.beside_board import beside_the_board
from geneb_jax.cli.bootstrap import check_scopes
from geneb_jax.cli.effect import refuse_idle
from geneb_jax.cli.options import Finite, resample_options, suite_options
from geneb_jax.cli.over_tasks import compare_tasks
from geneb_jax.errors import ExitCode, UsageError


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN…]")
@resample_options(sources=("both", "rows", "draws", "tasks"))
@suite_options(required=False, made="run", tasks=False)
@click.option("--scope", "scopes", default="macro", show_default=True, metavar="LIST",
              help="Which rankings: macro, micro, category, task.")  # fmt: skip
@click.option("--pairs", is_flag=True, help="Show every pair with its p-values, not the distance from the best alone.")
@click.option("--gain", is_flag=True,
              help="Show gains over the floor, the best k-mer encoder of the runs, instead of ranks.")  # fmt: skip
@click.option("--published", is_flag=True,
              help="Place the runs beside the official board instead, on the tasks that both have. Without RUN, or "
              "with --source tasks: test the board's models over its tasks.")  # fmt: skip
@click.option(
    "--within",
    type=Finite(min=0, min_open=True),
    metavar="MARGIN",
    help="Differences up to this do not matter: also say which encoders are equal within it, such as 0.02.",
)
@click.option("--task-test", type=click.Choice(("wilcoxon", "mean")), default="wilcoxon", show_default=True,
              help="With --source tasks: signed ranks, better on most tasks; or the mean difference.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    runs: tuple[Path, ...], scopes: str, pairs: bool, gain: bool, published: bool, within: float | None, task_test: Any,
    as_json: bool, **resampling: Any,
) -> int:  # fmt: skip
    """Compare all encoders and probes in RUN… with each other, paired on the same test rows, or over tasks.

    Shows ranks with their intervals, who cannot be told from the best, and the smallest difference that each task can
    show. p-values are adjusted over all pairs of a ranking: max-T and Holm against any false claim, BH for the share of
    them. docs/uncertainty.md explains each.
    """
    from geneb_jax.cli.resampling import open_runs, open_samples, settings_of
    from geneb_jax.report.board import METRIC_LINES, Board
    from geneb_jax.report.gain import print_gains
    from geneb_jax.report.tables import console
    from geneb_jax.report.uncertainty import print_comparison
    from geneb_jax.stats.compare import compare
    from geneb_jax.stats.gain import floor_digests, gains_over_floor
    from geneb_jax.stats.varied import varied_json, varied_lines

    wanted = check_scopes(scopes)
    if not runs and not published:
        raise UsageError("there is no run to compare", cure="name a run, or compare the official board: --published")
    over_tasks = resampling["source"] == "tasks" or not runs
    if not runs:
        reason = "the board's models are compared over its tasks, by their published scores"
        refuse_idle(reason, "source", "groups", "suite_name", "data", cure="name a run, or leave it out")
    elif not over_tasks:
        refuse_idle("it is a test over tasks", "task_test", cure="add --source tasks, or leave it out")
        if published:
            reason = "--published shows macro and categories, and the places among the published models"
            refuse_idle(reason, "scopes", "pairs", "gain", "within", cure="leave it or --published out")
    if gain:
        reason = "--gain shows gains over the floor alone"
        refuse_idle(reason, "pairs", "within", cure="leave one of the two out")
    if over_tasks:
        refuse_idle("gains over the floor are not compared over tasks", "gain")
        if as_json:
            refuse_idle("the JSON holds all pairs", "pairs")
        return compare_tasks(
            open_runs(runs) if runs else None, resampling, wanted, published=published, test=task_test, within=within,
            pairs=pairs, as_json=as_json,
        )  # fmt: skip
    if as_json:
        refuse_idle("the JSON holds pairs, gains and ranks", "pairs", "gain")
    opened = open_runs(runs)
    if published:
        return beside_the_board(opened, resampling, as_json=as_json)
    samples, done = open_samples(opened, resampling, quiet=as_json)
    settings = settings_of(resampling)
    with done as tick:
        found = compare(samples, within=within, done=tick, **settings)
    board = Board(opened, resampling["metric"])
    gains = gains_over_floor(found, floor_digests(opened))
    if as_json:
        parts = {
            name: [asdict(row) for row in getattr(found, name)]
            for name in ("differences", "ranks", "rankings", "detectable")
        }
        for name in ("differences", "ranks", "rankings"):
            parts[name] = [row for row in parts[name] if row["scope"] in wanted]
        shown = [row for row in found.ranks if row.scope in wanted]
        marks = [sorted(board.marks_at(row.series, row.regime, row.scope, row.name)) for row in shown]
        parts["ranks"] = [{**row, "marks": own} for row, own in zip(parts["ranks"], marks, strict=True)]
        parts["gains"] = [asdict(row) for row in gains if row.scope in wanted]
        varied = {one.regime: varied_json(one) for one in samples.varied(resampling["source"])}
        click.echo(json.dumps({**parts, "left_out": found.left_out, "varied": varied}, indent=2))
    else:
        to = console()
        to.print(METRIC_LINES[resampling["metric"]])
        count, level = (resampling[name] for name in ("resamples", "level"))
        to.print(f"{count:,} paired resamples; intervals at {level:.0%}.")
        for line in varied_lines(samples.varied(resampling["source"])):
            to.print(line)
        if gain:
            print_gains(gains, to, level=level, scopes=wanted)
            return int(ExitCode.DONE)
        print_comparison(found, board, to, level=resampling["level"], scopes=wanted, pairs=pairs, within=within)
    return int(ExitCode.DONE)
