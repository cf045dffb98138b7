"""The progress bar of probing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from geneb_jax.run import plan


@contextmanager
def bar(total: int, *, enabled: bool) -> Iterator[Callable[[plan.Pair], None]]:
    """A progress bar on the terminal, with the time left; silent where there is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("probing"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )
    quiet = not (enabled and console.is_terminal)
    with Progress(*columns, console=console, disable=quiet, transient=True) as shown:
        task = shown.add_task("", total=total, last="")

        def advance(pair: plan.Pair) -> None:
            shown.update(task, advance=1, last=f"{pair.element.manifest.name} · {pair.info.label}"[:40])

        yield advance
