"""Analyses by category and by model for the terminal: how many pairs turn, what few examples cost, who leads."""

from __future__ import annotations

from collections.abc import Sequence

from geneb_jax.report.analysis import SHOWN, Names, Section, count_text, estimate_columns, more_text, survival_columns
from geneb_jax.report.layout import Column
from geneb_jax.stats.analysis.few_shot import Drop, ModelDrop
from geneb_jax.stats.analysis.leads import Lead
from geneb_jax.stats.analysis.reversals import ReversalCount


def reversal_counts_section(found: Sequence[ReversalCount]) -> Section:
    """How many pairs each kind of score turns."""
    return Section(
        f"How many of the same {found[0].num_pairs} pairs other scores reverse",
        [Column("scores", [one.scope for one in found])],
        [
            Column("reversed", [count_text(one.count) for one in found]),
            Column("share", [f"{one.count.value / one.num_pairs:.0%}" if one.num_pairs else "–" for one in found]),
        ],
    )


def category_drops_section(found: Sequence[Drop], few: str) -> Section:
    """What few examples cost in each category."""
    return Section(
        f"What {few} costs by category: mean over all models",
        [Column("category", [one.scope for one in found])],
        [
            *estimate_columns(few, [one.mean for one in found]),
            *estimate_columns("below full", [one.lost for one in found]),
            *estimate_columns("rho with full", [one.rho for one in found]),
        ],
    )


def model_drops_section(found: Sequence[ModelDrop], few: str, names: Names) -> Section:
    """What few examples cost each model."""
    rows = found[:SHOWN]
    return Section(
        f"What {few} costs by model: macro",
        [Column("model", [names[one.model] for one in rows])],
        [
            *estimate_columns("full", [one.full for one in rows]),
            *estimate_columns(few, [one.few for one in rows]),
            *estimate_columns("lost", [one.lost for one in rows]),
            Column("rank at full", [f"{one.full_rank:g}" for one in rows]),
            Column(f"at {few}", [f"{one.few_rank:g}" for one in rows]),
            *estimate_columns("rho over tasks", [one.rho for one in rows]),
        ],
        [
            "rho over tasks: Spearman's correlation of the model's scores on the tasks in both regimes."
            f"{more_text(len(rows), len(found))}"
        ],
    )


def leads_section(found: Sequence[Lead], regime: str, names: Names) -> Section:
    """How far the best model is ahead of the runner-up."""
    tests = [one.test for one in found]
    return Section(
        f"{regime}: how far the best model is ahead of the runner-up",
        [
            Column("scores", [one.scope for one in found]),
            Column("best", [names[one.best] for one in found]),
            Column("runner-up", [names[one.runner_up] for one in found]),
        ],
        [
            *estimate_columns("best has", [one.score for one in found]),
            *estimate_columns("ahead by", [one.lead for one in found]),
            *survival_columns(tests),
        ],
        ["survives: ahead by the paired test, adjusted for all pairs of models by these scores, since they chose the "
         "two. –: both are published points."] if any(tests) else [],
    )  # fmt: skip
