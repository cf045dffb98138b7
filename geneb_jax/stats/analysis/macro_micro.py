"""Macro against micro: whether the ranking depends on how tasks are averaged."""

from __future__ import annotations

from dataclasses import dataclass

from geneb_jax.stats.analysis.board import ScoreBoard
from geneb_jax.stats.analysis.sampled import LEVEL, Estimate, stacked
from geneb_jax.stats.rankings import kendall, ranks, spearman
from geneb_jax.stats.ties import best_first


@dataclass(frozen=True)
class Moved:
    """A model's ranks by macro and by micro; 1 is best."""

    model: str
    macro: float
    micro: float
    macro_rank: float
    micro_rank: float


@dataclass(frozen=True)
class MacroMicro:
    """How alike both rankings are, and every model, those that move most first."""

    regime: str
    rho: Estimate
    tau: Estimate
    moved: tuple[Moved, ...]


def macro_micro_agreement(board: ScoreBoard, *, regime: str = "full", level: float = LEVEL) -> MacroMicro:
    """Spearman's rho and Kendall's tau-b between the models' macro and micro."""
    both = stacked(board.score(regime, "macro"), board.score(regime, "micro"))
    places = ranks(both.value, axis=0)
    moved = [Moved(model, *map(float, both.value[i]), *map(float, places[i])) for i, model in enumerate(board.models)]
    return MacroMicro(
        regime,
        both.map(lambda x: spearman(x[..., 0], x[..., 1])).estimate(level),
        both.map(lambda x: kendall(x[..., 0], x[..., 1])).estimate(level),
        tuple(best_first(moved, lambda one: abs(one.macro_rank - one.micro_rank), lambda one: one.model)),
    )
