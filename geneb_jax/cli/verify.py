"""``geneb verify``: read a whole store against its checksums."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.errors import ExitCode, StoreError

if TYPE_CHECKING:
    from geneb_jax.store import Fault
    from geneb_jax.store.places import Place
    from geneb_jax.store.repair import Repaired


@click.command()
@click.argument("store_path", metavar="STORE")
@click.option("--repair", is_flag=True, help="Take out what is damaged and set it aside, so that `geneb embed` can "
              "fill the gap; says what it did.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(store_path: str, repair: bool, as_json: bool) -> int:
    """Check every chunk, index and manifest of a store. STORE is a folder or an address (s3://, gs://, https://).

    Reads all of it and, without --repair, changes nothing. Exit status: 0 when the store is sound (with --repair: is
    sound now), 3 when something is wrong.
    """
    from geneb_jax.store.root import open_store
    from geneb_jax.store.verify import interrupted_repairs, verify_element

    repairs = _repair(store_path, as_json) if repair else []
    store = open_store(store_path)
    root, keys = store.path, store.keys()
    elements = [{**_describe(root, k), "faults": verify_element(root, k)} for k in keys]
    others = interrupted_repairs(root)
    faults = [fault for element in elements for fault in element["faults"]] + others
    if as_json:
        listing = [{**e, "faults": [asdict(f) for f in e["faults"]]} for e in elements]
        record = {"store": store_path, "sound": not faults, "elements": listing, "faults": [asdict(f) for f in others]}
        if repair:
            record["repairs"] = [asdict(r) for r in repairs]
        click.echo(json.dumps(record, indent=2))
    else:
        _show(store_path, elements, faults)
    return int(ExitCode.BAD_INPUT if faults else ExitCode.DONE)


def _repair(store_path: str, as_json: bool) -> list[Repaired]:
    from geneb_jax.store.repair import repair_store

    repairs = repair_store(store_path)
    if as_json:
        return repairs
    for done in repairs:
        for fault in done.faults:
            click.secho(f"fault: {fault.what}", fg="red")
            click.echo(f"  where: {fault.key}")
        click.secho(f"repaired {done.key}: ", fg="yellow", nl=False)
        click.echo(done.what)
        if done.dropped or done.splits:
            click.echo(f"  sequences dropped: {done.dropped:,}; kept: {done.kept:,}; split indexes dropped: "
                       f"{len(done.splits)}")  # fmt: skip
            click.echo("  what to do: run the same `geneb embed` again; it computes only what is missing now")
        if done.set_aside:
            click.echo(
                f"  what was there before is in {store_path}/{done.set_aside}; delete it when you need it no more"
            )
    if not repairs:
        click.echo("nothing to repair")
    return repairs


def _describe(root: Place, key: str) -> dict[str, Any]:
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


def _show(store_path: str, elements: list[dict[str, Any]], faults: list[Fault]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not elements and not faults:
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
    if elements:
        console.print(table)
    for fault in faults:
        click.secho(f"fault: {fault.what}", fg="red")
        click.echo(f"  where: {fault.key}")
        click.echo(f"  what to do: {fault.cure}")
    if any(element["non_finite"] for element in elements):
        click.echo("NaN/inf: vectors that are not numbers came from the encoder; tasks that use them get no score.")
    click.echo(f"{store_path} is damaged" if faults else f"{store_path} is sound")
