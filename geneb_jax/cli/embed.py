"""``geneb embed``: every distinct sequence of a suite once, into a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from geneb_jax.cli.offline import stay_offline
from geneb_jax.errors import ExitCode, MissingDataError

if TYPE_CHECKING:
    from geneb_jax.run.embedding import EmbedReport, ViewsReport
    from geneb_jax.store.arrays import Compression


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
@click.option("--layers", multiple=True, metavar="LAYER,...",
              help="Several layers from one pass: last, mid, numbers (0 = input embeddings), or all. "
              "Each layer with each pooling is stored as an encoder of its own.")  # fmt: skip
@click.option("--pooling", "poolings", multiple=True, metavar="POOLING,...",
              help="Several poolings from one pass: mean, cls, last, max.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Use only hub files that are in the cache already.")
@click.option("--trust-remote-code", is_flag=True,
              help="Run code that comes with a hub model. Only for models you trust.")  # fmt: skip
@click.option("--no-check", is_flag=True, help="Skip the checks an encoder has to pass before it counts.")
@click.option("--allow-unread", is_flag=True,
              help="Go on where an encoder does not know more than a few per cent of a task's letters; it is recorded, "
              "and marked in tables.")  # fmt: skip
@click.option("--chunk-rows", type=click.IntRange(min=1), metavar="N",
              help="Sequences saved at a time; a kill loses less than two such blocks. Default: 256 to 4,096 by "
              "width. Fixed once a store holds the encoder.")  # fmt: skip
@click.option("--compression", type=click.Choice(["none", "zstd"]), show_default="none",
              help="zstd shrinks k-mer vectors 6 to 60 times, those of networks by a tenth, "
              "and reads slower.")  # fmt: skip
@click.option("--stored-as", type=click.Choice(["float32", "float16", "bfloat16"]), default="float32",
              show_default=True,
              help="Precision in the store; rounded vectors are an encoder of their own.")  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress.")
def command(
    encoders: tuple[str, ...],
    suite_name: str,
    store_path: Path,
    patterns: tuple[str, ...],
    data: Path | None,
    layers: tuple[str, ...],
    poolings: tuple[str, ...],
    offline: bool,
    trust_remote_code: bool,
    no_check: bool,
    allow_unread: bool,
    chunk_rows: int | None,
    compression: Compression | None,
    stored_as: str,
    quiet: bool,
) -> int:
    """Embed every distinct sequence of a suite once, into a store.

    Run the same command again to resume after an interruption; sequences that the store holds are not
    embedded twice. Exit status: 4 when a task could not be read or its vectors hold NaN, while the others
    are stored.
    """
    from geneb_jax.encoder.load import takes_option
    from geneb_jax.encoder.views import load_views
    from geneb_jax.run.embedding import embed_views
    from geneb_jax.store.root import open_store
    from geneb_jax.task import load_suite

    if offline:
        stay_offline()
    suite = load_suite(suite_name, data=data, offline=offline)
    suite = suite.select(_pieces(patterns))
    open_store(store_path, "a").close()  # an unusable path fails before any model is loaded
    done = []
    for spec in encoders:
        options = {"trust_remote_code": True} if trust_remote_code and takes_option(spec, "trust_remote_code") else {}
        done.append(
            embed_views(
                load_views(spec, _pieces(layers), _pieces(poolings), **options),
                suite,
                store_path,
                progress=not quiet,
                chunk_rows=chunk_rows,
                check=not no_check,
                allow_unread=allow_unread,
                compression=compression,
                stored_as=stored_as,
            )
        )
    show(done)
    return int(max((each.exit_code for each in done), default=ExitCode.DONE))


def _pieces(texts: tuple[str, ...]) -> list[str]:
    return [piece.strip() for text in texts for piece in text.split(",") if piece.strip()]


def show(done: list[ViewsReport]) -> None:
    """Print what was done, one line per encoder or view, and below it what the user should know."""
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
    for each in done:
        most = max(report.embedded_now for report in each.reports)
        for place, report in enumerate(each.reports):
            encode = report.seconds["encode"]
            rate = f"{most / encode:,.0f}" if most and encode > 0 else "–"
            times = (rate, f"{sum(report.seconds.values()):.1f}") if place == 0 else ('"', '"')
            table.add_row(
                report.encoder,
                str(len(report.tasks)),
                f"{report.distinct:,}",
                f"{report.embedded_now:,}",
                f"{report.reused:,}",
                f"{report.saved_by_dedupe:,}",
                *times,
            )
    console.print(table)
    console.print(
        "distinct: different sequences; new: embedded now; kept: in the store already; repeats: no work"
        + ('; ": same pass' if any(len(each.reports) > 1 for each in done) else ""),
        style="dim",
    )
    for each in done:
        console.print(_timing(each.reports[0]), style="dim", markup=False)
        checks = list(dict.fromkeys(report.checks for report in each.reports if report.checks))
        if checks:
            # views differ in what is reported only: those that failed were left out
            rest = f"; the other {len(each.reports) - 1} views passed too" if len(each.reports) > 1 else ""
            console.print(f"its checks: {checks[0]}{rest}", style="dim", markup=False)
    _show_notes(done)
    console.print(f"stored in {done[0].reports[0].store}", markup=False)


def _timing(report: EmbedReport) -> str:
    """Where the time went, in one line."""
    waits = {"tokenize": "waiting for tokens", "write": "writing"}
    spent = ", ".join(
        f"{waits.get(name, name)} {value:.1f} s" for name, value in report.seconds.items() if value >= 0.05
    )
    behind = ", ".join(f"{name} {value:.1f} s" for name, value in report.behind.items() if value >= 0.05)
    more = f"; meanwhile in other threads: {behind}" if behind else ""
    return f"{report.encoder}: {spent or 'no time'}{more}"


class Notes:
    """What the user should know of an embedding, on stderr; each sentence once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def say(self, mark: str, text: str) -> None:
        """One line."""
        if text not in self._told:
            self._told.add(text)
            click.secho(mark, fg="yellow" if mark == "note: " else "red", nl=False, err=True)
            click.echo(text, err=True)

    def of(self, report: EmbedReport) -> None:
        """All notes of one encoder, but not the tasks that failed."""
        from geneb_jax.run.reading import letter_lines

        if report.drift is not None:
            self.say("note: ", f"{report.encoder}: {report.drift}")
        if report.halvings:
            self.say("note: ", f"{report.encoder}: memory ran out and batches were halved, {report.halvings} times; "
                     "a smaller batch_tokens spares the attempts")  # fmt: skip
        for line in (*letter_lines(report.encoder, report.letters), *report.warnings):
            self.say("note: ", line)


def _show_notes(done: list[ViewsReport]) -> None:
    notes = Notes()
    for name, reason in (pair for each in done for pair in each.left_out):
        notes.say("left out: ", f"{name}: {reason}")
    for report in (report for each in done for report in each.reports):
        notes.of(report)
        lacking = [(task_id, error) for task_id, error in report.failed if isinstance(error, MissingDataError)]
        for task_id, error in report.failed:
            if not isinstance(error, MissingDataError):
                notes.say("failed: ", f"{task_id}: {error}")
        if lacking:
            # one reason and one cure serve them all, and there may be a hundred
            notes.say("failed: ", f"{lacking[0][0]}: {lacking[0][1]}")
        if len(lacking) > 1:
            names = ", ".join(task_id for task_id, _ in lacking[1:])
            notes.say("failed: ", f"{len(lacking) - 1} more tasks lack their data in the same way: {names}")
