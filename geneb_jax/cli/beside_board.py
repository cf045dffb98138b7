"""``geneb compare --published``: runs beside the official board, on the tasks that both have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.errors import ExitCode

if TYPE_CHECKING:
    from geneb_jax.run.runs import Runs
    from geneb_jax.stats.aggregate import Series


def beside_the_board(runs: Runs, resampling: Mapping[str, Any], *, as_json: bool) -> int:
    """Print each encoder's macro and categories with intervals, and their places among the published models there.

    Raises:
        UsageError: another metric than MCC was asked for, or no task of the runs is on the board.
    """
    from geneb_jax.cli.boards import require_mcc
    from geneb_jax.cli.resampling import open_samples, settings_of
    from geneb_jax.published import known_tasks
    from geneb_jax.report.tables import console
    from geneb_jax.report.uncertainty import print_places
    from geneb_jax.stats.placing import no_common_task, places
    from geneb_jax.stats.protocol import protocol_differences
    from geneb_jax.stats.uncertainty import score_intervals
    from geneb_jax.stats.varied import varied_json, varied_lines

    require_mcc(resampling)
    categories = runs.categories
    shared = set(known_tasks(categories))
    if not shared:
        raise no_common_task()
    samples, done = open_samples(runs, resampling, quiet=as_json)
    settings = settings_of(resampling, "source", "level", "resamples", "seed")
    with done as tick:
        scores = score_intervals((s for s in samples if s.task in shared), done=tick, **settings)
    held: dict[tuple[Series, str], dict[str, str]] = {}
    for score in scores:
        if score.scope == "task":
            held.setdefault((score.series, score.regime), {})[score.name] = categories[score.name]
    found = places(scores, held)
    protocol = protocol_differences(runs, shared)
    if as_json:
        rows = [{**asdict(place), "behind": place.behind} for place in found]
        varied = {one.regime: varied_json(one) for one in samples.varied(resampling["source"])}
        click.echo(json.dumps({"places": rows, "protocol": protocol, "varied": varied}, indent=2))
    else:
        to = console()
        for line in varied_lines(samples.varied(resampling["source"])):
            to.print(line)
        print_places(found, protocol, to, level=resampling["level"])
    return int(ExitCode.DONE)
