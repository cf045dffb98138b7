"""Regimes and draws: which training rows a probe sees."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice

import numpy as np

from geneb_jax.axes import NumpyInt
from geneb_jax.errors import UsageError

GENEB_SEEDS: tuple[int, ...] = (13, 17, 42, 123, 997)
"""The five seeds of GENEB's harness (PROTOCOL: spec schema 1.0)."""

GENEB_REGIMES: tuple[str, ...] = ("full", "10shot", "1shot")

_DRAWS, _SPLITS, _FULL_SPLIT = 0, 1, 2
"""First part of the spawn key: what a stream derived from the run's key is for."""


@dataclass(frozen=True, order=True)
class Regime:
    """All training rows (``shots`` is None), or at most ``shots`` rows of each class."""

    shots: int | None

    @classmethod
    def parse(cls, text: str) -> Regime:
        """Read ``full``, ``10shot``, ``10-shot`` and the like."""
        clean = text.strip().lower()
        if clean == "full":
            return cls(None)
        match = re.fullmatch(r"([1-9]\d*)-?shots?", clean)
        if not match:
            raise UsageError(
                f"there is no regime called {text!r}", cure="write full, or <k>shot such as 1shot or 10shot"
            )
        return cls(int(match.group(1)))

    @property
    def name(self) -> str:
        """GENEB's name of the regime."""
        return "full" if self.shots is None else f"{self.shots}shot"


def draw_rows(labels: NumpyInt, shots: int, seed: int) -> NumpyInt:
    """GENEB's few-shot draw, index for index: `(n,)` labels to the row numbers of at most `shots` rows per class.

    A fresh ``RandomState(seed)``; classes in sorted order; ``choice`` without replacement inside each class; rows
    concatenated class by class (GENEB harness 0.1.0).
    """
    return draw_many(labels, [(shots, seed)])[0]


def draw_many(labels: NumpyInt, draws: Sequence[tuple[int, int]]) -> list[NumpyInt]:
    """`draw_rows` of many (shots, seed) on the same labels: classes looked up once, one generator seeded anew."""
    state = np.random.RandomState()  # the legacy generator is the protocol
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    found = []
    for shots, seed in draws:
        state.seed(seed)
        chosen = [state.choice(rows, size=min(shots, len(rows)), replace=False) for rows in members]
        found.append(np.concatenate(chosen).astype(np.int64))
    return found


def draw_seeds(draws: int, key: int = 0) -> tuple[int, ...]:
    """The seeds of `draws` few-shot draws: GENEB's five first, then seeds derived from the run's key.

    Draw i >= 5 takes the first 32-bit word of ``SeedSequence(key, spawn_key=(0, i))`` that is no earlier draw's seed.
    So seeds never repeat, and a longer study with the same key begins with the shorter one.

    Raises:
        UsageError: no draw at all, or a negative key.
    """
    if draws < 1:
        raise UsageError(f"the number of draws must be at least 1, not {draws}", cure="GENEB uses 5")
    check_key(key)
    return tuple(islice(_seeds(key), draws))


def _seeds(key: int) -> Iterator[int]:
    yield from GENEB_SEEDS
    taken = set(GENEB_SEEDS)
    for i in count(len(GENEB_SEEDS)):
        stream = np.random.SeedSequence(key, spawn_key=(_DRAWS, i))
        # a word repeats an earlier one with a chance of i in 2**32; longer states begin with the shorter ones
        words = (int(word) for size in count(1) for word in stream.generate_state(size)[-1:])
        seed = next(word for word in words if word not in taken)
        taken.add(seed)
        yield seed


def check_key(key: int) -> None:
    """Raise UsageError where `key` cannot seed anything."""
    if key < 0:
        raise UsageError(f"the key must be a whole number from 0 up, not {key}", cure="the default is 0")


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise UsageError where a seed is none that NumPy's RandomState, GENEB's generator, takes."""
    for seed in seeds:
        if not 0 <= seed < 2**32:
            raise UsageError(f"a seed must lie between 0 and 2**32 - 1, not {seed}")


def split_rows(labels: NumpyInt, share: float, key: int, seed: int | None) -> tuple[NumpyInt, NumpyInt]:
    """Cut rows with labels `(n,)` in two, class by class: the positions to fit on, and those held out, both sorted.

    Of a class with c rows, `share`·c rounded half up are held out, at least one and never all: a class with a single
    row stays in the fit. The generator is ``default_rng(SeedSequence(key, spawn_key=(1, seed)))``, with spawn_key
    (2,) for the full regime, which has no seed; classes in sorted order, the first of a permutation of the class's
    rows are held out. Fewer than two classes held out could not be scored: then nothing is.
    """
    spawn = (_FULL_SPLIT,) if seed is None else (_SPLITS, seed)
    generator = np.random.default_rng(np.random.SeedSequence(key, spawn_key=spawn))
    held = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        size = min(len(rows) - 1, max(1, int(np.floor(share * len(rows) + 0.5))))
        if size:
            held.append(generator.permutation(rows)[:size])
    out = np.zeros(len(labels), bool)
    if len(held) > 1:
        out[np.concatenate(held)] = True
    return np.flatnonzero(~out), np.flatnonzero(out)
