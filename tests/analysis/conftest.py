"""A run of three encoders of different strength on four tasks of the board, in two categories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.published import tasks
from geneb_jax.run import Run, probe
from geneb_jax.store import Manifest, SplitIndex, open_store

WANTED = ("Splice Sites", "DNA Methyl.")
STRENGTH = {"strong": 1.2, "middling": 0.7, "weak": 0.3}


def write_board_store(path: Path, names: Mapping[str, float], held: Mapping[str, str], *, n: int = 60) -> None:
    """A store of encoders whose two classes lie `strength` apart, on tasks {id: category}."""
    with open_store(path, "a") as store:
        for name, strength in names.items():
            element = store.element(Manifest(name, "toy", name, 3))
            for number, (task, category) in enumerate(held.items()):
                rng = np.random.default_rng(number)
                for split in ("train", "test"):
                    y = np.arange(n) % 2
                    X = rng.normal(size=(n, 3)) + strength * y[:, None]
                    start = element.num_rows
                    element.append([f"{task} {split} {i}" for i in range(n)], X.astype(np.float32))
                    element.write_split(
                        SplitIndex(
                            task_id=task, split=split, rows=np.arange(start, start + n), labels=y.astype(np.int64),
                            data_digest=f"{task}{split}", category=category, label=task, suite_name="geneb",
                            suite_version="1",
                        )
                    )  # fmt: skip


@pytest.fixture(scope="session")
def board_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("board")
    held = {t.id: t.category for c in WANTED for t in [t for t in tasks() if t.category == c][:2]}
    write_board_store(folder / "store", STRENGTH, held)
    return probe([folder / "store"], None, folder / "run", engine="sklearn", progress=False)
