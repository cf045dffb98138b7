"""What the commands that embed and probe have in common: options, listing of commas, the end of a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from geneb_jax.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from geneb_jax.probe.spec import LogisticSpec
    from geneb_jax.run.directory import Run

_Command = TypeVar("_Command", bound=Callable[..., Any])

ENGINES = ("jax", "sklearn", "sklearn-optimum")


def suite_options(*, required: bool) -> Callable[[_Command], _Command]:
    """``--suite``, ``--data``, ``--tasks``."""

    def decorate(function: _Command) -> _Command:
        for option in reversed(
            [
                click.option("--suite", "suite_name", required=required, metavar="SUITE",
                             help="geneb, quickstart, a folder in the official layout, or a .toml file."
                             + ("" if required else " Default: the suite that the store was made from.")),
                click.option("--data", type=click.Path(path_type=Path), metavar="DIR",
                             help="Local GENEB files: DIR/tasks/<task_id>/{train,test}.csv. "
                             "Default: the folder in GENEB_DATA."),
                click.option("--tasks", "patterns", multiple=True, metavar="GLOB",
                             help="Only tasks whose id matches, such as '*prom*'; repeat it or use commas."),
            ]
        ):  # fmt: skip
            function = option(function)
        return function

    return decorate


def probe_options(function: _Command) -> _Command:
    """Everything that says which probes are fitted, and how."""
    for option in reversed(
        [
            click.option("--regimes", default="full,10shot,1shot", show_default=True, metavar="LIST",
                         help="How many training rows a probe sees: full, or <k>shot per class."),
            click.option("--seeds", default="13,17,42,123,997", show_default=True, metavar="LIST",
                         help="Seeds of the few-shot draws; the default is GENEB's."),
            click.option("--C", "penalties", default="1.0", show_default=True, metavar="LIST",
                         help="Inverse penalty, scikit-learn's C; several values are fitted together."),
            click.option("--standardize", is_flag=True,
                         help="Scale features to unit variance first (GENEB does not)."),
            click.option("--balanced", is_flag=True, help="Weight classes equally (GENEB does not)."),
            click.option("--engine", type=click.Choice(ENGINES), default="jax", show_default=True,
                         help="jax: all probes batched, to the optimum. sklearn: the stock GENEB harness. "
                         "sklearn-optimum: scikit-learn, run to the optimum."),
            click.option("--x64", is_flag=True, help="Fit in float64; the default is float32."),
        ]
    ):  # fmt: skip
        function = option(function)
    return function


def split_list(text: str | Sequence[str]) -> list[str]:
    """The parts of one or several comma-separated lists."""
    parts = [text] if isinstance(text, str) else list(text)
    return [item.strip() for part in parts for item in part.split(",") if item.strip()]


def split_numbers(text: str, kind: type[int] | type[float], option: str) -> list[Any]:
    """A comma-separated list of numbers. Raises UsageError naming the option and the word."""
    found = []
    for word in split_list(text):
        try:
            found.append(kind(word))
        except ValueError:
            noun = "a whole number" if kind is int else "a number"
            raise UsageError(f"{option} takes {noun} or several with commas, not {word!r}") from None
    return found


def make_specs(penalties: str, *, standardize: bool, balanced: bool) -> list[LogisticSpec]:
    """One specification per penalty."""
    from geneb_jax.probe.spec import LogisticSpec

    return [
        LogisticSpec(C=C, standardize=standardize, balanced=balanced) for C in split_numbers(penalties, float, "--C")
    ]


def typed_command() -> list[str]:
    """What the user typed, after the program's name."""
    return sys.argv[1:]


def conclude(run: Run, *, as_json: bool) -> int:
    """Print a finished run, and say by the exit status whether every record has a meaningful score."""
    from geneb_jax.report.tables import console, print_report, report_json

    if as_json:
        click.echo(json.dumps(report_json(run), indent=2))
    else:
        to = console()
        print_report(run, to)
        to.print(f"Run directory: {run.path}", style="dim", soft_wrap=True)
    return int(ExitCode.SOME_FAILED if run.has_faults else ExitCode.DONE)
