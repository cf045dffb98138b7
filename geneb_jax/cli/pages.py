"""What `geneb report` and `geneb site` share: which scores are shown, and how their intervals are made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.cli.boards import board_options
from geneb_jax.cli.effect import RESAMPLING, refuse_idle
from geneb_jax.cli.options import resample_options, together
from geneb_jax.errors import DataError, MissingDataError, UsageError

if TYPE_CHECKING:
    from geneb_jax.report.web.content import Content
    from geneb_jax.run.runs import Runs


content_options = together(
    [
        click.option("--published", is_flag=True,
                     help="Show the official board: alone, or with RUN… among its models, on shared tasks."),
        click.option("--sensitivity", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
                     help="Also show this sensitivity.json of `geneb sensitivity`."),
        click.option("--audit", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
                     help="Also show this audit, which `geneb tasks --audit --json` prints."),
        click.option("--no-intervals", is_flag=True, help="Show points alone: resample nothing, test nothing."),
        resample_options(sources=("both", "rows", "draws")),
        board_options,
    ]
)  # fmt: skip
"""What is shown, and how it is resampled."""


def require_report_extra() -> None:
    """Raise MissingDataError, naming the extra, where a package that pages need is not installed."""
    absent = [name for name in ("altair", "jinja2", "vl_convert", "tabulate") if find_spec(name) is None]
    if absent:
        raise MissingDataError(
            f"reports need packages that are not installed: {', '.join(absent)}",
            cure="pip install 'geneb_jax[report]'",
        )


def make_content(
    runs: Runs | None,
    *,
    published: bool,
    sensitivity: Path | None,
    audit: Path | None,
    no_intervals: bool,
    version: Any,
    own_sizes: Sequence[str],
    **resampling: Any,
) -> Content:
    """Gather what a report or a site shows, resampling the runs where that was not declined.

    Raises:
        UsageError: nothing to show, a metric that the board does not have, or runs that must not stand together.
    """
    from geneb_jax.cli.boards import parse_sizes, run_entries
    from geneb_jax.cli.resampling import open_samples, settings_of
    from geneb_jax.report.web.gather import beside_content, board_content, on_the_board, runs_content
    from geneb_jax.stats.resampled import resample

    if runs is None and not published:
        raise UsageError("there is nothing to report", cure="name run directories, or add --published for the board")
    if published and resampling["metric"] != "mcc":
        raise UsageError("the published scores are MCC", cure="leave --metric or --published out")
    if runs is None:
        reason = "the board's scores are points, and without RUN it is shown alone"
        idle = ("audit", "no_intervals", "metric", "regimes", *RESAMPLING, "own_sizes")
        refuse_idle(reason, *idle, cure="name a run, or leave it out")
    if no_intervals:
        refuse_idle("--no-intervals resamples nothing", "regimes", *RESAMPLING, cure="leave one of the two out")
    study, audited = read_document(sensitivity, "sensitivity"), read_document(audit, "geneb.audit")
    if runs is None:
        return board_content(version, sensitivity=study)
    entries = run_entries(runs, parse_sizes(own_sizes), version)
    shown = on_the_board(runs) if published else runs
    resampled = None
    if not no_intervals:
        samples, done = open_samples(shown, resampling, quiet=False)
        with done as tick:
            resampled = resample(samples, compared=not published, done=tick, **settings_of(resampling))
    parts: dict[str, Any] = {
        "resampled": resampled,
        "params": {series: entry.size for series, entry in entries.items() if entry.size is not None},
        "audit": audited,
        "sensitivity": study,
    }
    if published:
        return beside_content(runs, size_version=version, **parts)
    return runs_content(runs, metric=resampling["metric"], **parts)


def read_document(path: Path | None, kind: str) -> Mapping[str, Any] | None:
    """A JSON file of this package, or None where none is named. Raises DataError where it is another one."""
    if path is None:
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        named = found["geneb_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("this file cannot be read", where=str(path), cure=f"name a file of the type {kind}") from error
    if named != kind:
        raise DataError(f"this file is of the type {named!r}, not {kind!r}", where=str(path))
    return dict(found)
