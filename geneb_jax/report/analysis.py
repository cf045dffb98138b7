"""The analyses of a score board for the terminal: each as a section of one table and the notes that it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan

from rich.console import Console
from rich.text import Text

from geneb_jax.report.layout import Column, once, packed
from geneb_jax.stats.analysis.few_shot import Drop, Rerank
from geneb_jax.stats.analysis.graph import ComparisonGraph
from geneb_jax.stats.analysis.macro_micro import MacroMicro
from geneb_jax.stats.analysis.pairs import FactorMean, PairDelta
from geneb_jax.stats.analysis.pareto import ParetoPoint
from geneb_jax.stats.analysis.reversals import Reversals
from geneb_jax.stats.analysis.sampled import ClaimTest, Estimate
from geneb_jax.stats.analysis.scale import ScaleCorrelation
from geneb_jax.stats.analysis.specialisation import Specialisation
from geneb_jax.stats.analysis.tiers import Tier
from geneb_jax.stats.analysis.variance import PlacesOfLabel, VariableTask
from geneb_jax.stats.analysis.wins import Wins

Names = Mapping[str, str]
SHOWN = 12
"""Rows of a long list that are printed; --json has them all."""


@dataclass(frozen=True)
class Section:
    """A heading, the columns of one table, and sentences below it."""

    title: str
    left: list[Column]
    columns: list[Column]
    notes: list[str] = field(default_factory=list)


def print_section(section: Section, to: Console) -> None:
    """Print the heading, the table in as many parts as the width asks for, and the notes."""
    to.print()
    if section.title:
        to.print(Text(section.title, style="bold"))
    if section.left[0].cells:
        for table in packed(section.left, section.columns, to.width):
            to.print(table)
    for note in section.notes:
        to.print(Text(note, style="dim"))


def size_text(params: float) -> str:
    """A number of parameters in few characters: 1.2B, 87M, 55.5k."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if params >= unit:
            return f"{params / unit:.3g}{letter}"
    return f"{params:.0f}"


def scale_section(found: Sequence[ScaleCorrelation], names: Names) -> Section:
    """Correlations of size and score."""
    scopes = [
        one.scope + (f" without {', '.join(names[m] for m in one.without)}" if one.without else "") for one in found
    ]
    return Section(
        f"{found[0].regime}: does size go with score? Spearman's rho of parameters and MCC",
        [Column("scores", scopes)],
        [
            *estimate_columns("rho", [one.rho for one in found]),
            Column("p", ["–" if isnan(one.p) else "<0.001" if one.p < 0.001 else f"{one.p:.3f}" for one in found]),
            Column("models", [str(one.num_models) for one in found]),
        ],
        [
            "p: of no connection, models taken as independent of each other, and not adjusted for the number of rows.",
            "1: the larger, the better, without exception; 0: no connection. Models of unknown size are left out.",
        ],
    )


def tiers_section(found: Sequence[Tier], regime: str) -> Section:
    """Means of size tiers."""
    spans = [f"{size_text(t.low)} to {size_text(t.high)}" if t.high else f"{size_text(t.low)} or more" for t in found]
    return Section(
        f"{regime}: mean macro by size",
        [Column("parameters", ["below " + s.partition(" to ")[2] if s.startswith("0 to") else s for s in spans])],
        [*estimate_columns("mean", [t.mean for t in found]), Column("models", [str(len(t.models)) for t in found])],
    )


def reversals_section(found: Reversals, names: Names) -> Section:
    """Smaller models that score higher."""
    rows = found.found[:SHOWN]
    return Section(
        f"{found.regime}: {count_text(found.count)} of {found.num_pairs} pairs are reversed: "
        "the smaller one scores higher",
        [Column("smaller", [names[one.small] for one in rows]), Column("larger", [names[one.large] for one in rows])],
        [
            Column("size ratio", [f"{one.ratio:,.0f}" if one.ratio >= 100 else f"{one.ratio:.3g}" for one in rows]),
            *estimate_columns("ahead by", [one.difference for one in rows]),
            *survival_columns([one.test for one in rows]),
        ],
        [
            f"Pairs of {found.num_models} in-domain models of which one has at least {found.ratio:g} times the "
            f"parameters.{more_text(len(rows), len(found.found))}",
            *_test_note([one.test for one in found.found], "pairs"),
        ],
    )


def pareto_section(found: Sequence[ParetoPoint], regime: str, names: Names) -> Section:
    """Models that no smaller one beats."""
    rows = [one for one in found if one.on_frontier or (one.share or 0) >= 0.05]
    shares = [Column("on it in", ["–" if one.share is None else f"{one.share:.0%}" for one in rows])]
    return Section(
        f"{regime}: the Pareto frontier: no other model is as small and better",
        [Column("model", [names[one.model] for one in rows])],
        [
            Column("parameters", [size_text(one.size) for one in rows]),
            *estimate_columns("macro", [one.score for one in rows]),
            *(shares if any(one.share is not None for one in rows) else []),
        ],
        ["on it in: the share of resamples in which the model is on the frontier."]
        if rows[0].share is not None
        else [],
    )


