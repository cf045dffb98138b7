"""Figures measured when an element was made, such as the drift of half precision. No part of its identity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from geneb_jax.errors import StoreError
from geneb_jax.store import arrays, files
from geneb_jax.store.element import EmbeddingStore

Figures = Mapping[str, str | int | float]


def read_measures(element: EmbeddingStore) -> dict[str, dict[str, str | int | float]]:
    """What is recorded, by name; empty where nothing is. Raises StoreError when the metadata cannot be read."""
    found = arrays.group_attributes(element.root, element.key).get("measures", {})
    return {str(name): dict(figures) for name, figures in found.items()}


def put_measure(element: EmbeddingStore, name: str, figures: Figures) -> None:
    """Record figures under a name, in place of those of that name before. Raises StoreError as `append` does."""
    if not element.writable:
        raise StoreError(
            "this element is not open for writing", where=str(element.path), cure='open the store with mode "a"'
        )
    folder = Path(str(element.path))
    with files.interrupt_later(), files.writing(folder):
        arrays.put_attributes(folder, "", {"measures": {**read_measures(element), name: dict(figures)}})
        files.sync_files([folder / "zarr.json"])
