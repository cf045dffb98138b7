"""How ``geneb encoders`` shows the models of the registry: tables for the list, a card for one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from geneb_jax.encoder.families import FAMILIES
from geneb_jax.encoder.registry import ModelEntry, registry
from geneb_jax.encoder.registry.card import (
    code_note,
    code_page,
    command_name,
    download_command,
    embed_command,
    install_steps,
    normalized_text,
    reference_text,
)
from geneb_jax.encoder.registry.loaded import no_rule
from geneb_jax.encoder.spec import Option

_WIDTH = 100
_TOKENS = {"single-nucleotide": "1 base"}
_COMMON = ("einops", "polars", "pyfaidx", "pandas", "wandb")
_SOURCES = {"google-drive": "Google Drive", "harvard-dataverse": "Harvard Dataverse", "zenodo": "Zenodo record"}


def find_models(architecture: str | None, search: str | None) -> list[ModelEntry]:
    """The models of an architecture, with a word in any of their facts; upper and lower case are one."""
    return [
        entry
        for entry in registry().values()
        if (architecture or "").lower() in entry.architecture.lower()
        and (search or "").lower() in " ".join(map(str, asdict(entry).values())).lower()
    ]


def model_record(entry: ModelEntry) -> dict[str, Any]:
    """Everything known about a model, as plain values."""
    known = asdict(entry)
    for part in ("repository", "modules", "install"):
        known[part] = getattr(entry.needs, part)
    family = FAMILIES.get(entry.family)
    return {
        **known,
        "params": entry.params,
        "loads": family is not None,
        "modules_missing": list(entry.needs.missing()),
        "presets": {"normalized": normalized_text(entry), "reference": reference_text(entry)},
        "command": embed_command(entry) if family else None,
        "options": [option_record(option) for option in (family.options if family else ())],
    }


def option_record(option: Option) -> dict[str, Any]:
    """An option as plain values."""
    return {
        "name": option.name,
        "values": list(option.choices) or option.type.__name__,
        "default": option.default,
        "help": option.help,
        "changes_vectors": option.changes_vectors,
    }


def print_models(entries: Sequence[ModelEntry]) -> None:
    """Three tables: what the models are, where they come from, and what is wrong with their official extractors."""
    rows = [
        (
            entry.display,
            size(entry.params),
            entry.architecture,
            _TOKENS.get(entry.tokenization, entry.tokenization) + ("*" if _other_tokens(entry) else ""),
            entry.pretraining,
            f"{entry.width:,}",
            _limit(entry),
        )
        for entry in entries
    ]
    header = ("model", "params", "architecture", "a token", "trained on", "width", "limit")
    print_table(header, rows, wrap=(4,), right=(1, 5, 6))
    notes = ["limit: longest input in tokens (b: in bases); -: none stated."]
    if any(map(_other_tokens, entries)):
        notes.append("*: GENEB's label; the tokenizer itself is of another kind, which the card names.")
    click.echo("\n".join(notes))

    click.echo("\nWhere the weights are, and what a model needs beside pip install 'geneb_jax[hf]'")
    places = [(e.display, _place(e), e.licence or "not stated", ", ".join(_extras(e)) or "-") for e in entries]
    print_table(("model", "hub name @ commit", "licence", "needs"), places, wrap=(1, 3), widths={1: 38, 3: 17})

    faulty = [(entry.display, "; ".join(entry.defects)) for entry in entries if entry.defects]
    if faulty:
        click.echo("\nKnown defects of the official extractors, which preset=reference keeps")
        print_table(("model", "defect"), faulty, wrap=(1,))


def print_card(entry: ModelEntry) -> None:
    """Everything about one model."""
    board = "" if entry.official else "   (self-reported on the board, not one of the 40 official models)"
    click.echo(f"{entry.display}{board}\n")
    absent = entry.needs.missing()
    family = FAMILIES.get(entry.family)
    facts = [
        ("GENEB's id", entry.model),
        ("parameters", _sizes(entry)),
        ("architecture", entry.architecture),
        ("tokens", _token_text(entry)),
        ("trained on", entry.pretraining + ("" if entry.in_domain else " (out of domain in the paper)")),
        ("width", f"{entry.width:,}"),
        ("input limit", "none stated" if entry.max_tokens is None else f"{entry.max_tokens:,} {entry.length_unit}"),
        ("weights", _place(entry, full=True)),
        ("licence", entry.licence or "not stated"),
        ("code", _code(entry)),
        ("read by", f"rule {entry.family}: {family.summary}" if family else ""),
        ("notes", entry.version_note or ""),
    ]
    print_table((), [fact for fact in facts if fact[1]], wrap=(1,))

    click.echo("\nPresets: the two are never put into one table")
    print_table((), [("normalized", normalized_text(entry)), ("reference", reference_text(entry))], wrap=(1,))

    if family is None:
        error = no_rule(entry)
        click.echo("\nTo use it")
        print_table((), [("", f"{error.what}: {error.cure}.")], wrap=(1,))
        return
    click.echo("\nTo install")
    for step in install_steps(entry):
        text, colon, address = step.partition(": ")
        click.echo(f"  {step}" if len(step) + 2 <= _WIDTH else f"  {text}{colon.rstrip()}\n    {address}")
    print_table((), [("", f"not found here: {', '.join(absent)}" if absent else "found here: all of it")], wrap=(1,))
    if note := code_note(entry):
        print_table((), [("", note)], wrap=(1,))
    click.echo("\nTo embed")
    for preset in (None, "reference"):
        click.echo(_folded(embed_command(entry, preset)))
    download = download_command(entry)
    if download:
        click.echo("\nWithout network: fetch the files elsewhere, then add the folder to the name")
        click.echo(_folded(download))
        click.echo(f"  {command_name(entry)},folder=DIR")
    if entry.needs_remote_code and entry.hub_id:
        click.echo("\n--trust-remote-code runs Python code that comes with the model, at this commit; read it first:")
        click.echo(f"  {code_page(entry)}")
    click.echo()
    print_options(family.options)


def print_options(options: Iterable[Option]) -> None:
    """Options with their values, defaults and meanings."""
    click.echo("Options, written as ,key=value")
    rows = [(f"  {o.name}", _values(o), text_of(o.default), o.help) for o in options]
    print_table(("  key", "value", "default", "meaning"), rows, wrap=(3,))


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    wrap: Sequence[int],
    right: Sequence[int] = (),
    widths: Mapping[int, int] | None = None,
) -> None:
    """A table at most 100 columns wide, of which the columns `wrap` may be folded; no header where it is empty."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=bool(header))
    for i, title in enumerate(header or ("",) * len(rows[0])):
        table.add_column(
            title,
            no_wrap=i not in wrap,
            overflow="fold",
            width=(widths or {}).get(i),
            justify="right" if i in right else "left",
        )
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    console.width = min(console.width, _WIDTH)
    console.print(table)


