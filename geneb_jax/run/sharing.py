"""Vectors that many distinct sequences share: whether an encoder tells the sequences of a task apart at all.

Its checks see eight sequences. A class that reads a few first letters, or returns one vector for most of its input,
passes them and still gives a probe next to nothing. So once a task's vectors are there, and before its splits are
recorded, distinct sequences with the same vector are counted over all of its splits:

- it stops where one vector belongs to more than `STOP_SHARED` of `FEWEST_TWINS` distinct sequences or more,
- it is said where more than `STOP_TWINS` of them have the vector of some other one.

Sequences of which letters were cut do not count, nor do those whose vector holds NaN. Encoders that count words give
sequences of the same words one vector by definition, and are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import EncoderError, StoreError
from geneb_jax.run.reading import FEWEST_TWINS, STOP_TWINS, Letters, Reads, by_task, percent
from geneb_jax.store import EmbeddingStore

STOP_SHARED: Final = 0.2
COUNTS_WORDS: Final = frozenset({"kmer", "composition"})
_BLOCK: Final = 4096

Found = Mapping[tuple[str, str], Letters]


def stop_where_shared(
    store: EmbeddingStore, read: Reads, letters: Found | None, *, allowed: bool
) -> tuple[Found, tuple[str, ...]]:
    """What is unread of every split, marked where the user went on although vectors are shared, and notes.

    Splits that the store holds for the same data keep the mark that they have and are not looked at again.

    Raises:
        EncoderError: one vector belongs to too many sequences of a task, and nobody allowed it.
    """
    marked, tasks = dict(letters or {}), dict[str, list[NDArray[np.int64]]]()
    for task, name, numbers in read.splits:
        held = _recorded(store, task.id, name, task.splits[name].digest)
        if held is None:
            tasks.setdefault(task.id, []).append(numbers)
        elif (before := Letters.of_json(held)) is not None and before.allowed:
            marked[task.id, name] = replace(marked.get((task.id, name), before), allowed=1)
    if store.manifest.family in COUNTS_WORDS:
        return marked, ()
    cut = {task: one.cut_sequences for task, one in by_task(letters or {}).items()}
    notes, bad = [], {}
    for task_id, parts in tasks.items():
        numbers = np.unique(np.concatenate(parts))
        rows = store.lookup([read.sequences[i] for i in numbers.tolist()])
        rows = rows[~np.isin(rows, store.non_finite_rows)]
        if (distinct := len(rows)) < FEWEST_TWINS:
            continue
        counts = _counts(store, rows)
        largest = int(counts.max()) - cut.get(task_id, 0)
        sharing = int(counts[counts > 1].sum()) - cut.get(task_id, 0)
        if largest > STOP_SHARED * distinct:
            bad[task_id] = (
                f"{largest:,} of {distinct:,} distinct sequences ({percent(largest, distinct)}) have one and the same "
                "vector"
            )
        if sharing > STOP_TWINS * distinct:
            notes.append(
                f"{store.manifest.name}, {task_id}: {sharing:,} of {distinct:,} distinct sequences have the vector of "
                "another one"
            )
    if bad and not allowed:
        first, why = next(iter(bad.items()))
        others = f"; so it is in {len(bad) - 1} further tasks: {', '.join(list(bad)[1:6])}" if len(bad) > 1 else ""
        raise EncoderError(
            f"task {first}: {why}{others}",
            where=f"encoder {store.manifest.name}",
            cure="check that the encoder reads the whole sequence, and its pooling (a causal model's first token has "
            "seen nothing but itself); if so few vectors are meant, go on, which is recorded: --allow-unread",
        )
    for task, name, numbers in read.splits:
        if task.id in bad:
            before = marked.get((task.id, name), Letters(sequences=len(numbers)))
            marked[task.id, name] = replace(before, allowed=1)
    return marked, tuple(notes)


def _recorded(store: EmbeddingStore, task_id: str, split: str, digest: str) -> Mapping[str, int] | None:
    """What the store says of the letters of these very data; empty where it says nothing; None where it lacks them."""
    if task_id not in store.tasks() or split not in store.split_names(task_id):
        return None
    try:
        held = store.split(task_id, split)
    except StoreError:  # damaged: it is written anew
        return None
    return (held.letters or {}) if held.data_digest == digest else None


def _counts(store: EmbeddingStore, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the rows hold each of the different vectors."""
    found = [
        hashlib.blake2b(vector, digest_size=16).digest()
        for start in range(0, len(rows), _BLOCK)
        for vector in np.ascontiguousarray(store.read(rows[start : start + _BLOCK]))
    ]
    return np.unique(np.array(found, "V16"), return_counts=True)[1]
