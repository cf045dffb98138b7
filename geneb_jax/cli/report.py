"""``geneb report``: one HTML file, or tables and figures, from runs and the official board."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from geneb_jax.cli.effect import refuse_idle
from geneb_jax.cli.files import writing
from geneb_jax.cli.options import split_known
from geneb_jax.cli.pages import content_options, make_content, require_report_extra
from geneb_jax.errors import ExitCode

FORMATS = ("html", "markdown", "csv", "parquet", "latex")


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN…]")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Folder for what is written.")  # fmt: skip
@click.option("--format", "formats", default="html", show_default=True, metavar="LIST",
              help="html, markdown, csv, parquet, latex, or several with commas.")  # fmt: skip
@click.option("--figures", type=click.Choice(("png", "svg")), help="Also write every chart as a file, per regime.")
@content_options
def command(
    runs: tuple[Path, ...], out: Path, formats: str, figures: Literal["png", "svg"] | None, **wanted: Any
) -> int:
    """Write a report of RUN…, or with --published alone of the official board.

    The HTML report is one file that needs no network: leaderboards that sort and filter, intervals and ties, charts, a
    page for every task, category and encoder, the data's audit, and where everything comes from. docs/report.md
    explains its parts.
    """
    asked = split_known(formats, "format", FORMATS)
    if "html" not in asked:
        refuse_idle("it is shown in the HTML report alone", "audit", "sensitivity", cure="add html to --format")
    require_report_extra()
    from geneb_jax.cli.resampling import open_runs
    from geneb_jax.report.web.figures import write_figures
    from geneb_jax.report.web.html import write_report
    from geneb_jax.report.web.rows import WRITERS

    content = make_content(open_runs(runs) if runs else None, **wanted)
    with writing(out):
        written = [write_report(content, out)] if "html" in asked else []
        for one in asked:
            written += WRITERS[one](content, out) if one in WRITERS else []
        written += write_figures(content, out / "figures", figures) if figures else []
    for path in written:
        click.echo(f"{path}  {path.stat().st_size / 1e6:.2f} MB")
    return int(ExitCode.DONE)
