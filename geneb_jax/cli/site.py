"""``geneb site``: a static leaderboard site from run directories and the official board."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from geneb_jax.cli.files import writing
from geneb_jax.cli.pages import content_options, make_content, require_report_extra
from geneb_jax.errors import ExitCode, RunError
from geneb_jax.run.directory import is_run


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN…]")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Folder of the site; what is unchanged there is not written again.")  # fmt: skip
@content_options
def command(runs: tuple[Path, ...], out: Path, **wanted: Any) -> int:
    """Build a leaderboard site of RUN…, or of all runs in a folder of runs, for GitHub Pages or a static Space.

    A model is added by dropping its run directory into the folder and building again. docs/report.md says how to
    publish it.
    """
    require_report_extra()
    from geneb_jax.cli.resampling import open_runs
    from geneb_jax.report.web.site import Site

    site = Site.open(out)
    content = make_content(open_runs(run_folders(runs)) if runs else None, **wanted)
    with writing(out):
        found = site.build(content)
    click.echo(
        f"{out}: {len(found.written)} files written, {len(found.unchanged)} unchanged, {len(found.removed)} removed"
    )
    return int(ExitCode.DONE)


def run_folders(paths: Sequence[Path]) -> Iterator[Path]:
    """The run directories that are named, and those inside a folder that is none itself, by name.

    Raises:
        RunError: a folder holds no run.
    """
    for path in paths:
        if is_run(path) or not path.is_dir():
            yield path
            continue
        inside = [found for found in sorted(path.iterdir()) if is_run(found)]
        if not inside:
            raise RunError("there is no run here", where=str(path), cure="name a run directory, or a folder of some")
        yield from inside
