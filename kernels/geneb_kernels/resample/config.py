"""Block sizes of the fused bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

RESAMPLES = 64
"""Resamples that a block of threads owns."""


@dataclass(frozen=True)
class ResampleConfig:
    """columns: sums of one block of threads; stages: blocks of columns on their way at a time. Raises ValueError.

    The defaults are guesses: no GPU has measured them.
    """

    columns: int = 128
    stages: int = 2

    def __post_init__(self) -> None:
        if self.columns not in (64, 128, 192, 256):
            raise ValueError(f"columns must be 64, 128, 192 or 256, not {self.columns}")
        if self.stages < 1 or self.stages * self.columns > 320:
            raise ValueError(f"{self.stages} stages of {self.columns} columns do not fit shared memory")

    def lanes(self, classes: int) -> int:
        """Sets of predictions of one block, beside the true classes. Raises NotImplementedError where none fits."""
        count = self.columns // width(classes) - 1
        if count < 1:
            raise NotImplementedError(f"{classes} classes do not fit {self.columns} columns twice")
        return count


def width(classes: int) -> int:
    """Columns of one set of predictions: its classes and its errors, up to a multiple of 8, where registers are cut."""
    return -(-(classes + 1) // 8) * 8
