"""Reversals: a model that is several times smaller, and scores higher."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, ClaimTest, Estimate, Sampled, claim_tests
from geneb_jax.stats.ties import best_first

RATIO: Final = 5.0


@dataclass(frozen=True)
class Reversal:
    """`small` scores higher than `large`, which has `ratio` times as many parameters.

    `test` is of "both score alike", adjusted over all pairs of that ratio that can be tested, reversed or not.
    """

    small: str
    large: str
    ratio: float
    difference: Estimate
    test: ClaimTest | None


@dataclass(frozen=True)
class Reversals:
    """The reversals among `num_models` models, largest difference first, of `num_pairs` pairs of that ratio."""

    regime: str
    scope: str
    ratio: float
    num_models: int
    num_pairs: int
    count: Estimate
    found: tuple[Reversal, ...]


@dataclass(frozen=True)
class ReversalCount:
    """How many of `num_pairs` pairs are reversed by the scores of one scope."""

    scope: str
    num_pairs: int
    count: Estimate


def reversals(
    board: ScoreBoard,
    in_domain: Collection[str],
    *,
    ratio: float = RATIO,
    regime: str = "full",
    scope: str = "macro",
    level: float = LEVEL,
) -> Reversals:
    """Ordered pairs among the models of `in_domain` whose sizes differ by `ratio` or more."""
    sized, sizes = board.select(in_domain).sized()
    scores = sized.score(regime, scope)
    small, large = _pairs(sizes, ratio)
    differences = [scores.difference(int(i), int(j)) for i, j in zip(small, large, strict=True)]
    found = [
        Reversal(sized.models[i], sized.models[j], float(sizes[j] / sizes[i]), one.estimate(level), test)
        for i, j, one, test in zip(
            small, large, differences, claim_tests([[d] for d in differences], level), strict=True
        )
        if one.value > 0
    ]
    found = best_first(found, lambda one: one.difference.value, lambda one: f"{one.small} {one.large}")
    count = _count(scores, small, large).estimate(level)
    return Reversals(regime, scope, ratio, len(sizes), len(small), count, tuple(found))


def reversal_counts(
    board: ScoreBoard,
    in_domain: Collection[str],
    *,
    ratio: float = RATIO,
    regime: str = "full",
    level: float = LEVEL,
) -> list[ReversalCount]:
    """How many pairs are reversed by macro, by micro, and by each category; arguments as of `reversals`."""
    sized, sizes = board.select(in_domain).sized()
    small, large = _pairs(sizes, ratio)
    return [
        ReversalCount(scope, len(small), _count(sized.score(regime, scope), small, large).estimate(level))
        for scope in ("macro", "micro", *sized.scopes(regime))
    ]


def _pairs(sizes: NumpyFloat, ratio: float) -> tuple[NumpyInt, NumpyInt]:
    """Rows of the smaller and of the larger model; by the product, as 5 times 200 million is exactly 1,000 million."""
    small, large = np.nonzero(sizes[None, :] >= ratio * sizes[:, None])
    return small, large


def _count(scores: Sampled, small: NumpyInt, large: NumpyInt) -> Sampled:
    return scores.map(lambda x: (x[..., small] > x[..., large]).sum(axis=-1))