def drop_section(found: Sequence[Drop]) -> Section:
    """How much few examples cost."""
    return Section(
        "What few examples cost: mean macro over all models",
        [Column("regime", [one.regime for one in found])],
        [
            *estimate_columns("mean", [one.mean for one in found]),
            *estimate_columns("below full", [one.lost for one in found]),
            *estimate_columns("rho with full", [one.rho for one in found]),
        ],
        ["rho: Spearman's correlation of the models' ranking with that at full data; 1 is the same order."],
    )


def rerank_section(found: Sequence[Rerank], few: str, names: Names) -> Section:
    """Who wins each category, with full data and with few examples."""
    changed = sum(one.changed for one in found)
    return Section(
        f"{changed} of {len(found)} categories have another winner at {few} than with full data",
        [Column("category", [one.scope for one in found])],
        [
            Column("best with full data", [names[one.full] for one in found]),
            Column(f"best at {few}", [names[one.few] if one.changed else "the same" for one in found]),
            *survival_columns([one.test for one in found]),
        ],
        _test_note([one.test for one in found], "categories"),
    )


def variance_section(
    found: Sequence[VariableTask], threshold: float, ddof: int, labels: Sequence[PlacesOfLabel], names: Names
) -> list[Section]:
    """The tasks on which models differ most, and what takes the first and the last places; `names` may name tasks."""
    kind = {0: "population, divided by n", 1: "sample, divided by n - 1"}[ddof]
    tasks = Section(
        f"{len(found)} tasks have a standard deviation over models above {threshold:g} ({kind})",
        [Column("task", [names.get(one.task, one.task) for one in found])],
        [
            *estimate_columns("std", [one.std for one in found]),
            Column("first", [names[one.first[0]] for one in found]),
            Column("last", [names[one.last[0]] for one in found]),
        ],
    )
    if not found or not labels:
        return [tasks]
    places = Section(
        f"Who takes the first and the last {len(found[0].first)} places on these tasks",
        [
            Column("kind", once([one.kind for one in labels])),
            Column("label", [one.label or "not stated" for one in labels]),
        ],
        [
            Column("models", [f"{one.num_models} ({one.num_models / _total(labels, one):.0%})" for one in labels]),
            Column("first places", [str(one.first) for one in labels]),
            Column("last places", [str(one.last) for one in labels]),
        ],
    )
    return [tasks, places]


def wins_section(found: Sequence[Wins], regime: str, num_tasks: int, names: Names) -> Section:
    """On how many tasks each model is the best."""
    tested = any(one.tested for one in found)
    sure = [Column("certain", [f"{one.certain} of {one.tested}" if one.tested else "–" for one in found[:SHOWN]])]
    return Section(
        f"{regime}: best on how many of {num_tasks} tasks",
        [Column("model", [names[one.model] for one in found[:SHOWN]])],
        [Column("wins", [count_text(one.count) for one in found[:SHOWN]]), *(sure if tested else [])],
        [
            f"{len(found)} models win a task.{more_text(min(SHOWN, len(found)), len(found))}",
            *(["certain: better than each other model on that task, by the paired test, adjusted for all pairs; of the "
               "wins for which every rival could be tested."] if tested else []),
        ],
    )  # fmt: skip


def specialisation_section(found: Sequence[Specialisation], regime: str, names: Names) -> Section:
    """Where models rank above their own average."""
    rows = found[:SHOWN]
    substantial = sum(one.substantial for one in found)
    return Section(
        f"{regime}: specialisation: mean rank on other tasks minus mean rank on the category's",
        [Column("model", [names[one.model] for one in rows]), Column("category", [one.category for one in rows])],
        estimate_columns("places better", [one.places for one in rows], digits=1),
        [f"{substantial} of {len(found)} (model, category) are 5 places or more.{more_text(len(rows), len(found))}"],
    )


def pairs_section(
    deltas: Sequence[PairDelta], means: Sequence[FactorMean], version: str | None, names: Names
) -> list[Section]:
    """Pairs of models that differ in one factor."""
    which = "all pairs of the paper" if version is None else f"the pairs that the {version} labels confirm"
    by_factor = Section(
        f"What one factor makes: mean difference over {which}",
        [
            Column("factor", once([one.factor for one in means])),
            Column("level", [one.level for one in means]),
            Column("minus", [one.other for one in means]),
        ],
        [
            *estimate_columns("mean", [one.mean for one in means], sign=True),
            Column("pairs", [str(one.num_pairs) for one in means]),
            Column("ahead", [str(one.advantages) for one in means]),
            Column("behind", [str(one.disadvantages) for one in means]),
        ],
        ["ahead, behind: pairs whose difference is larger than the threshold on either side."],
    )
    tests = [one.test for one in deltas]
    each = Section(
        f"{len(deltas)} pairs",
        [
            Column("first", [names[d.pair.first] for d in deltas]),
            Column("second", [names[d.pair.second] for d in deltas]),
        ],
        [
            *estimate_columns("difference", [d.delta for d in deltas], sign=True),
            Column(
                "labels agree", [", ".join(v for v, is_so in d.pair.agree.items() if is_so) or "none" for d in deltas]
            ),
            *survival_columns(tests),
        ],
        _test_note(tests, "pairs"),
    )
    return [by_factor, each]


