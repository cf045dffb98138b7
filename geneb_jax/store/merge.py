"""Bringing stores together: what one holds and the other lacks is copied bit for bit, what they contradict is told.

Rows are taken from the sources in an order that depends on what they hold and not on how they were listed, and are
committed as `geneb embed` commits. So the merged store is the same, byte for byte, for every order of the inputs, and
after an interruption the same call goes on where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import StoreError, UsageError
from geneb_jax.store import dtypes
from geneb_jax.store.element import EmbeddingStore
from geneb_jax.store.format import SplitIndex
from geneb_jax.store.index import DigestIndex
from geneb_jax.store.measures import put_measure, read_measures
from geneb_jax.store.root import Store, open_store
from geneb_jax.store.sources import ElementSource, Source, blocks, describe

Policy = Literal["refuse", "keep"]
_SHOWN = 3


@dataclass(frozen=True)
class Conflicts:
    """What two places say differently of one encoder's vectors or of one split."""

    rows: int = 0
    largest: float = 0.0
    """Largest difference, relative to the larger vector's length; infinite where only one is a number."""
    examples: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rows or self.splits)

    def __str__(self) -> str:
        parts = []
        if self.rows:
            few = ", ".join(self.examples)
            parts.append(
                f"{self.rows:,} sequences have different vectors (largest relative difference {self.largest:.2g}; "
                f"SHA-256 of the first: {few})"
            )
        if self.splits:
            parts.append(f"{len(self.splits)} splits are over other data: {', '.join(self.splits[:_SHOWN])}")
        return " and ".join(parts)


@dataclass(frozen=True)
class Merged:
    """What was done to one element."""

    key: str
    encoder: str
    added: int
    known: int
    splits: int
    conflicts: Conflicts


def merge(
    stores: Sequence[str | os.PathLike[str]],
    into: str | os.PathLike[str],
    *,
    conflicts: Policy = "refuse",
    wait: float = 0.0,
) -> list[Merged]:
    """Merge stores, which may lie at addresses, into a local one, which may be new or hold something already.

    ``conflicts`` "refuse": where two places hold different vectors for one sequence and encoder, or different data
    under one split's name, StoreError says so before that encoder's rows are touched. "keep": what the target holds
    stays, then what comes first in the order above, and the report counts what was left out.
    """
    for path in stores:
        if Path(os.fspath(path)).resolve() == Path(into).resolve():
            raise UsageError("a store cannot be merged into itself", cure="name another store after --into")
    groups: dict[str, list[ElementSource]] = {}
    for path in stores:
        for element in open_store(path).elements():
            groups.setdefault(element.manifest.digest, []).append(ElementSource(element))
    for group in groups.values():
        group.sort(key=lambda source: source.order)
    with open_store(into, "a", wait=wait) as target:
        return [merge_element(groups[digest], target, conflicts) for digest in sorted(groups)]


def merge_element(sources: Sequence[Source], target: Store, policy: Policy) -> Merged:
    """Copy what the sources, all of one manifest, hold into the target's element. Raises StoreError."""
    first = sources[0]
    manifest = replace(first.manifest, name=min(s.manifest.name for s in sources))
    element = target.element(manifest, commit_rows=first.commit_rows, compression=first.compression)
    found = _find_conflicts(sources, element)
    if found and policy == "refuse":
        element.close()
        raise StoreError(
            f"{manifest.name}: {found}",
            where=" and ".join([*(s.where for s in sources), str(element.path)]),
            cure="find out which is right; to keep what the target (or else the first source) says and leave the "
            "rest out, add --conflicts keep",
        )
    before = element.num_rows
    recorded = read_measures(element)
    for source in sources:
        for name, figures in source.measures().items():
            if name not in recorded:
                put_measure(element, name, figures)
                recorded[name] = figures
        _copy_rows(source, element)
    splits = sum(_copy_splits(source, element) for source in sources)
    total = sum(s.num_rows for s in sources)
    added = element.num_rows - before
    element.close()
    return Merged(element.key, manifest.name, added, total - added, splits, found)


