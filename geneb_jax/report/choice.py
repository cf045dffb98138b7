"""A choice of models for the terminal: the table, and a sentence for each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from geneb_jax.report.analysis import Section, estimate_columns, size_text
from geneb_jax.report.layout import Column
from geneb_jax.stats.analysis.choice import Candidate, Choice, Verdict
from geneb_jax.stats.analysis.sampled import Estimate


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


def choice_section(
    found: Choice, shown: Sequence[Candidate], facts: Mapping[str, ModelFacts], unchecked: Collection[str] = ()
) -> Section:
    """Size, memory, licence, score and distance from the best of the models that are named."""
    held = [facts[one.model] for one in shown]
    notes = []
    words_of: dict[Verdict, str] = {"yes": "as good", "open": "open: the scores do not tell whether they are as good"}
    for verdict, words in words_of.items():
        more = found.count(verdict) - sum(one.verdict == verdict for one in shown)
        if more > 0:
            notes.append(f"{more} more {'is' if more == 1 else 'are'} {words}.")
    if notes:
        notes.append(f"--count {found.count('best', 'yes', 'open')} shows them all.")
    if any(one.model in unchecked for one in shown):
        notes.append(f"{UNCHECKED} score from the model's author, checked by nobody")
    return Section(
        "",
        [Column("model", [f"{facts[one.model].name}{UNCHECKED if one.model in unchecked else ''}" for one in shown])],
        [
            Column("parameters", ["–" if one.params is None else size_text(one.params) for one in held]),
            Column("memory", [_memory_text(one.memory) for one in held]),
            Column("licence", [one.licence or "–" for one in held]),
            *estimate_columns("MCC", [one.score for one in shown]),
            Column("behind the best", ["–" if one.verdict == "best" else _behind_text(one.behind) for one in shown]),
            Column("as good", [_chance_text(one) for one in shown]),
        ],
        notes,
    )


UNCHECKED: Final = "§"
"""Mark of a score that a model's author reports and nobody checked."""


def _behind_text(gap: Estimate) -> str:
    if gap.low is None or gap.high is None:
        return f"{gap.value:.3f}"
    if abs(gap.low + gap.high - 2 * gap.value) < 1e-9:  # on the board the interval lies evenly about the value
        return f"{gap.value:.3f} ±{gap.high - gap.value:.3f}"
    return f"{gap.value:.3f} ({gap.low:+.3f} to {gap.high:+.3f})"


def _chance_text(one: Candidate) -> str:
    if one.verdict == "best":
        return "best"
    word = {"yes": "yes", "no": "no", "open": "open"}[one.verdict]
    return f"{word}, {percent(one.chance)}"


def percent(chance: float) -> str:
    """A probability for people: never rounded to certainty."""
    return "<1%" if chance < 0.01 else ">99%" if chance > 0.99 else f"{chance:.0%}"


def _memory_text(size: int | None) -> str:
    if size is None:
        return "–"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def evidence_lines(found: Choice, names: Mapping[str, str]) -> list[str]:
    """What "as good" means here, and what it was judged by."""
    best, n = names[found.best], found.num_tasks
    number = f"{n} task{'s' if n > 1 else ''}"
    goal = f"As good: at most {found.within:g} behind {best}; yes from a probability of 95% on, no up to 5%."
    if found.tasks is None:
        return [
            f"Best over {number}: {best}. Behind the best: on these tasks, with its interval from resamples of them.",
            f"{goal} No also needs the paired test, adjusted for all pairs.",
        ]
    if n == 1 and found.scope in found.tasks.kinds:
        kin = ", ".join(f"{kind} (rho {rho:.2f})" for kind, rho in found.relatives)
        return [
            f"One task stands for {found.scope}: the board cannot tell which models are as good on others of its kind.",
            f"Models rank most alike on {kin}: ask for these too." if kin else "",
        ]
    return [
        f"Probably best: {best}, judged by {number}. Behind the best: to be expected on other tasks of "
        f"{'these kinds' if found.scope in ('macro', 'micro') else 'this kind'}, with its interval, from how scores "
        "vary from task to task.",
        goal,
    ]


def reason(one: Candidate, found: Choice, names: Mapping[str, str], facts: Mapping[str, ModelFacts]) -> str:
    """Why a model is named, in a sentence."""
    if one.verdict == "best":
        return "the best of those that meet the limits, as far as the scores tell."
    best = facts[found.best]
    size = facts[one.model].params
    smaller = ""
    if best.params and size is not None and size < best.params:
        ratio = best.params / size if size else 0
        smaller = (
            f", with {ratio:.{0 if ratio >= 10 else 1}f} times fewer parameters" if ratio else ", without any weights"
        )
    within = f"at most {found.within:g} behind {names[found.best]}"
    said = {
        "yes": f"{within} with a probability of {percent(one.chance)}",
        "open": f"{within} with a probability of {percent(one.chance)}: the scores cannot tell",
        "no": f"more than {found.within:g} behind {names[found.best]}, but the next best",
    }[one.verdict]
    return f"{said}{smaller}."