def macro_micro_section(found: MacroMicro, names: Names) -> Section:
    """Whether the ranking depends on how tasks are averaged."""
    rows = [one for one in found.moved if one.macro_rank != one.micro_rank][:SHOWN]
    return Section(
        f"{found.regime}: ranking by macro against micro: rho {_text(found.rho)}, tau {_text(found.tau)}",
        [Column("moves most", [names[one.model] for one in rows])],
        [
            Column("macro", [f"{one.macro:.3f}" for one in rows]),
            Column("micro", [f"{one.micro:.3f}" for one in rows]),
            Column("rank by macro", [f"{one.macro_rank:g}" for one in rows]),
            Column("rank by micro", [f"{one.micro_rank:g}" for one in rows]),
        ],
        ["macro: mean of the categories; micro: mean of the tasks, so that large categories count more."],
    )


def graph_section(found: ComparisonGraph, names: Names) -> Section:
    """Which models were compared with which."""
    whole = found.num_models * (found.num_models - 1) // 2
    ahead = sum(one.difference.value > 0 for one in found.edges)
    alone = sum(len(group) == 1 for group in found.groups)
    used = ", ".join(f"{names[name]} ({count})" for name, count in list(found.baselines.items())[:5])
    return Section(
        f"{found.num_pairs_compared} of {whole} pairs of models were ever compared",
        [
            Column("model", [names[one.model] for one in found.edges[:SHOWN]]),
            Column("baseline", [names[one.baseline] for one in found.edges[:SHOWN]]),
        ],
        [
            *estimate_columns("difference here", [one.difference for one in found.edges[:SHOWN]], sign=True),
            *survival_columns([one.test for one in found.edges[:SHOWN]]),
        ],
        [
            f"In {ahead} of {len(found.edges)} comparisons the model is ahead of its baseline here."
            f"{more_text(min(SHOWN, len(found.edges)), len(found.edges))}",
            f"{alone} models were compared with none; the largest linked group has {len(found.groups[0])}.",
            f"Most used as a baseline: {used or 'none'}.",
            *([f"Not on the board: {', '.join(found.outside)}."] if found.outside else []),
        ],
    )


def estimate_columns(head: str, values: Sequence[Estimate], *, digits: int = 3, sign: bool = False) -> list[Column]:
    """The values, and their intervals where some have one."""
    plus = "+" if sign else ""
    shown = [Column(head, [f"{one.value:{plus}.{digits}f}" for one in values])]
    if any(one.low is not None for one in values):
        ends = [
            "–" if one.low is None or one.high is None else f"{one.low:{plus}.{digits}f} to {one.high:{plus}.{digits}f}"
            for one in values
        ]
        shown.append(Column("interval", ends))
    return shown


def _text(one: Estimate) -> str:
    return f"{one.value:.3f}" + ("" if one.low is None else f" ({one.low:.3f} to {one.high:.3f})")


def count_text(one: Estimate) -> str:
    """A count, with its interval where it varies."""
    return f"{one.value:.0f}" + (
        "" if one.low is None or one.low == one.high else f" ({one.low:.0f} to {one.high:.0f})"
    )


def survival_columns(tests: Sequence[ClaimTest | None]) -> list[Column]:
    """Whether each claim survives, with its adjusted p; nothing where no claim could be tested."""
    if not any(tests):
        return []
    cells = ["–" if one is None else f"{'yes' if one.survives else 'no'} (p {one.p_adjusted:.2g})" for one in tests]
    return [Column("survives", cells)]


def _test_note(tests: Sequence[ClaimTest | None], what: str) -> list[str]:
    held = [one for one in tests if one is not None]
    if not held:
        return []
    lasting = sum(one.survives for one in held)
    return [
        f"{lasting} of {len(held)} {what} that could be tested survive the paired test, adjusted for all of "
        "them (step-down max-T). "
        "–: nothing to test, or both sides are published points."
    ]


def more_text(shown: int, all_of_them: int) -> str:
    """Where the rows are that are not printed; empty if all are."""
    return f" {all_of_them - shown} more are in --json." if all_of_them > shown else ""


def _total(labels: Sequence[PlacesOfLabel], one: PlacesOfLabel) -> int:
    return sum(other.num_models for other in labels if other.kind == one.kind)
