"""``geneb compare --published``: runs beside the official board, on the tasks that both have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from geneb_jax.run import Run
    from geneb_jax.stats.aggregate import Series


def beside_the_board(runs: list[Run], resampling: Mapping[str, Any], *, as_json: bool) -> int:
    """Print each encoder's macro with its interval, and its place among the published models on the same tasks.

    Raises:
        UsageError: another metric than MCC was asked for, or no task of the runs is on the board.
    """
    from geneb_jax.cli.resampling import open_samples
    from geneb_jax.published import known_tasks
    from geneb_jax.report.tables import console
    from geneb_jax.report.uncertainty import print_places
    from geneb_jax.stats.placing import places
    from geneb_jax.stats.samples import tasks_of
    from geneb_jax.stats.uncertainty import score_intervals

    if resampling["metric"] != "mcc":
        raise UsageError("the published scores are MCC", cure="leave --metric out")
    categories = tasks_of(runs)
    shared = set(known_tasks(categories))
    if not shared:
        raise UsageError(
            "none of the tasks in these runs is on the official board",
            cure="the board has the 100 tasks of the suite geneb: `geneb run … --suite geneb`",
        )
    samples, done = open_samples(runs, resampling, quiet=as_json)
    settings = {name: resampling[name] for name in ("source", "level", "resamples", "seed")}
    with done as tick:
        scores = score_intervals((s for s in samples if s.task in shared), done=tick, **settings)
    held: dict[tuple[Series, str], dict[str, str]] = {}
    for score in scores:
        if score.scope == "task":
            held.setdefault((score.series, score.regime), {})[score.name] = categories[score.name]
    found = places(scores, held)
    if as_json:
        click.echo(json.dumps([asdict(place) for place in found], indent=2))
    else:
        print_places(found, console(), level=resampling["level"])
    return int(ExitCode.DONE)
