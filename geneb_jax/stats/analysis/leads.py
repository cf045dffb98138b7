"""Leads: how far the best model of each category is ahead of the runner-up."""

from __future__ import annotations

from dataclasses import dataclass

from geneb_jax.errors import UsageError
from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, ClaimTest, Estimate, against_best
from geneb_jax.stats.ties import order_of


@dataclass(frozen=True)
class Lead:
    """The best model and the runner-up by the scores of one scope, and the difference between them.

    `test` is of "both score alike", adjusted over all pairs of models by these scores, since the scores themselves
    chose the two.
    """

    scope: str
    best: str
    runner_up: str
    score: Estimate
    lead: Estimate
    test: ClaimTest | None


def leads(board: ScoreBoard, *, regime: str = "full", level: float = LEVEL) -> list[Lead]:
    """Of macro, micro and every category. Equal scores stand by name. Raises UsageError for fewer than two models."""
    if len(board.models) < 2:
        raise UsageError("a lead needs two models, and there is one", cure="name another run, or add --published")
    found = []
    for scope in ("macro", "micro", *board.scopes(regime)):
        scores = board.score(regime, scope)
        best, second = map(int, order_of(scores.value, board.models)[:2])
        tests = against_best(scores, range(len(board.models)), best, level)
        found.append(
            Lead(
                scope, board.models[best], board.models[second], scores.estimates(level)[best],
                scores.difference(best, second).estimate(level), tests[second],
            )
        )  # fmt: skip
    return found
