"""Embeddings that cost what real ones do: spectrum, columns and class signal as measured, MCC as the board has it.

A row of class c is ``mean + size · DCT(sign · √λ · (z + centre_c))``: z are independent normal components, λ falls like
j^-decay, random signs before an orthogonal cosine transform mix the components into all columns, and columns differ in
size and mean. The centres' squared distance falls over the components like j^-signal_decay. It is as large as a linear
rule needs, after what it loses to d unknown weights in n rows, for the MCC that the board has for this pair.
"""

from __future__ import annotations

import zlib
from functools import cache, cached_property

import numpy as np
from scipy.fft import dct
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from benchmarks.grid.shape import Grid, GridEncoder, GridTask
from benchmarks.grid.spectra import Spectrum
from geneb_jax.axes import NumpyFloat, NumpyInt

REAL = Spectrum(decay=1.16, size=0.28, spread=0.475, offset=3.49, signal_share=0.28, signal_decay=0.575)
"""Medians of three networks, as ``python -m benchmarks.grid.spectra`` printed them for random-conv:256, Mistral-DNA 1M
and OpenSpliceAI 400 on three tasks. k-mer counts decay by 0.5 and have their signal in the first components."""

LEAST_MCC, MOST_MCC, UNKNOWN_MCC = 0.02, 0.97, 0.5


def labels_of(task: GridTask, split: str) -> NumpyInt:
    """Balanced labels in an order of the task's own, the same for all encoders."""
    count = task.n if split == "train" else task.m
    return _generator("labels", task.id, split).permutation(np.arange(count) % task.k)


class Vectors:
    """All rows of one encoder: task by task, training rows before test rows, in pieces of any size."""

    def __init__(self, grid: Grid, encoder: GridEncoder, spectrum: Spectrum = REAL) -> None:
        self.grid, self.encoder, self.spectrum = grid, encoder, spectrum
        own = _generator("columns", encoder.name)
        d = encoder.width
        sizes = spectrum.size * np.exp(spectrum.spread * own.standard_normal(d))
        self._sizes = sizes.astype(np.float32)
        # the median of |t| is 0.67 for a normal t
        self._means = (sizes * spectrum.offset / ndtri(0.75) * own.standard_normal(d)).astype(np.float32)
        eigenvalues = np.arange(1, d + 1.0) ** -spectrum.decay
        roots = np.sqrt(eigenvalues * d / eigenvalues.sum())
        self._roots = (roots * own.choice([-1.0, 1.0], d)).astype(np.float32)

    @cached_property
    def starts(self) -> NumpyInt:
        """First row of each task, and the end of the last."""
        return np.cumsum([0, *(task.rows for task in self.grid.tasks)])

    def rows_of(self, place: int) -> tuple[NumpyInt, NumpyInt]:
        """Row numbers of a task's training and test split."""
        task, first = self.grid.tasks[place], int(self.starts[place])
        return np.arange(first, first + task.n), np.arange(first + task.n, first + task.rows)

    def piece(self, start: int, stop: int) -> NumpyFloat:
        """Rows start … stop. The same piece has the same numbers, whatever was drawn before it."""
        z = _generator("rows", self.encoder.name, start).standard_normal((stop - start, self.encoder.width), np.float32)
        for place, task in enumerate(self.grid.tasks):
            first, last = max(start, int(self.starts[place])), min(stop, int(self.starts[place + 1]))
            if first < last:
                inside = slice(first - int(self.starts[place]), last - int(self.starts[place]))
                z[first - start : last - start] += self._centres(task)[_labels(task)[inside]]
        z *= self._roots
        X = dct(z, axis=1, norm="ortho", overwrite_x=True)
        X *= self._sizes
        X += self._means
        return np.asarray(X)

    def _centres(self, task: GridTask) -> NumpyFloat:
        d = self.encoder.width
        own = _generator("centres", self.encoder.name, task.id)
        shape = np.arange(1, d + 1.0) ** (-self.spectrum.signal_decay / 2)
        found = own.standard_normal((task.k, d)) * shape
        found -= found.mean(axis=0)
        mcc = float(np.clip(self.encoder.mcc.get(task.id, UNKNOWN_MCC), LEAST_MCC, MOST_MCC))
        apart = distance(mcc, task.k, d / task.n)
        # the centres' mean squared distance from one another is twice theirs from their mean, times k / (k - 1)
        present = np.sqrt(2 * (found**2).sum() / (task.k - 1))
        return (found * apart / present).astype(np.float32)


@cache
def _labels(task: GridTask) -> NumpyInt:
    return np.concatenate([labels_of(task, "train"), labels_of(task, "test")])


def _generator(*key: str | int) -> np.random.Generator:
    numbers = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key]
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(numbers)))


def distance(mcc: float, k: int, columns_by_row: float) -> float:
    """How far apart k classes with unit spread must be for a linear rule learnt from data to reach this MCC.

    The best rule is right with chance ∫ φ(t - D/√2) Φ(t)^(k-1) dt, k centres being D apart from one another; a linear
    discriminant of n rows and d columns sees D²√(1-γ) / √(D² + 4γ) instead of D, γ = d/n (large n and d, two classes).
    """
    wanted = (1 + (k - 1) * mcc) / k
    seen = _seen(round(wanted, 4), k)
    gamma = min(columns_by_row, 0.9)
    square = seen**2 / (1 - gamma)
    return float(np.sqrt((square + np.sqrt(square**2 + 16 * gamma * square)) / 2))


@cache
def _seen(accuracy: float, k: int) -> float:
    t = np.linspace(-8, 28, 1_801)

    def beyond(D: float) -> float:
        return float(np.trapezoid(_density(t - D / np.sqrt(2)) * ndtr(t) ** (k - 1), t)) - accuracy

    return float(brentq(beyond, 0, 20, xtol=1e-4))


def _density(t: NumpyFloat) -> NumpyFloat:
    """φ."""
    return np.asarray(np.exp(-t * t / 2) / np.sqrt(2 * np.pi))
