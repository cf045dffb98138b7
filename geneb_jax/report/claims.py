"""What commands and pages say about significance: every such sentence is made here, from the tests themselves.

tests/report/test_claims.py tries each against a simulated case in which it is true and one in which it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from geneb_jax.stats.aggregate import Series
from geneb_jax.stats.compare import POWER, Difference, Rank, Ranking
from geneb_jax.stats.plan import Plan
from geneb_jax.stats.task_comparison import TaskComparison
from geneb_jax.stats.testing.equivalence import Verdict
from geneb_jax.stats.testing.multiple import needed_resamples

ADJUSTED: Final = "adjusted for all pairs"
TIED: Final = f"not told from the encoder that leads: the paired difference is not significant, {ADJUSTED} (max-T)"
"""What = means."""

INTERVALS: Final = "Intervals of differences and of ranks hold for all pairs of a ranking at once (max-T)."


def alpha(level: float) -> str:
    """The significance level, as in 5%."""
    return f"{1 - level:.3g}" if round((1 - level) * 100, 6) % 1 else f"{1 - level:.0%}"


def cannot_tell(resamples: int, level: float) -> str:
    """That nothing can be significant, and what would help."""
    return (
        f"With {resamples:,} resamples no p-value is below {1 / (resamples + 1):.2g}, so nothing can be told at "
        f"{alpha(level)}: take --resamples {needed_resamples(level):,} or more."
    )


def tie_claim(ranking: Ranking, ranks: Sequence[Rank], names: Mapping[Series, str]) -> str:
    """Who cannot be told from the encoder that leads; of `ranks` the best first."""
    if not ranking.can_tell:
        return cannot_tell(ranking.resamples, ranking.level)
    leader, *rest = ranks
    tied = [names[r.series] for r in rest if r.tied]
    if not tied:
        return f"{names[leader.series]} is better than each other one at {alpha(ranking.level)}, {ADJUSTED}."
    return f"Not told from {names[leader.series]}, which leads, at {alpha(ranking.level)}: {', '.join(tied)}."


def adjacent_claim(ranking: Ranking, order: Sequence[Series], differences: Sequence[Difference]) -> str:
    """How many neighbours differ; nothing where there is one pair of them, or nothing could be told."""
    held = {frozenset((d.first, d.second)): d for d in differences}
    adjacent = [held[frozenset(pair)] for pair in pairwise(order) if frozenset(pair) in held]
    if len(adjacent) < 2 or not ranking.can_tell:
        return ""
    apart = sum(d.apart for d in adjacent)
    return f"Of {len(adjacent)} adjacent pairs {apart} {'differs' if apart == 1 else 'differ'}."


def floor_claim(rankings: Sequence[Ranking]) -> str:
    """The smallest p-values that the resamples can give, by any of the corrections."""
    if not rankings:
        return ""
    one = max(rankings, key=lambda r: r.num_pairs)
    text = (
        f"Smallest p that {one.resamples:,} resamples can give: {one.smallest_p:.2g}, max-T too; Holm of "
        f"{one.num_pairs:,} pairs {one.smallest_holm:.2g}"
    )
    if one.smallest_holm > 1 - one.level:
        text += f", so by Holm no pair could differ at {alpha(one.level)}"
    return text + "."


def detectable_claim(level: float) -> str:
    """What the smallest differences of tasks mean."""
    return (
        f"Paired, median over pairs; found with a chance of at least {POWER:.0%} at {alpha(level)}: alone, where two "
        "encoders are compared and no others; among all, where the pair is one of all pairs of the task."
    )


TASK_QUESTION: Final = (
    "Would other tasks of these kinds say the same? The tasks are the sample; their test rows are taken as they are."
)
TASK_TEST: Final = {
    "wilcoxon": "Wilcoxon signed-rank test of the differences by task",
    "mean": "permutation test of the mean difference by task",
}


def task_method(found: TaskComparison) -> str:
    """Which test was made, and how small p can get."""
    clusters = "" if found.num_clusters == found.num_tasks else f" in {found.num_clusters} clusters"
    return (
        f"{TASK_TEST[found.test]}, {found.num_tasks} tasks{clusters}, {ADJUSTED} (max-T). "
        f"Smallest p that there can be: {found.smallest_p:.2g}."
    )


def task_claim(found: TaskComparison) -> str:
    """Who cannot be told from the encoder with the highest mean, over tasks, and how many neighbours differ."""
    if not found.can_tell:
        needed = int(np.ceil(np.log2(2 / (1 - found.level)) - 1e-9))
        return (
            f"{found.num_clusters} independent tasks can give no p below {found.smallest_p:.2g}, so nothing can be "
            f"told at {alpha(found.level)}: it takes {needed} or more."
        )
    leader = found.places[0].name
    tied = [place.name for place in found.places[1:] if place.tied]
    ahead = [p.second for p in found.pairs if p.first == leader and p.better == p.second]
    text = (
        f"Not told from {leader}, which has the highest mean, over tasks at {alpha(found.level)}: {', '.join(tied)}."
        if tied
        else f"{leader} is told from each other one over tasks at {alpha(found.level)}, {ADJUSTED}."
    )
    if ahead:
        text += f" On most tasks {', '.join(ahead)} is better than {leader}, although its mean is lower."
    if len(found.places) > 2:
        apart = found.num_adjacent_apart
        text += f" Of {len(found.places) - 1} adjacent pairs {apart} {'differs' if apart == 1 else 'differ'}."
    return text


def equivalence_words(verdict: Verdict, within: float, *, apart: bool = False) -> str:
    """What may be said of the lower one of a pair, whose difference from the higher one has this verdict."""
    if verdict == "same":
        return f"equal within {within:g}"
    if verdict == "better":
        return f"worse by more than {within:g}"
    if verdict == "worse":
        return f"better by more than {within:g}"
    return f"worse, perhaps by less than {within:g}" if apart else "undecided"


def equivalence_note(within: float) -> str:
    """What the words of `equivalence_words` rest on."""
    return (
        f"Equal within {within:g}: the interval of the difference, which holds all pairs at once, lies between "
        f"-{within:g} and {within:g}. Undecided is no evidence of being equal."
    )


def plan_question(difference: float, level: float, power: float, among: int) -> str:
    """What a plan is for."""
    pair = "two encoders compared alone" if among == 2 else f"a pair among {among} encoders"
    return (
        f"What it takes to find a macro difference of {difference:g} with a chance of {power:.0%} at {alpha(level)}, "
        f"for {pair}; from the paired differences of these runs, median over pairs."
    )


def no_number_is_enough(count: float | None, unit: str = "") -> str:
    """A number that is needed, or that none is enough."""
    if count is None:
        return "never"
    return f"{unit}{count:.1f}" if unit else f"{count:,.0f}"


def plan_claim(one: Plan) -> str:
    """Whether the study as it is would find the difference, and what to add."""
    if one.detectable <= one.difference:
        text = f"{one.regime}: these rows and draws find {one.difference:g}."
    elif one.rows_factor is None:
        text = (
            f"{one.regime}: no number of test rows is enough, since the {one.num_draws} draws hide {one.difference:g}."
        )
    else:
        text = (
            f"{one.regime}: these rows and draws find {one.detectable:.3f}, not {one.difference:g}; "
            f"{one.rows_factor:.1f} times the test rows would."
        )
    if one.num_draws > 1 and one.draws is None:
        text += " No number of draws is enough with these rows."
    return text


def stated_claim(unit: str, count: int | None, difference: float, *, level: float, power: float) -> str:
    """What so many rows, draws or tasks find, from what was stated."""
    things = {"rows": "test rows of one task with two classes of like size"}.get(unit, unit)
    chance = f"a difference of {difference:g} with a chance of {power:.0%} at {alpha(level)}"
    return f"No number of {things} finds {chance}." if count is None else f"{count:,} {things} find {chance}."
