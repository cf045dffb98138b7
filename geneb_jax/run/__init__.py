"""Whole runs: embed a suite, probe a store, and the run directory that both lead to."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geneb_jax.run.directory import Run as Run
    from geneb_jax.run.embedding import embed as embed
    from geneb_jax.run.probing import probe as probe

_HOMES = {
    "Run": "geneb_jax.run.directory",
    "embed": "geneb_jax.run.embedding",
    "probe": "geneb_jax.run.probing",
}

__all__ = ["Run", "embed", "probe"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'geneb_jax.run' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
