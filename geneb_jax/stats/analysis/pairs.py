"""Controlled comparison: pairs of models that differ in one factor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from geneb_jax.published import LabelVersion, MatchedPair
from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, ClaimTest, Estimate, Sampled, claim_tests
from geneb_jax.stats.ties import above

ADVANTAGE: Final = 0.02


@dataclass(frozen=True)
class PairDelta:
    """Score of the pair's first model minus that of its second; `winner` is None where they differ by too little."""

    pair: MatchedPair
    delta: Estimate
    winner: str | None
    test: ClaimTest | None


@dataclass(frozen=True)
class FactorMean:
    """Mean difference of the pairs of one sub-factor, all turned so that it is `level` minus the other one.

    `advantages` and `disadvantages` count the pairs beyond the threshold on either side.
    """

    factor: str
    sub_factor: str
    level: str
    other: str
    num_pairs: int
    mean: Estimate
    advantages: int
    disadvantages: int


def pair_deltas(
    board: ScoreBoard,
    pairs: Iterable[MatchedPair],
    *,
    labels: LabelVersion | None = None,
    regime: str = "full",
    scope: str = "macro",
    threshold: float = ADVANTAGE,
    level: float = LEVEL,
) -> list[PairDelta]:
    """The pairs of which the board has both models; with `labels` only those that this version of labels confirms."""
    held = _held(board, pairs, labels)
    scores = board.score(regime, scope)
    found = [scores.difference(board.place(pair.first), board.place(pair.second)) for pair in held]
    return [
        PairDelta(pair, one.estimate(level), _winner(pair, float(one.value), threshold), test)
        for pair, one, test in zip(held, found, claim_tests([[one] for one in found], level), strict=True)
    ]


def factor_means(
    board: ScoreBoard,
    pairs: Iterable[MatchedPair],
    *,
    labels: LabelVersion | None = None,
    regime: str = "full",
    scope: str = "macro",
    threshold: float = ADVANTAGE,
    level: float = LEVEL,
) -> list[FactorMean]:
    """Means by sub-factor, in the order of the pairs; arguments as of `pair_deltas`."""
    tasks = board.common(regime)
    groups: dict[tuple[str, str], list[MatchedPair]] = {}
    for pair in _held(board, pairs, labels):
        groups.setdefault((pair.factor, pair.sub_factor), []).append(pair)
    found = []
    for (factor, sub_factor), own in groups.items():
        up, other = own[0].first_level, own[0].second_level
        # the board of these models alone: a mean over published ones has no interval
        held = board.select({model for pair in own for model in (pair.first, pair.second)})
        mean, deltas = _oriented(held, held.score(regime, scope, tasks), own, up)
        found.append(
            FactorMean(
                factor, sub_factor, up, other, len(own), mean.estimate(level),
                sum(bool(above(delta, threshold)) for delta in deltas),
                sum(bool(above(-delta, threshold)) for delta in deltas),
            )
        )  # fmt: skip
    return found


def _held(board: ScoreBoard, pairs: Iterable[MatchedPair], labels: LabelVersion | None) -> list[MatchedPair]:
    known = set(board.models)
    return [p for p in pairs if {p.first, p.second} <= known and (labels is None or p.agree[labels])]


def _oriented(board: ScoreBoard, scores: Sampled, pairs: Sequence[MatchedPair], up: str) -> tuple[Sampled, list[float]]:
    """The mean over pairs of the score at level `up` minus that at the other level, and each pair's."""
    ends = [(p.first, p.second) if p.first_level == up else (p.second, p.first) for p in pairs]
    first = [board.place(one) for one, _ in ends]
    second = [board.place(two) for _, two in ends]
    mean = scores.map(lambda x: (x[..., first] - x[..., second]).mean(axis=-1))
    return mean, [float(delta) for delta in scores.value[first] - scores.value[second]]


def _winner(pair: MatchedPair, delta: float, threshold: float) -> str | None:
    if not above(abs(delta), threshold):
        return None
    return pair.first if delta > 0 else pair.second
