"""``geneb verify``: read a whole store against its checksums."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.errors import ExitCode, StoreError

if TYPE_CHECKING:
    from geneb_jax.store import Fault


@click.command()
@click.argument("store_path", type=click.Path(path_type=Path), metavar="STORE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(store_path: Path, as_json: bool) -> int:
    """Check every chunk, index and manifest of a store.

    Reads all of it and changes nothing. Exit status: 0 when the store is sound, 3 when something is wrong.
    """
    from geneb_jax.store.root import open_store
    from geneb_jax.store.verify import verify_element

    store = open_store(store_path)
    keys = store.keys()
    elements = [{**_describe(store_path, k), "faults": verify_element(store_path, k)} for k in keys]
    faults = [fault for element in elements for fault in element["faults"]]
    if as_json:
        listing = [{**e, "faults": [asdict(f) for f in e["faults"]]} for e in elements]
        click.echo(json.dumps({"store": str(store_path), "sound": not faults, "elements": listing}, indent=2))
    else:
        _show(store_path, elements, faults)
    return int(ExitCode.BAD_INPUT if faults else ExitCode.DONE)


def _describe(root: Path, key: str) -> dict[str, Any]:
    from geneb_jax.store.element import EmbeddingStore

    try:
        element = EmbeddingStore(root, key)
    except StoreError:
        return {"key": key, "encoder": None, "width": None, "rows": None, "tasks": None, "non_finite": None}
    return {
        "key": key,
        "encoder": element.manifest.name,
        "width": element.width,
        "rows": element.num_rows,
        "tasks": len(element.tasks()),
        "non_finite": len(element.non_finite_rows),
    }


def _show(store_path: Path, elements: list[dict[str, Any]], faults: list[Fault]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not elements:
        console.print("this store is empty: nothing has been embedded into it yet")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("encoder", overflow="fold")
    for name in ("width", "sequences", "tasks", "NaN/inf", "faults"):
        table.add_column(name, justify="right")
    for element in elements:
        numbers = [element[k] for k in ("width", "rows", "tasks", "non_finite")]
        shown = ["?" if n is None else f"{n:,}" for n in numbers]
        count = len(element["faults"])
        verdict = f"[red]{count}[/red]" if count else "[green]none[/green]"
        table.add_row(element["encoder"] or element["key"], *shown, verdict)
    console.print(table)
    for fault in faults:
        click.secho(f"fault: {fault.what}", fg="red")
        click.echo(f"  where: {fault.key}")
        click.echo(f"  what to do: {fault.cure}")
    if any(element["non_finite"] for element in elements):
        click.echo("NaN/inf: vectors that are not numbers came from the encoder; tasks that use them get no score.")
    click.echo(f"{store_path} is damaged" if faults else f"{store_path} is sound")
