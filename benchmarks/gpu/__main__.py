"""``python -m benchmarks.gpu``: every check that needs a GPU, in ten minutes, one JSON file written step by step."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchmarks import machine


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("names", nargs=-1)
@click.option("--size", type=click.Choice(["toy", "real"]), help="Default: real on a GPU, toy on a CPU.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("gpu.json"), show_default=True)
@click.option("--limit", type=float, default=480.0, show_default=True, help="Seconds after which no check begins.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder with geneb/tasks, for the rows of real tasks.")
def command(names: tuple[str, ...], size: str | None, out: Path, limit: float, data: Path | None) -> int:
    """Run the checks whose name holds one of NAMES, or all. Exit status 1 if one failed or was not reached."""
    machine.leave_memory()
    import jax
    from rich.console import Console

    from benchmarks.gpu import kernel_checks, sharing, solver_checks
    from benchmarks.gpu.steps import Outcome, Setting, run_steps
    from benchmarks.workloads import find_data

    gpu = jax.default_backend() == "gpu"
    setting = Setting("toy" if size == "toy" or (size is None and not gpu) else "real", gpu, find_data(data))
    # the card is shared first, while JAX holds none of it
    steps = [*sharing.STEPS, *kernel_checks.STEPS, *solver_checks.STEPS]
    chosen = [step for step in steps if not names or any(name in step.name for name in names)]
    console = Console()
    colours = {"passed": "green", "failed": "red", "skipped": "yellow", "not reached": "red"}

    def say(outcome: Outcome) -> None:
        kind = f"[{colours[outcome.outcome]}]{outcome.outcome:<8}[/]"
        console.print(f"{kind} {outcome.seconds:7.1f} s  {outcome.name}", highlight=False)
        notes = [outcome.why, str(outcome.figures.get("kernel", "")), str(outcome.figures.get("guard", ""))]
        for note in filter(None, notes):
            console.print(f"                    {note}", style="dim", highlight=False, markup=False, soft_wrap=True)

    console.print(
        f"{len(chosen)} check{'s' * (len(chosen) > 1)}, {setting.size} size, on {jax.devices()[0].device_kind}; "
        f"results in {out.name}"
    )
    outcomes = run_steps(chosen, setting, out, limit=limit, say=say)
    counts = {kind: sum(outcome.outcome == kind for outcome in outcomes) for kind in colours}
    console.print(", ".join(f"{count} {kind}" for kind, count in counts.items() if count))
    if not gpu:
        console.print(
            "Without a GPU this says nothing about one: kernels, transfers and the shared card are untested.",
            soft_wrap=True,
        )
    return int(counts["failed"] + counts["not reached"] > 0)


if __name__ == "__main__":
    sys.exit(command.main(prog_name="python -m benchmarks.gpu", standalone_mode=False))
