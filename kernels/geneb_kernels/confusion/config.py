"""Block sizes of the fused confusion counts."""

from __future__ import annotations

from dataclasses import dataclass

ROWS = 64
"""Rows of logits in one step."""

CLASSES = 64
"""Classes at most: the rows of one matrix instruction."""


@dataclass(frozen=True)
class ConfusionConfig:
    """stages: blocks of logits on their way at a time, a guess that no GPU has measured. Raises ValueError."""

    stages: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.stages <= 8:
            raise ValueError(f"stages must be 1 to 8, not {self.stages}")
