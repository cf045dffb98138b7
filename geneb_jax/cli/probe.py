"""``geneb probe``: fit and score the probes of one or more stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geneb_jax.cli.options import (
    conclude,
    probe_arguments,
    probe_options,
    split_list,
    suite_options,
    typed_command,
)
from geneb_jax.errors import ExitCode


@click.command()
@click.argument("stores", nargs=-1, required=True, metavar="STORE…")
@suite_options(required=False)
@probe_options
@click.option("--preset", type=click.Choice(["normalized", "reference"]),
              help="Only this preset of the registry models, where a store holds both.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="RUN",
              help="Run directory; an interrupted one is continued.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    stores: tuple[str, ...],
    suite_name: str | None,
    data: Path | None,
    patterns: tuple[str, ...],
    preset: str | None,
    out: Path,
    as_json: bool,
    **probes: Any,
) -> int:
    """Fit and score the probes of every task in one or more stores, and print the leaderboard.

    Exit status: 4 when some records are degenerate or failed; they say why in the table and in
    records.parquet.
    """
    from geneb_jax.run.probing import probe
    from geneb_jax.task import load_suite

    suite = None
    if suite_name is not None or data is not None:
        suite = load_suite(suite_name or "geneb", data=data)
    arguments = probe_arguments(**probes)
    run = probe(
        stores,
        suite,
        out,
        tasks=split_list(patterns),
        **arguments,
        preset=preset,
        progress=not as_json,
        command=typed_command(),
    )
    code = conclude(run, as_json=as_json)
    if not as_json:
        print_missing(run.missing)
    return code or int(ExitCode.DONE)


def print_missing(missing: dict[str, tuple[str, ...]], few: int = 3) -> None:
    """Say which tasks of the suite the encoders have no record of, the first few by name."""
    together: dict[tuple[str, ...], list[str]] = {}
    for encoder, tasks in missing.items():
        together.setdefault(tasks, []).append(encoder)
    for tasks, encoders in together.items():
        more = f" … and {len(tasks) - few} more; --json lists them all" if len(tasks) > few else ""
        count = f"{len(tasks)} task{'s' * (len(tasks) != 1)}"
        click.echo(f"not in the store for {', '.join(encoders)}: {count}: {', '.join(tasks[:few])}{more}")
