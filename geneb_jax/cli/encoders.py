"""``geneb encoders``: what an encoder string can name, and what one of them is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from geneb_jax.encoder.check import CheckReport, check_encoder
from geneb_jax.encoder.info import EncoderInfo
from geneb_jax.encoder.kinds import CUSTOM, KINDS, Kind
from geneb_jax.encoder.load import load_encoder
from geneb_jax.encoder.spec import Option
from geneb_jax.errors import ExitCode

SMALLEST = """\
# my_encoder.py, in the folder where you run geneb
import numpy as np

class Composition:
    width = 4

    def encode(self, sequences):
        return np.array([[s.count(base) for base in "ACGT"] for s in sequences], dtype="float32")
"""


@click.command("encoders")
@click.argument("name", required=False, metavar="[ENCODER]")
@click.option("--check", is_flag=True, help="Also run the checks that an encoder must pass before it counts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(name: str | None, check: bool, as_json: bool) -> int:
    """List the kinds of encoder and their options, or show one.

    \b
    geneb encoders                      all kinds
    geneb encoders kmer                 one kind and its options
    geneb encoders kmer:6,counts=true   load one: its width, settings and identity
    """
    if name is None:
        _print_json([_kind_record(kind) for kind in KINDS.values()]) if as_json else _print_kinds()
        return int(ExitCode.DONE)
    if name in KINDS and not check:
        _print_json(_kind_record(KINDS[name])) if as_json else _print_kind(KINDS[name])
        return int(ExitCode.DONE)
    encoder = load_encoder(name)
    report = check_encoder(encoder, _check_sequences()) if check else None
    if as_json:
        _print_json(_encoder_record(encoder.info, report))
    else:
        _print_encoder(encoder.info, report)
    return int(ExitCode.DONE if report is None or report.passed else ExitCode.BAD_INPUT)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def _kind_record(kind: Kind) -> dict[str, Any]:
    return {
        "kind": kind.name,
        "form": kind.form,
        "summary": kind.summary,
        "example": kind.example,
        "needs": kind.needs,
        "options": [
            {
                "name": option.name,
                "values": list(option.choices) or option.type.__name__,
                "default": option.default,
                "help": option.help,
                "changes_vectors": option.changes_vectors,
            }
            for option in kind.options
        ],
    }


def _encoder_record(info: EncoderInfo, report: CheckReport | None) -> dict[str, Any]:
    record: dict[str, Any] = {"name": info.name, **info.identity(), "digest": info.digest}
    if report is not None:
        record["checks"] = [
            {"name": c.name, "measured": c.measured, "bound": c.bound, "passed": c.passed} for c in report.checks
        ]
    return record


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, wrap: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, title in enumerate(header):
        table.add_column(title, no_wrap=i != wrap, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    console.width = min(console.width, 100)
    console.print(table)


def _print_kinds() -> None:
    rows = [
        (kind.form.replace(" or ", "\n"), kind.summary + (f" Needs {kind.needs}." if kind.needs else ""))
        for kind in KINDS.values()
    ]
    _print_table(("write", "to get"), rows, wrap=1)
    click.echo("\nExamples")
    for kind in KINDS.values():
        click.echo(f"  {kind.example}")
    click.echo(
        "\nOptions follow as key=value, with commas between. `geneb encoders kmer` lists those of one kind;\n"
        "`geneb encoders kmer:6` loads an encoder and shows its width and identity; --check tests it."
    )


def _print_kind(kind: Kind) -> None:
    click.echo(f"{kind.form}\n  {kind.summary}\n  example: {kind.example}")
    if kind.needs:
        click.echo(f"  needs: {kind.needs}")
    if kind is CUSTOM:
        click.echo("\nThe smallest one, used as my_encoder:Composition. Options go to its constructor.\n")
        click.echo(SMALLEST, nl=False)
        return
    click.echo("\nOptions, written as ,key=value")
    rows = [(f"  {o.name}", _values(o), _text(o.default), o.help) for o in kind.options]
    _print_table(("  key", "value", "default", "meaning"), rows, wrap=3)


def _values(option: Option) -> str:
    return ", ".join(option.choices) or {"bool": "true, false", "int": "number", "str": "text"}[option.type.__name__]


def _text(value: object) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _print_encoder(info: EncoderInfo, report: CheckReport | None) -> None:
    rows = [
        ("name", info.name),
        ("family", info.family),
        ("revision", info.revision),
        ("width", f"{info.width:,}"),
    ]
    rows += [(key.replace("_", " "), _text(value)) for key, value in info.settings.items()]
    rows += [(f"{key} version", value) for key, value in info.libraries.items()]
    rows.append(("identity", info.digest))
    for key, value in rows:
        click.echo(f"{key:<22}{value}")
    click.echo("\nThe identity is a digest of all of the above but the name: equal identity, equal vectors.")
    if report is not None:
        click.echo()
        checks = [(c.name, "ok" if c.passed else "FAILED", c.measured, c.bound) for c in report.checks]
        _print_table(("check", "result", "measured", "needed"), checks, wrap=2)


def _check_sequences() -> list[str]:
    """Eight made-up sequences of 40 to 600 letters: enough to see padding leak and order change."""
    import random

    draw = random.Random(0)
    return ["".join(draw.choices("ACGT", k=length)) for length in (40, 60, 101, 150, 200, 300, 450, 600)]
