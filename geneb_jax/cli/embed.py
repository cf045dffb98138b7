"""``geneb embed``: every distinct sequence of a suite once, into a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from geneb_jax.errors import ExitCode, MissingDataError

if TYPE_CHECKING:
    from geneb_jax.run.embedding import EmbedReport


_WIDTH_WHEN_PIPED = 120


@click.command()
@click.argument("encoders", nargs=-1, required=True, metavar="ENCODER...")
@click.option("--suite", "suite_name", required=True, metavar="SUITE",
              help="geneb, quickstart, a folder in the official layout, or a .toml file.")  # fmt: skip
@click.option("--store", "store_path", required=True, type=click.Path(path_type=Path), metavar="STORE",
              help="Folder to write to, such as embeddings.zarr; made when it is not there.")  # fmt: skip
@click.option("--tasks", "patterns", multiple=True, metavar="GLOB",
              help="Only tasks whose id matches, such as '*splice*'; repeat it or use commas.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR",
              help="Local GENEB files: DIR/tasks/<task_id>/{train,test}.csv, also .csv.gz or .parquet. "
              "Default: the folder in GENEB_DATA, if set, else the hub.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Use only hub files that are in the cache already.")
@click.option("--trust-remote-code", is_flag=True,
              help="Run code that comes with a hub model. Only for models you trust.")  # fmt: skip
@click.option("--no-check", is_flag=True, help="Skip the checks an encoder has to pass before it counts.")
@click.option("--chunk-rows", type=click.IntRange(min=1), metavar="N",
              help="Sequences saved at a time, which is what a kill can lose. Default: 256 to 4,096 by "
              "width. Fixed once a store holds the encoder.")  # fmt: skip
@click.option("--compression", type=click.Choice(["none", "zstd"]), default="none", show_default=True,
              help="zstd shrinks k-mer vectors 6 to 60 times, those of networks by a tenth, "
              "and reads slower.")  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress.")
def command(
    encoders: tuple[str, ...],
    suite_name: str,
    store_path: Path,
    patterns: tuple[str, ...],
    data: Path | None,
    offline: bool,
    trust_remote_code: bool,
    no_check: bool,
    chunk_rows: int | None,
    compression: str,
    quiet: bool,
) -> int:
    """Embed every distinct sequence of a suite once, into a store.

    Run the same command again to resume after an interruption; sequences that the store holds are not
    embedded twice. Exit status: 4 when a task could not be read or its vectors hold NaN, while the others
    are stored.
    """
    from geneb_jax.encoder import load_encoder
    from geneb_jax.encoder.load import takes_option
    from geneb_jax.run.embedding import embed
    from geneb_jax.store.root import open_store
    from geneb_jax.task import load_suite

    suite = load_suite(suite_name, data=data, offline=offline)
    suite = suite.select([part for pattern in patterns for part in pattern.split(",") if part])
    open_store(store_path, "a").close()  # an unusable path fails before any model is loaded
    reports = []
    for spec in encoders:
        options = {"trust_remote_code": True} if trust_remote_code and takes_option(spec, "trust_remote_code") else {}
        encoder = load_encoder(spec, **options)
        reports.append(
            embed(
                encoder,
                suite,
                store_path,
                progress=not quiet,
                chunk_rows=chunk_rows,
                check=not no_check,
                compression="zstd" if compression == "zstd" else "none",
            )
        )
    show(reports)
    return int(max((r.exit_code for r in reports), default=ExitCode.DONE))


def show(reports: list[EmbedReport]) -> None:
    """Print what was done, one line per encoder, and below it what the user should know."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH_WHEN_PIPED)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("encoder", overflow="fold")
    for name in ("tasks", "distinct", "new", "kept", "repeats", "seq/s", "sec"):
        table.add_column(name, justify="right", no_wrap=True)
    for report in reports:
        encode = report.seconds["encode"]
        rate = f"{report.embedded_now / encode:,.0f}" if report.embedded_now and encode > 0 else "–"
        table.add_row(
            report.encoder,
            str(len(report.tasks)),
            f"{report.distinct:,}",
            f"{report.embedded_now:,}",
            f"{report.reused:,}",
            f"{report.saved_by_dedupe:,}",
            rate,
            f"{sum(report.seconds.values()):.1f}",
        )
    console.print(table)
    console.print(
        "distinct: different sequences; new: embedded now; kept: in the store already; repeats: no work needed",
        style="dim",
    )
    _show_notes(reports)
    console.print(f"stored in {reports[0].store}", markup=False)


def _show_notes(reports: list[EmbedReport]) -> None:
    told: set[str] = set()

    def say(mark: str, text: str) -> None:
        if text not in told:
            told.add(text)
            click.secho(mark, fg="yellow" if mark == "note: " else "red", nl=False, err=True)
            click.echo(text, err=True)

    for report in reports:
        for warning in report.warnings:
            say("note: ", warning)
        lacking = [(task_id, error) for task_id, error in report.failed if isinstance(error, MissingDataError)]
        for task_id, error in report.failed:
            if not isinstance(error, MissingDataError):
                say("failed: ", f"{task_id}: {error}")
        if lacking:
            # one reason and one cure serve them all, and there may be a hundred
            say("failed: ", f"{lacking[0][0]}: {lacking[0][1]}")
        if len(lacking) > 1:
            names = ", ".join(task_id for task_id, _ in lacking[1:])
            say("failed: ", f"{len(lacking) - 1} more tasks lack their data in the same way: {names}")
