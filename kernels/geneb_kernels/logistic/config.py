"""Block sizes of the fused logits, loss and residual."""

from __future__ import annotations

from dataclasses import dataclass

ROWS = 64
"""Rows of X that a block of threads owns."""


@dataclass(frozen=True)
class LogisticConfig:
    """columns: logits of one block of threads; depth: columns of X in one step; stages: steps on their way at a time.

    Raises ValueError.
    """

    columns: int = 64
    depth: int = 64
    stages: int = 2

    def __post_init__(self) -> None:
        if self.columns not in (64, 128, 192, 256):
            raise ValueError(f"columns must be 64, 128, 192 or 256, not {self.columns}")
        if self.depth not in (64, 128) or self.stages < 1:
            raise ValueError(f"depth must be 64 or 128 and stages at least 1, not {self.depth} and {self.stages}")

    def lanes(self, outputs: int) -> int:
        """Lanes of one block. Raises NotImplementedError where not even one fits."""
        count = self.columns // width(outputs)
        if not count:
            raise NotImplementedError(f"{outputs} classes do not fit {self.columns} columns")
        return count


def width(outputs: int) -> int:
    """Columns of one lane: one for two classes, else a multiple of 8, where registers can be cut."""
    return 1 if outputs == 1 else -(-outputs // 8) * 8


def config_for(lanes: int, outputs: int) -> LogisticConfig:
    """The sizes for so many lanes; guesses, as no GPU has measured them."""
    wanted = lanes * width(outputs)
    return LogisticConfig(columns=next((c for c in (64, 128, 192) if wanted <= c), 256))
