"""The analyses of the GENEB paper as functions of a `ScoreBoard`: one idea a module, none of which prints anything."""

from __future__ import annotations

from geneb_jax.stats.analysis.board import Entry as Entry
from geneb_jax.stats.analysis.board import ScoreBoard as ScoreBoard
from geneb_jax.stats.analysis.sampled import ClaimTest as ClaimTest
from geneb_jax.stats.analysis.sampled import Estimate as Estimate
from geneb_jax.stats.analysis.sampled import Sampled as Sampled

__all__ = ["ClaimTest", "Entry", "Estimate", "Sampled", "ScoreBoard"]