def _copy_rows(source: Source, element: EmbeddingStore) -> None:
    digests = source.digests()
    missing = np.flatnonzero(element.find(digests) < 0)
    held: list[tuple[NDArray[np.uint8], NDArray[Any]]] = []
    for start, stop in blocks(source):
        rows = missing[np.searchsorted(missing, start) : np.searchsorted(missing, stop)]
        if len(rows):
            held.append((digests[rows], source.stored(start, stop)[rows - start]))
        # commits end on multiples of the shard's rows, as those of an uninterrupted merge do
        while held:
            room = element.commit_rows - element.num_rows % element.commit_rows
            if stop < source.num_rows and sum(len(d) for d, _ in held) < room:
                break
            some, vectors = (np.concatenate(parts) for parts in zip(*held, strict=True))
            element.append_stored(some[:room], vectors[:room])
            held = [(some[room:], vectors[room:])] if len(some) > room else []


def _copy_splits(source: Source, element: EmbeddingStore) -> int:
    digests, known = source.digests(), {t: set(element.split_names(t)) for t in element.tasks()}
    count = 0
    for split in source.splits():
        rows = element.find(digests[split.rows])
        if split.split not in known.get(split.task_id, ()):
            count += element.write_split(replace(split, rows=rows))
        elif split.letters is not None:
            held = element.split(split.task_id, split.split)
            # what the encoder does not read of these data was counted in the source only
            if held.letters is None and held.data_digest == split.data_digest and np.array_equal(held.rows, rows):
                count += element.write_split(replace(held, letters=split.letters))
    return count


def _find_conflicts(sources: Sequence[Source], element: EmbeddingStore) -> Conflicts:
    """Compare every vector and split that occurs twice, before anything is written."""
    places: list[EmbeddingStore] = [element]
    starts = [0]
    seen, total = DigestIndex(element.digests()), element.num_rows
    rows, largest, examples = 0, 0.0, []
    for source in sources:
        digests = source.digests()
        old = seen.find(digests)
        for start, stop in blocks(source):
            twice = start + np.flatnonzero(old[start:stop] >= 0)
            if not len(twice):
                continue
            ours = source.stored(start, stop)[twice - start]
            theirs = _stored(places, starts, old[twice])
            differ = np.flatnonzero((ours.view(np.uint8) != theirs.view(np.uint8)).any(axis=1))
            if len(differ):
                rows += len(differ)
                largest = max(largest, _difference(ours[differ], theirs[differ], element.dtype))
                examples += [digests[i].tobytes().hex()[:16] for i in twice[differ[:_SHOWN]]]
        if isinstance(source, ElementSource):
            places.append(source.element)
            starts.append(total)
            seen.add(digests, total)
            total += source.num_rows
    return Conflicts(rows, largest, tuple(examples[:_SHOWN]), tuple(_split_conflicts(sources, element)))


def _stored(places: list[EmbeddingStore], starts: list[int], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Rows counted over several elements, one behind the other."""
    of = np.searchsorted(starts, rows, side="right") - 1
    # an empty element begins where the next one does: the last that begins there holds the row
    parts = [(np.flatnonzero(of == i), place, starts[i]) for i, place in enumerate(places)]
    out: NDArray[Any] | None = None
    for at, place, start in parts:
        if len(at):
            block = place.stored_at(rows[at] - start)
            out = np.empty((len(rows), *block.shape[1:]), block.dtype) if out is None else out
            out[at] = block
    assert out is not None
    return out


def _difference(a: NDArray[Any], b: NDArray[Any], dtype: str) -> float:
    x, y = (dtypes.from_stored(v, dtype).astype(np.float64) for v in (a, b))
    with np.errstate(invalid="ignore", over="ignore"):
        norms = np.maximum(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
        relative = np.linalg.norm(x - y, axis=1) / np.where(norms > 0, norms, 1.0)
    return float(np.nan_to_num(relative, nan=np.inf).max())


def _split_conflicts(sources: Sequence[Source], element: EmbeddingStore) -> list[str]:
    seen: dict[tuple[str, str], tuple[Any, ...]] = {}
    found = []

    def key(split: SplitIndex, digests: NDArray[np.uint8]) -> tuple[Any, ...]:
        facts = {k: v for k, v in describe(split).items() if k in ("data_digest", "kind", "num_classes")}
        return facts, digests[split.rows].tobytes(), split.labels.tobytes()

    for source in (ElementSource(element), *sources):
        digests = source.digests()
        for split in source.splits():
            name, facts = (split.task_id, split.split), key(split, digests)
            if seen.setdefault(name, facts) != facts:
                found.append(f"{split.task_id} {split.split}")
    return list(dict.fromkeys(found))
