"""``geneb doctor``: what is installed and found here; ``--parity`` compares the engine with scikit-learn."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geneb_jax.backend import one_line
from geneb_jax.cli.effect import refuse_idle
from geneb_jax.cli.options import split_list
from geneb_jax.errors import ExitCode

if TYPE_CHECKING:
    from geneb_jax.probes.spec import Dtype
    from geneb_jax.run.parity import ParityRow
    from geneb_jax.store import EmbeddingStore

# extra -> the modules it brings
EXTRAS = {"hf": ("torch", "transformers", "safetensors"), "test": ("pytest", "hypothesis", "mypy", "ruff")}


@click.command()
@click.option("--parity", "store", metavar="STORE", help="Fit STORE's tasks with our engine and with scikit-learn.")
@click.option("--tasks", "patterns", multiple=True, metavar="GLOB", help="With --parity: only matching task ids.")
@click.option("--x64", is_flag=True, help="With --parity: our engine in float64; the default is float32.")
@click.option("--stock", is_flag=True,
              help="With --parity: against GENEB's script (tol 1e-4, float32 vectors), without limits.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(store: str | None, patterns: tuple[str, ...], x64: bool, stock: bool, as_json: bool) -> int:
    """Show versions, devices, optional extras and data; or measure how far our fits are from scikit-learn's.

    Exit status with --parity: 4 when a limit is exceeded.
    """
    if store is not None:
        return _parity(store, split_list(patterns), "float64" if x64 else "float32", stock, as_json)
    refuse_idle("it belongs to --parity", "patterns", "x64", "stock", cure="add --parity STORE")
    facts = _facts()
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        _print_facts(facts)
    return int(ExitCode.DONE)


# runs in a process of its own: a flag that XLA does not know, or a broken library, ends the process that meets it
_PROBE = """
import json
from geneb_jax.run.phases import device_names
from geneb_kernels.choice import choose
print(json.dumps({"devices": device_names(), "kernels": str(choose("any operation"))}))
"""


def _facts() -> dict[str, Any]:
    problems: list[str] = []

    def ask(what: str, question: Callable[[], Any], otherwise: Any = None) -> Any:
        try:
            return question()
        except Exception as error:  # whatever is broken here is what this command is asked about
            problems.append(f"{what}: {type(error).__name__}: {one_line(error)}")
            return otherwise

    data = os.environ.get("GENEB_DATA")
    computing = ask("JAX", _in_child, {"devices": [], "kernels": "unknown"})
    facts = {
        "versions": ask("versions", _versions, {}),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        **computing,
        "extras": {name: ask(f"extra {name}", partial(_all_there, modules), False) for name, modules in EXTRAS.items()},
        "data": {"GENEB_DATA": data, "tasks_found": ask("GENEB_DATA", lambda: _count_tasks(data)) if data else None},
    }
    found = (ask("GENEB_DEVICES", _check_devices), ask("compile cache", _check_cache))
    problems += [text for text in found if text is not None]
    return {**facts, "problems": problems}


def _all_there(modules: Sequence[str]) -> bool:
    return all(find_spec(module) for module in modules)


def _versions() -> dict[str, str]:
    from geneb_jax.run.meta import package_versions

    return package_versions()


def _in_child() -> dict[str, Any]:
    child = [sys.executable, "-c", _PROBE]
    done = subprocess.run(child, capture_output=True, timeout=120, check=False)
    if done.returncode == 0:
        found = json.loads(done.stdout.decode("utf-8", "replace").splitlines()[-1])
        assert isinstance(found, dict)
        return found
    # the last line that says something; XLA puts time and place before a bracket
    lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("  what to do")]
    text = next((line for line in lines if "JAX cannot start" in line), said[-1] if said else "no message")
    raise RuntimeError(f"{text.removeprefix('geneb_jax.backend.BackendError: ')} (exit {done.returncode})")


def _count_tasks(data: str) -> int:
    from geneb_jax.task import load_suite

    return sum(found is True for found in load_suite("geneb", data=Path(data)).present().values())


def _check_devices() -> str | None:
    """The variable is read where a fit begins; a wrong one is better told here."""
    text = os.environ.get("GENEB_DEVICES")
    if text is None or (text.strip().isdecimal() and int(text) > 0):
        return None
    return f"GENEB_DEVICES: {text!r} is no number of devices; set it to a number from 1, or unset it"


def _check_cache() -> str | None:
    from geneb_jax.run.compile_cache import cache_folder

    folder = cache_folder()
    if folder is None:
        return None
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if there.is_dir() and os.access(there, os.W_OK):
        return None
    return f"compile cache: {folder} cannot be written, so programs are compiled in every process anew"


def _print_facts(facts: dict[str, Any]) -> None:
    """Without rich or anything else that may be what is broken here."""

    def title(text: str) -> None:
        click.secho(f"\n{text}" if text != "Versions" else text, bold=True)

    title("Versions")
    for name, number in facts["versions"].items():
        click.echo(f"  {name:<14}{number}")
    title("Machine")
    devices = ", ".join(facts["devices"]) or "nothing: see below"
    click.echo(f"  {facts['system']}\n  JAX computes on {devices}\n  kernels: {facts['kernels']}")
    title("Optional extras")
    for name, there in facts["extras"].items():
        click.echo(f"  {name:<14}" + ("installed" if there else f"not installed; pip install 'geneb_jax[{name}]'"))
    title("Data")
    data = facts["data"]
    if data["GENEB_DATA"] and data["tasks_found"] is None:
        click.echo("  GENEB_DATA is set, and cannot be read: see below")
    elif data["GENEB_DATA"]:
        click.echo(f"  GENEB_DATA holds {data['tasks_found']} of the 100 tasks of GENEB")
    else:
        click.echo("  GENEB_DATA is not set: tasks of GENEB come from the hub; `geneb quickstart` needs neither")
    if facts["problems"]:
        title("Problems")
    for text in facts["problems"]:
        click.secho(f"  {text}", fg="yellow")


def _parity(store: str, patterns: Sequence[str], dtype: Dtype, stock: bool, as_json: bool) -> int:
    from geneb_jax.report.tables import console
    from geneb_jax.run.parity import LIMITS, all_faults, compare, regime_means
    from geneb_jax.run.plan import DataCheck, open_elements, resolve_suite

    to = console()
    found: dict[str, list[ParityRow]] = {}
    elements = [element for _, element in open_elements([store])]
    chosen = resolve_suite(None, elements).select(patterns)
    check = DataCheck(chosen)
    for element in elements:
        tasks = [t for t in chosen.ids if t in element.tasks()]
        for task in tasks:
            check.require_same(task, {s: element.data_digest(task, s) for s in element.split_names(task)})
        rows = list(compare(element, tasks, dtype=dtype, stock=stock, started=_notice(element)))
        found[element.key] = rows
    faults = {key: [] if stock else all_faults(rows, dtype) for key, rows in found.items()}
    if as_json:
        report = {
            "dtype": dtype,
            "reference": "sklearn-stock, float32, tol 1e-4" if stock else "sklearn-optimum, float64, tol 1e-12",
            "limits": None if stock else asdict(LIMITS[dtype]),
            "lanes": {key: [asdict(lane) for row in rows for lane in row.lanes] for key, rows in found.items()},
            "mean_abs_delta_mcc": {key: regime_means(rows) for key, rows in found.items()},
            "faults": faults,
        }
        click.echo(json.dumps(report, indent=2))
    else:
        against = (
            "GENEB's script: --engine sklearn-stock (tol 1e-4, float32)"
            if stock
            else "scikit-learn at its optimum: --engine sklearn-optimum (tol 1e-12, float64)"
        )
        to.print(f"\n[bold]Our engine ({dtype}) against {against}[/bold]")
        for element in elements:
            _print_parity(to, element, found[element.key], faults[element.key])
        _print_verdict(to, dtype, stock, sum(map(len, faults.values())))
    return int(ExitCode.SOME_FAILED if any(faults.values()) else ExitCode.DONE)


def _notice(element: EmbeddingStore) -> Any:
    return lambda task: click.echo(f"comparing {element.manifest.name} on {task}", err=True)


def _print_parity(to: Any, element: EmbeddingStore, rows: Sequence[ParityRow], faults: Sequence[str]) -> None:
    from rich.table import Table

    from geneb_jax.run.parity import regime_means

    to.print(f"\n[bold]{element.manifest.name}[/bold]")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("task", overflow="fold")
    table.add_column("regime")
    for name in ("objective gap", "coefficients", "same predictions", "ties", "|ΔMCC|", "but for ties"):
        table.add_column(name, justify="right")
    last = None
    for row in rows:
        table.add_row(
            "" if row.task == last else row.task,
            row.regime,
            f"{row.gap:.1e}",
            f"{row.coef:.1e}",
            f"{100 * row.equal:.3f} %",
            str(row.num_ties),
            f"{row.delta_mcc:.5f}",
            f"{row.decided_delta_mcc:.5f}",
        )
        last = row.task
    to.print(table)
    means = ", ".join(f"{regime} {value:.5f}" for regime, value in regime_means(rows).items())
    to.print(f"mean |ΔMCC| per regime, but for ties: {means}")
    for fault in faults[:8]:
        to.print(f"[red]beyond the limit:[/red] {fault}")
    if len(faults) > 8:
        to.print(f"[red]… and {len(faults) - 8} more[/red]")


def _print_verdict(to: Any, dtype: Dtype, stock: bool, count: int) -> None:
    from geneb_jax.run.parity import LIMITS, TIE_MARGIN

    to.print(
        "\nEach figure is the worst over the five seeds. objective gap: (ours - theirs) / theirs, so that a "
        "negative one says ours is the lower; coefficients: largest difference over the largest coefficient; "
        f"ties: test rows whose margin at scikit-learn's optimum is below {TIE_MARGIN:g}, so that rounding chose their "
        "class there as here; the last column gives them scikit-learn's.",
        style="dim",
    )
    if stock:
        to.print(
            "The script stops before the optimum, in float32 at another place than in float64 (--engine sklearn): "
            "these differences are its own.",
            style="dim",
        )
        return
    limits = LIMITS[dtype]
    rule = f"{100 * limits.equal_share:g} % same predictions"
    bounds = f"|ΔMCC| {limits.mcc:g}, mean |ΔMCC| {limits.mean_mcc:g}"
    to.print(f"Limits for {dtype}, ties set aside: gap {limits.gap:g}, {rule}, {bounds}.", style="dim")
    to.print("[green]All within the limits.[/green]" if not count else f"[red]{count} beyond the limits.[/red]")
