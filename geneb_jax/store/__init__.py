"""The embedding store: every distinct sequence once per encoder, in Zarr v3. Format: `store.format`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from geneb_jax.store.format import Fault as Fault
from geneb_jax.store.format import Manifest as Manifest
from geneb_jax.store.format import SplitIndex as SplitIndex
from geneb_jax.store.format import digest_sequences as digest_sequences

if TYPE_CHECKING:
    from geneb_jax.store.element import EmbeddingStore as EmbeddingStore
    from geneb_jax.store.root import Store as Store
    from geneb_jax.store.root import open_store as open_store

_HOMES = {
    "EmbeddingStore": "geneb_jax.store.element",
    "Store": "geneb_jax.store.root",
    "open_store": "geneb_jax.store.root",
}

__all__ = ["EmbeddingStore", "Fault", "Manifest", "SplitIndex", "Store", "digest_sequences", "open_store"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'geneb_jax.store' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
