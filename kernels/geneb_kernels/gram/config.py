"""Block sizes of the weighted Gram kernel."""

from __future__ import annotations

from dataclasses import dataclass

SHARED_BYTES = 227 * 1024
"""Shared memory that one block of threads may take on Hopper."""

ROWS = 64
"""Rows of X in one step."""


@dataclass(frozen=True)
class GramConfig:
    """tile: rows and columns of an output tile; stages: blocks of X on their way at a time. Raises ValueError.

    The defaults are guesses: no GPU has measured them.
    """

    tile: int = 64
    stages: int = 2

    def __post_init__(self) -> None:
        if self.tile not in (64, 128):
            raise ValueError(f"tile must be 64 or 128, not {self.tile}")
        if self.stages < 1 or self.shared_bytes > SHARED_BYTES:
            raise ValueError(f"{self.stages} stages of tile {self.tile} do not fit {SHARED_BYTES} bytes")

    @property
    def shared_bytes(self) -> int:
        """Two float32 blocks of X for each stage, both operands in three bfloat16 parts, and the finished tile."""
        return ROWS * self.tile * 2 * (4 * self.stages + 3 * 2) + 4 * ROWS * self.stages + 4 * self.tile**2
