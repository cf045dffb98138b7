"""Gains over the floor for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from geneb_jax.report.layout import Column, packed
from geneb_jax.report.naming import series_name
from geneb_jax.stats.gain import Gain


def print_gains(gains: Sequence[Gain], to: Console, *, level: float, scopes: Sequence[str]) -> None:
    """A table per regime and mean: every encoder's gain over the best k-mer encoder, with its interval."""
    if not gains:
        to.print("No gains over the floor: the runs hold no k-mer encoder (such as kmer:6,counts=true) beside others.")
        return
    among = list(dict.fromkeys(s for gain in gains for s in (gain.series, gain.floor)))
    for regime, scope, name in dict.fromkeys((g.regime, g.scope, g.name) for g in gains if g.scope in scopes):
        rows = [g for g in gains if (g.regime, g.scope, g.name) == (regime, scope, name)]
        to.print()
        where = f"{scope} {name}" if scope != name else scope
        floors = ", ".join(dict.fromkeys(series_name(g.floor, among) for g in rows))
        to.print(Text(f"{regime}, {where}: gain over the floor, {floors}", style="bold"))
        columns = [
            Column("gain", [f"{g.estimate:+.3f}" for g in rows]),
            Column(f"{level:.0%}, all pairs at once", [f"{g.low:+.3f} to {g.high:+.3f}" for g in rows]),
            Column("p alone", [f"{g.p:.2g}" for g in rows]),
            Column("max-T", [f"{g.p_max_t:.2g}" for g in rows]),
            Column("Holm", [f"{g.p_holm:.2g}" for g in rows]),
            Column("BH", [f"{g.p_bh:.2g}" for g in rows]),
        ]
        for table in packed([Column("encoder", [series_name(g.series, among) for g in rows])], columns, to.width):
            to.print(table)
    to.print()
    to.print("The floor is the best k-mer encoder of each mean, picked on these test rows.", style="dim")
