"""The grid benchmark: the whole published-size board, or a stated fraction of it, on synthetic embeddings."""

from __future__ import annotations

from benchmarks.grid.run import run_grid as run_grid
from benchmarks.grid.shape import Grid as Grid
from benchmarks.grid.shape import GridEncoder as GridEncoder
from benchmarks.grid.shape import GridTask as GridTask

__all__ = ["Grid", "GridEncoder", "GridTask", "run_grid"]
