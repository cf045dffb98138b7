"""``geneb curves``: learning curves of runs with several few-shot regimes, and how many draws a ranking needs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from geneb_jax.cli.bootstrap import check_scopes
from geneb_jax.cli.options import Finite, resample_options, split_numbers, suite_options
from geneb_jax.errors import ExitCode


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN…")
@resample_options(sources=("both", "rows", "draws"), resamples=2_000)
@suite_options(required=False, made="run", tasks=False)
@click.option(
    "--reach", metavar="LIST", help="Also the labelled rows per class that each encoder needs for these scores."
)
@click.option("--scope", "scopes", default="macro", show_default=True, metavar="LIST",
              help="Which scores: macro, micro, category, task.")  # fmt: skip
@click.option("--chance", type=Finite(0, 1, min_open=True), default=0.95, show_default=True,
              help="With which a ranking by few draws is to be that of the other draws.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    runs: tuple[Path, ...], reach: str | None, scopes: str, chance: float, as_json: bool, **resampling: Any
) -> int:
    """Scores in RUN… by the number of labelled rows per class, from the predictions that runs keep.

    Make a run with several numbers and many draws first: `geneb probe STORE --regimes 1shot,10shot,100shot,full
    --draws 200 --out RUN`. Shows what the scores' uncertainty is made of, and how often a ranking by few draws is the
    one by the other draws. docs/uncertainty.md explains it.
    """
    from geneb_jax.cli.resampling import open_runs, open_samples, settings_of
    from geneb_jax.report.board import METRIC_LINES
    from geneb_jax.report.curves import print_curves
    from geneb_jax.report.tables import console
    from geneb_jax.stats.curves import learning_curves
    from geneb_jax.stats.stability import enough_draws, ranking_agreement
    from geneb_jax.stats.varied import varied_json, varied_lines

    wanted = check_scopes(scopes)
    targets = split_numbers(reach, float, "--reach") if reach else []
    opened = open_runs(runs)
    samples, done = open_samples(opened, resampling, quiet=as_json)
    settings = settings_of(resampling)
    size = len(opened.meta.suite.categories)
    with done as tick:
        found = learning_curves(
            samples, targets=targets, scopes=wanted, num_in_suite=size, done=tick, **settings
        )  # fmt: skip
    varied = samples.varied(resampling["source"])
    samples, _ = open_samples(opened, resampling, quiet=True)
    agreements = ranking_agreement(samples, scopes=wanted, metric=resampling["metric"], seed=resampling["seed"])
    enough = enough_draws(agreements, chance)
    if as_json:
        listing = {
            **asdict(found),
            "agreements": [asdict(row) for row in agreements],
            "enough": [asdict(row) for row in enough],
            "varied": {one.regime: varied_json(one) for one in varied},
        }
        click.echo(json.dumps({"geneb_type": "curves", "geneb_version": 1, **settings, **listing}, indent=2))
    else:
        to = console()
        to.print(METRIC_LINES[resampling["metric"]])
        for line in varied_lines(varied):
            to.print(line)
        print_curves(found, agreements, enough, to, level=resampling["level"])
    return int(ExitCode.DONE)