def size(count: int | None) -> str:
    """A number of parameters in three figures, such as 117 M."""
    if count is None:
        return "-"
    scale, unit = (1e9, "B") if count >= 1e9 else (1e6, "M")
    return f"{count / scale:.3g} {unit}"


def text_of(value: object) -> str:
    """An option's default as one writes it."""
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _folded(line: str) -> str:
    """A command, indented, and continued on a second line where it is too long for one."""
    first, dashes, rest = line.partition(" --")
    return f"  {line}" if len(line) + 2 <= _WIDTH else f"  {first} \\\n    {dashes.strip()}{rest}"


def _values(option: Option) -> str:
    return ", ".join(option.choices) or {"bool": "true, false", "int": "number", "str": "text"}[option.type.__name__]


def _sizes(entry: ModelEntry) -> str:
    if None in (entry.params_paper_v1, entry.params_board) or entry.params_paper_v1 == entry.params_board:
        return f"{entry.params:,}" if entry.params else "not stated"
    return f"{entry.params_board:,} on today's board; {entry.params_paper_v1:,} in the paper's first version"


def _other_tokens(entry: ModelEntry) -> bool:
    return entry.tokenizer_actual != entry.tokenization


def _token_text(entry: ModelEntry) -> str:
    return entry.tokenization + (f"; the tokenizer really is {entry.tokenizer_actual}" if _other_tokens(entry) else "")


def _limit(entry: ModelEntry) -> str:
    if entry.max_tokens is None:
        return "-"
    return f"{entry.max_tokens:,}" + (" b" if entry.length_unit == "bases" else "")


def _place(entry: ModelEntry, *, full: bool = False) -> str:
    if entry.hub_id:
        revision = entry.hub_revision or "main"
        return f"{entry.hub_id} @ {revision if full else revision[:7]}" + (" on the Hugging Face hub" if full else "")
    source, _, rest = entry.weights_source.partition(":")
    name = _SOURCES.get(source, source)
    return f"{name} {rest}" if full or source == "zenodo" else name


def _extras(entry: ModelEntry) -> list[str]:
    found = ["remote code"] if entry.needs_remote_code and entry.hub_id else []
    words = entry.needs.install.partition("(")[0].split()
    names = [word for word in words if word not in ("pip", "install", "&&") and word[0] not in "-'"]
    found += sorted((name.rpartition("/")[2] for name in names), key=lambda name: name in _COMMON)
    return found + (["authors' code"] if entry.needs.repository else [])


def _code(entry: ModelEntry) -> str:
    if entry.needs.repository and entry.code_source == "vendored":
        return f"the authors' own: {entry.needs.repository}"
    if entry.needs_remote_code and entry.hub_id:
        return "comes with the model on the hub, and is run only if you say so"
    return "transformers" if entry.code_source == "vendored" else entry.code_source.removeprefix("package ")
