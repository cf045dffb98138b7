"""Regimes and draws: which training rows a probe sees."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from geneb_jax.axes import NumpyInt
from geneb_jax.errors import UsageError

GENEB_SEEDS: tuple[int, ...] = (13, 17, 42, 123, 997)
"""The five seeds of GENEB's harness (PROTOCOL: spec schema 1.0)."""

GENEB_REGIMES: tuple[str, ...] = ("full", "10shot", "1shot")


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
    state = np.random.RandomState(seed)  # the legacy generator is the protocol
    chosen = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        chosen.append(state.choice(rows, size=min(shots, len(rows)), replace=False))
    return np.concatenate(chosen).astype(np.int64)
