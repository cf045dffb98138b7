"""``geneb run``: embed, probe and report in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geneb_jax.cli.embed import Notes
from geneb_jax.cli.offline import stay_offline
from geneb_jax.cli.options import (
    conclude,
    probe_arguments,
    probe_options,
    split_list,
    suite_options,
    typed_command,
)
from geneb_jax.cli.probe import print_missing
from geneb_jax.errors import ExitCode


@click.command()
@click.argument("encoders", nargs=-1, required=True, metavar="ENCODER…")
@suite_options(required=True)
@probe_options
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="RUN",
              help="Run directory; an interrupted one is continued.")  # fmt: skip
@click.option("--store", type=click.Path(path_type=Path), metavar="STORE",
              help="Where the embeddings are kept. Default: RUN/store.")  # fmt: skip
@click.option("--control", type=click.Choice(["labels", "mono", "di"]),
              help="Destroy what could be learned, to see what scores are worth: training labels shuffled; letters of "
              "every sequence shuffled; the same with dinucleotide counts kept. --key picks the shuffle.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Use only hub files that are in the cache already.")
@click.option("--trust-remote-code", is_flag=True,
              help="Run code that comes with a hub model. Only for models you trust.")  # fmt: skip
@click.option("--allow-unread", is_flag=True,
              help="Go on where an encoder does not know more than a few per cent of a task's letters; it is recorded, "
              "and marked in tables.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    encoders: tuple[str, ...],
    suite_name: str,
    data: Path | None,
    patterns: tuple[str, ...],
    out: Path,
    store: Path | None,
    control: str | None,
    offline: bool,
    trust_remote_code: bool,
    allow_unread: bool,
    as_json: bool,
    **probes: Any,
) -> int:
    """Embed a suite with each ENCODER (kmer:6, onehot, hf:org/name, module:Class …), probe it and report.

    Sequences and fits that are there already are not computed again, so the same command resumes. Options of an
    encoder go behind its name, as in kmer:6,counts=true.
    """
    from geneb_jax.run.whole import embed_and_probe
    from geneb_jax.task import Control, control_suite, load_suite

    arguments = probe_arguments(**probes)
    if offline:
        stay_offline()
    suite = load_suite(suite_name, data=data, offline=offline)
    tasks = split_list(patterns)
    if control is not None:
        chosen = Control(control, arguments["key"])
        tasks = [chosen.name(task) for task in suite.select(tasks).ids] if tasks else []
        suite = control_suite(suite, chosen)
    result = embed_and_probe(
        encoders,
        suite,
        out,
        store=store,
        tasks=tasks,
        **arguments,
        progress=not as_json,
        command=typed_command(),
        trust_remote_code=trust_remote_code,
        allow_unread=allow_unread,
        embedded=Notes().of,
    )
    code = conclude(result.run, as_json=as_json)
    if not as_json:
        print_missing(result.run.missing)
        for line in result.problems:
            click.echo(line, err=True)
    return int(ExitCode.SOME_FAILED) if result.problems else code
