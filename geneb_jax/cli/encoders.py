"""``geneb encoders``: what an encoder string can name, and what one of them is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from geneb_jax.cli.effect import refuse_idle
from geneb_jax.cli.encoder_models import (
    find_models,
    model_record,
    option_record,
    print_card,
    print_models,
    print_options,
    print_table,
    text_of,
)
from geneb_jax.encoder.check import CheckReport, check_encoder
from geneb_jax.encoder.info import EncoderInfo
from geneb_jax.encoder.kinds import CUSTOM, KINDS, Kind
from geneb_jax.encoder.load import is_model, load_encoder
from geneb_jax.encoder.registry import ModelEntry, find_model
from geneb_jax.errors import ExitCode, UnknownNameError, UsageError

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
@click.option("--search", metavar="WORD", help="Only models with this word among their facts, such as plant.")
@click.option("--architecture", metavar="WORD", help="Only models of this architecture, such as Mamba.")
@click.option("--check", is_flag=True, help="Also run the checks that an encoder must pass before it counts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(name: str | None, search: str | None, architecture: str | None, check: bool, as_json: bool) -> int:
    """List what can be embedded with: built-in kinds and the models of the GENEB leaderboard; or show one.

    \b
    geneb encoders                      all kinds and models
    geneb encoders --search plant       some of the models
    geneb encoders kmer                 one kind and its options
    geneb encoders DNABERT-2            one model: what it is, what it needs, how to embed with it
    geneb encoders kmer:6,counts=true   load one: its width, settings and identity
    """
    filtered = search is not None or architecture is not None
    if name is None:
        refuse_idle("without a name encoders are listed, not loaded", "check", cure="name the encoder to check")
        models = find_models(architecture, search)
        if not models:
            raise UnknownNameError("no model matches", cure="`geneb encoders` lists them all")
        kinds = [] if filtered else list(KINDS.values())
        if as_json:
            _print_json({"kinds": [_kind_record(k) for k in kinds], "models": [model_record(m) for m in models]})
        else:
            _print_listing(kinds, models)
        return int(ExitCode.DONE)
    if filtered:
        raise UsageError("--search and --architecture go without a name", cure="leave one of the two out")
    if name in KINDS and not check:
        _print_json(_kind_record(KINDS[name])) if as_json else _print_kind(KINDS[name])
        return int(ExitCode.DONE)
    if is_model(name) and not check:
        entry = find_model(name)
        _print_json(model_record(entry)) if as_json else print_card(entry)
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
        "options": [option_record(option) for option in kind.options],
    }


def _encoder_record(info: EncoderInfo, report: CheckReport | None) -> dict[str, Any]:
    record: dict[str, Any] = {"name": info.name, **info.identity(), "digest": info.digest}
    if report is not None:
        record["checks"] = [
            {"name": c.name, "measured": c.measured, "bound": c.bound, "passed": c.passed, "required": c.required}
            for c in report.checks
        ]
    return record


def _print_listing(kinds: Sequence[Kind], models: Sequence[ModelEntry]) -> None:
    if kinds:
        rows = [
            (kind.form.replace(" or ", "\n"), kind.summary + (f" Needs {kind.needs}." if kind.needs else ""))
            for kind in kinds
        ]
        print_table(("write", "to get"), rows, wrap=(1,))
        click.echo("\nExamples")
        for kind in kinds:
            click.echo(f"  {kind.example}")
        click.echo("\nModels of the GENEB leaderboard")
    print_models(models)
    click.echo(
        "\nA model's name is all you write: `geneb embed GROVER --suite geneb --store embeddings.zarr`.\n"
        "`geneb encoders NAME` shows a model's card: what to install, the exact command, the two presets.\n"
        "Options follow as key=value, with commas between. `geneb encoders kmer` lists those of one kind;\n"
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
    if kind.options:
        click.echo()
        print_options(kind.options)


def _print_encoder(info: EncoderInfo, report: CheckReport | None) -> None:
    rows = [
        ("name", info.name),
        ("family", info.family),
        ("revision", info.revision),
        ("width", f"{info.width:,}"),
    ]
    rows += [(key.replace("_", " "), text_of(value)) for key, value in info.settings.items()]
    rows += [(f"{key} version", value) for key, value in info.libraries.items()]
    rows.append(("identity", info.digest))
    for key, value in rows:
        click.echo(f"{key:<22}{value}")
    click.echo("\nThe identity is a digest of all of the above but the name: equal identity, equal vectors.")
    if report is not None:
        click.echo()
        excused = {c.name: "as recorded" for c in report.excused}
        checks = [
            (c.name, "ok" if c.passed else excused.get(c.name, "FAILED"), c.measured, c.bound)
            if c.required
            else (c.name, "reported", c.measured, "nothing")
            for c in report.checks
        ]
        print_table(("check", "result", "measured", "needed"), checks, wrap=(2,))


def _check_sequences() -> list[str]:
    """Eight made-up sequences of 40 to 600 letters: enough to see padding leak and order change."""
    import random

    draw = random.Random(0)
    return ["".join(draw.choices("ACGT", k=length)) for length in (40, 60, 101, 150, 200, 300, 450, 600)]
