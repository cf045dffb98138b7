"""A choice of models for the terminal: the table, and a sentence for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from geneb_jax.report.analysis import Section, estimate_columns, size_text
from geneb_jax.report.layout import Column
from geneb_jax.stats.analysis.choice import Candidate, Choice


class ModelFacts(Protocol):
    """What is shown of a model beside its score."""

    @property
    def name(self) -> str:
        """For tables."""

    @property
    def params(self) -> int | None:
        """Number of weights."""

    @property
    def memory(self) -> int | None:
        """Bytes."""

    @property
    def licence(self) -> str | None:
        """Of the weights."""


def heading(found: Choice, count: int, source: str) -> str:
    """What the list is of, in words."""
    kind = {"macro": "all kinds of task alike (macro)", "micro": "all tasks alike (micro)"}.get(
        found.scope, found.scope
    )
    shots = found.regime.removesuffix("shot")
    data = (
        "all training data" if found.regime == "full" else f"{shots} labelled example{'s' * (shots != '1')} per class"
    )
    return f"{count} to try for {kind} with {data} ({found.regime}), from {source}"


def choice_section(found: Choice, shown: Sequence[Candidate], facts: Mapping[str, ModelFacts]) -> Section:
    """Size, memory, licence and score of the models that are named."""
    held = [facts[one.model] for one in shown]
    more = found.num_within - sum(one.within for one in shown)
    return Section(
        "",
        [Column("model", [one.name for one in held])],
        [
            Column("parameters", ["–" if one.params is None else size_text(one.params) for one in held]),
            Column("memory", [_memory_text(one.memory) for one in held]),
            Column("licence", [one.licence or "–" for one in held]),
            *estimate_columns("MCC", [one.score for one in shown]),
            Column("behind the best", ["–" if one.model == found.best else f"{one.behind.value:.3f}" for one in shown]),
            Column("as good", ["yes" if one.within else "no" for one in shown]),
        ],
        [f"{more} more {'is' if more == 1 else 'are'} as good and larger: --count {found.num_within} shows them."]
        if more > 0
        else [],
    )


def _memory_text(size: int | None) -> str:
    if size is None:
        return "–"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def margin_text(found: Choice, names: Mapping[str, str]) -> str:
    """What counts as good as the best, and why."""
    best, tasks = names[found.best], f"{found.num_tasks} task{'s' if found.num_tasks > 1 else ''}"
    if found.margin is None:
        return f"Best over {tasks}: {best}. As good: not told from it by the paired bootstrap, adjusted for all pairs."
    limit = f"{found.margin.value:.3f}"
    why = {
        "given": "the margin asked for",
        "tasks": "a lead that other tasks of this kind could undo",
        "borrowed": "a lead that other tasks could undo, as far as the other categories tell",
    }[found.margin.source]
    return f"Best over {tasks}: {best}. As good: at most {limit} behind it, {why}."


def reason(one: Candidate, found: Choice, names: Mapping[str, str], facts: Mapping[str, ModelFacts]) -> str:
    """Why a model is named, in a sentence."""
    if one.model == found.best:
        return "the best of those that meet the limits."
    best = facts[found.best]
    gap = f"{one.behind.value:.3f} behind {names[found.best]}"
    size = facts[one.model].params
    smaller = ""
    if best.params and size is not None and size < best.params:
        ratio = best.params / size if size else 0
        smaller = (
            f", with {ratio:.{0 if ratio >= 10 else 1}f} times fewer parameters" if ratio else ", without any weights"
        )
    if found.margin is None:
        p = "" if one.test is None else f" (adjusted p {one.test.p_adjusted:.2g})"
        return f"{gap}{p}: {'cannot be told from it' if one.within else 'really worse, but the next best'}{smaller}."
    if one.within:
        return f"{gap}, which is within the margin of {found.margin.value:.3f}{smaller}."
    return f"{gap}, more than the margin: not as good, but the next best{smaller}."
