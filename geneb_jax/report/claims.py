"""What commands and pages say about significance: every such sentence is made here, from the tests themselves.

tests/report/test_claims.py tries each against a simulated case in which it is true and one in which it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from geneb_jax.stats.aggregate import Series
from geneb_jax.stats.compare import POWER, Difference, Rank, Ranking
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
        f"Paired, median over pairs; found with a chance of {POWER:.0%} at {alpha(level)}: alone, where two encoders "
        "are compared and no others; among all, where the pair is one of all pairs of the task."
    )
