"""Small suites and stores for tests of whole runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geneb_jax.store import Manifest, SplitIndex, open_store

WORDS = {0: "ACG", 1: "TTG", 2: "CCA"}


def sequence(label: int, rng: np.random.Generator, length: int = 24) -> str:
    """Random letters with the class's word planted somewhere, most of the time."""
    letters = rng.choice(list("ACGT"), size=length)
    for place in rng.choice(length - 3, size=3, replace=False):
        if rng.random() < 0.6:
            letters[place : place + 3] = list(WORDS[label])
    return "".join(letters)


def write_csv(path: Path, rows: Sequence[tuple[str, object]], header: str = "text,label") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *(f"{text},{label}" for text, label in rows)]) + "\n")


def write_task(suite: Path, task: str, *, classes: int = 2, seed: int = 0, n: int = 60) -> None:
    """A task in the official layout."""
    rng = np.random.default_rng(seed)
    for split, size in (("train", n), ("test", n // 2)):
        labels = [i % classes for i in range(size)]
        write_csv(suite / "tasks" / task / f"{split}.csv", [(sequence(x, rng), x) for x in labels])


def write_store(
    path: Path,
    tasks: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    *,
    name: str = "toy",
    revision: str = "1",
    settings: dict[str, str] | None = None,
) -> None:
    """A store made from arrays: task -> (X_train, y_train, X_test, y_test)."""
    width = next(iter(tasks.values()))[0].shape[1]
    with open_store(path, "a") as store:
        element = store.element(Manifest(name, "toy", revision, width, settings or {}))
        for task, (X_train, y_train, X_test, y_test) in tasks.items():
            for split, X, y in (("train", X_train, y_train), ("test", X_test, y_test)):
                start = element.num_rows
                element.append([f"{task}{split}{i}" for i in range(len(X))], X.astype(np.float32))
                element.write_split(
                    SplitIndex(
                        task_id=task,
                        split=split,
                        rows=np.arange(start, start + len(X)),
                        labels=y.astype(np.int64),
                        data_digest=f"{task}{split}",
                        category=f"category of {task}",
                        label=task,
                        suite_name="arrays",
                        suite_version="1",
                    )
                )


def forget_hashes(run: Path) -> None:
    """Let a run whose records a test writes itself be read: its description no longer says what they were."""
    described = run / "run.json"
    described.write_text(json.dumps(json.loads(described.read_text()) | {"hashes": {}}))


def blobs(seed: int, classes: int = 2, n: int = 40, d: int = 5) -> tuple[np.ndarray, ...]:
    """Classes around different centres: X_train, y_train, X_test, y_test."""
    rng = np.random.default_rng(seed)
    y = np.arange(2 * n) % classes
    X = rng.normal(size=(classes, d))[y] + rng.normal(size=(2 * n, d))
    return X[:n], y[:n], X[n:], y[n:]
