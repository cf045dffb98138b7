"""The models of the GENEB leaderboard: facts, names, and what each needs to be loaded."""

from __future__ import annotations

from geneb_jax.encoder.registry.entry import ModelEntry as ModelEntry
from geneb_jax.encoder.registry.entry import find_model as find_model
from geneb_jax.encoder.registry.entry import registry as registry

__all__ = ["ModelEntry", "find_model", "registry"]
