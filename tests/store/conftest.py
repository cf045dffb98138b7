"""A small store to damage, and the means to compare two stores byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.store import EmbeddingStore, Manifest, SplitIndex, open_store

MANIFEST = Manifest("toy:3", "toy", "rev-1", 3, {"pooling": "mean", "layer": -1}, {"numpy": "2"})
SEQUENCES = ["ACGT" * i for i in range(1, 41)]
VECTORS = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)


def fill(path: Path, rows: int = 40, manifest: Manifest = MANIFEST, **options: object) -> None:
    """A store with shards of 8 rows, commits of 12, and the splits of one task."""
    with open_store(path, "a") as store:
        element = store.element(manifest, commit_rows=8, **options)  # type: ignore[arg-type]
        for start in range(0, rows, 12):
            stop = min(start + 12, rows)
            element.append(SEQUENCES[start:stop], VECTORS[start:stop])
        for name, picks in (("train", [0, 5, 5, 2]), ("test", [7, 1])):
            element.write_split(
                SplitIndex(
                    "a_task", name, np.array(picks), np.array(picks) % 2, data_digest=f"d-{name}",
                    category="Promoters", label="A", num_classes=2, suite_name="s", suite_version="1",
                    warnings=("odd",),
                )
            )  # fmt: skip


def reader(path: Path, manifest: Manifest = MANIFEST) -> EmbeddingStore:
    return open_store(path).element(manifest)


def contents(path: Path) -> dict[str, bytes]:
    """Every file of a store but the lock, which is not part of the data."""
    files = (p for p in sorted(path.rglob("*")) if p.is_file() and p.name != "writer.lock")
    return {str(p.relative_to(path)): p.read_bytes() for p in files}


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    path = tmp_path / "toy.zarr"
    fill(path)
    return path


@pytest.fixture
def toy() -> tuple[Manifest, list[str], np.ndarray]:
    return MANIFEST, list(SEQUENCES), VECTORS.copy()


@pytest.fixture
def fill_store() -> Callable[..., None]:
    return fill


@pytest.fixture
def bytes_of() -> Callable[[Path], dict[str, bytes]]:
    return contents


@pytest.fixture
def open_reader() -> Callable[..., EmbeddingStore]:
    return reader
