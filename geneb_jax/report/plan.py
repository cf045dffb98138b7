"""Plans for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from geneb_jax.report.claims import no_number_is_enough, plan_claim, plan_question
from geneb_jax.report.layout import Column, packed
from geneb_jax.stats.plan import Plan


def print_plans(plans: Sequence[Plan], to: Console, *, level: float, power: float, among: int) -> None:
    """What varies, and what it would take, regime by regime."""
    to.print(plan_question(plans[0].difference, level, power, among))
    to.print()
    columns = [
        Column("tasks", [f"{p.num_tasks}" for p in plans]),
        Column("rows", [f"{p.num_rows:,}" for p in plans]),
        Column("draws", [f"{p.num_draws}" for p in plans]),
        Column("s.e. by rows", [f"{p.se_rows:.4f}" for p in plans]),
        Column("by draws", [f"{p.se_draws:.4f}" if p.num_draws > 1 else "–" for p in plans]),
        Column("s.d. between tasks", [f"{p.sd_tasks:.3f}" if p.sd_tasks is not None else "–" for p in plans]),
        Column("found now", [f"{p.detectable:.3f}" for p in plans]),
        Column("rows needed", [no_number_is_enough(p.rows_factor, "× ") for p in plans]),
        Column("draws needed", [no_number_is_enough(p.draws) if p.num_draws > 1 else "–" for p in plans]),
        Column("tasks needed", [no_number_is_enough(p.tasks) if p.sd_tasks is not None else "–" for p in plans]),
    ]
    for table in packed([Column("regime", [p.regime for p in plans])], columns, to.width):
        to.print(table)
    for one in plans:
        to.print(Text(plan_claim(one), style="dim"))
