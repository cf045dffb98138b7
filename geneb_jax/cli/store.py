"""``geneb store``: show, merge, copy, export and import stores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from geneb_jax.errors import ExitCode, StoreError

if TYPE_CHECKING:
    from geneb_jax.store import EmbeddingStore
    from geneb_jax.store.merge import Merged

_CONFLICTS = click.option(
    "--conflicts", type=click.Choice(["refuse", "keep"]), default="refuse", show_default=True,
    help="Where two places hold different vectors for one sequence: refuse changes nothing, keep leaves what is there "
    "and reports the rest.",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(name="store")
def command() -> None:
    """Show, merge, copy, export and import stores of embeddings."""


@command.command("show")
@click.argument("store", metavar="STORE")
@click.option("--digest", is_flag=True, help="Also what each element holds as one number, equal for equal contents. "
              "Reads everything.")  # fmt: skip
@_JSON
def show(store: str, digest: bool, as_json: bool) -> int:
    """List what a store holds, one line per encoder. STORE is a folder or an address (s3://, gs://, https://)."""
    from geneb_jax.store.root import open_store
    from geneb_jax.store.sources import ElementSource, content_digest

    elements = open_store(store).elements()
    records = [
        {
            "key": e.key,
            "encoder": e.manifest.name,
            "dtype": e.dtype,
            "width": e.width,
            "sequences": e.num_rows,
            "tasks": len(e.tasks()),
            "compression": e.compression,
            **({"content": content_digest(ElementSource(e))} if digest else {}),
        }
        for e in elements
    ]
    if as_json:
        click.echo(json.dumps({"store": store, "elements": records}, indent=2))
    elif not records:
        click.echo("this store is empty: nothing has been embedded into it yet")
    else:
        _table(records, ["encoder", "dtype"], ["width", "sequences", "tasks"], ["content"] if digest else [])
    return int(ExitCode.DONE)


@command.command("merge")
@click.argument("stores", nargs=-1, required=True, metavar="STORE…")
@click.option("--into", required=True, type=click.Path(path_type=Path), metavar="STORE", help="Folder to merge into.")
@_CONFLICTS
@_JSON
def merge(stores: tuple[str, ...], into: Path, conflicts: str, as_json: bool) -> int:
    """Bring partial stores together: rows and splits that the target lacks are copied bit for bit.

    The order of the stores does not matter. After an interruption, run the same command again. Exit status: 3 when two
    places contradict each other (nothing of that encoder is copied then), 4 when --conflicts keep left something out.
    """
    from geneb_jax.store.merge import Policy
    from geneb_jax.store.merge import merge as merge_stores

    return _report(merge_stores(stores, into, conflicts=cast(Policy, conflicts)), str(into), as_json)


@command.command("copy")
@click.argument("store", metavar="STORE")
@click.argument("to", metavar="PLACE")
def copy(store: str, to: str) -> int:
    """Copy a store to a new folder or address (s3://, gs://), from where others can read it.

    The copy carries a listing of its folders, so that it can also be read over https. It is written once: nobody can
    append to a store at an address, because no protocol there keeps a second writer out.
    """
    from geneb_jax.store.copying import copy_store
    from geneb_jax.store.files import human_bytes

    count, size = copy_store(store, to)
    click.echo(f"copied {count:,} files, {human_bytes(size)}, to {to}")
    return int(ExitCode.DONE)


@command.command("export")
@click.argument("store", metavar="STORE")
@click.option("--format", "kind", required=True, type=click.Choice(["safetensors", "parquet", "h5ad"]),
              help="parquet makes a folder of two files; h5ad (AnnData) needs the package anndata.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="PATH", help="New file or folder.")
@click.option("--encoder", metavar="NAME", help="Which, where the store holds several: name or key.")
def export(store: str, kind: str, out: Path, encoder: str | None) -> int:
    """Write the vectors of one encoder, with their manifest and split indexes, to a file for other programs."""
    from geneb_jax.store.exchange import Format, export_element
    from geneb_jax.store.root import open_store

    opened = open_store(store)
    content = export_element(_one(opened.keys(), opened, encoder, store), cast(Format, kind), out)
    click.echo(f"written to {out}; content digest {content[:12]}")
    return int(ExitCode.DONE)


@command.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--into", required=True, type=click.Path(path_type=Path), metavar="STORE", help="Store to import into.")
@_CONFLICTS
@_JSON
def import_files(files: tuple[Path, ...], into: Path, conflicts: str, as_json: bool) -> int:
    """Bring exported files into a store, exactly as they were exported.

    A file that was changed since its export is refused. Exit status: as for merge.
    """
    from geneb_jax.store.exchange import import_file
    from geneb_jax.store.merge import Policy

    return _report([import_file(f, into, conflicts=cast(Policy, conflicts)) for f in files], str(into), as_json)


def _one(keys: list[str], store: Any, encoder: str | None, where: str) -> EmbeddingStore:
    if encoder is not None:
        return cast("EmbeddingStore", store.open(encoder))
    if len(keys) != 1:
        raise StoreError(
            f"this store holds {len(keys)} encoders" if keys else "this store is empty",
            where=where,
            cure=f"choose one with --encoder: {', '.join(keys)}" if keys else "embed something first",
        )
    return cast("EmbeddingStore", store.open(keys[0]))


def _report(merged: list[Merged], into: str, as_json: bool) -> int:
    records = [
        {
            "encoder": m.encoder,
            "key": m.key,
            "new sequences": m.added,
            "known": m.known,
            "new splits": m.splits,
            "left out": m.conflicts.rows + len(m.conflicts.splits),
        }
        for m in merged
    ]
    found = [m for m in merged if m.conflicts]
    if as_json:
        click.echo(json.dumps({"store": into, "elements": records}, indent=2))
    else:
        _table(records, ["encoder"], ["new sequences", "known", "new splits", "left out"], [])
        for m in found:
            click.secho(f"left out: {m.encoder}: {m.conflicts}", fg="yellow", err=True)
        click.echo(f"stored in {into}")
    return int(ExitCode.SOME_FAILED if found else ExitCode.DONE)


def _table(records: list[dict[str, Any]], left: list[str], numbers: list[str], codes: list[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    justify: dict[str, Literal["left", "right"]] = dict.fromkeys(numbers, "right")
    for name in [*left, *numbers, *codes]:
        table.add_column(name, justify=justify.get(name, "left"), overflow="fold")
    for record in records:
        table.add_row(
            *(str(record[n]) for n in left), *(f"{record[n]:,}" for n in numbers), *(record[n][:12] for n in codes)
        )
    Console(highlight=False).print(table)
