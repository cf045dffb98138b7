"""The precision of every contraction, in one place."""

from __future__ import annotations

import jax

HIGHEST = jax.lax.Precision.HIGHEST
"""Full precision of the operands: float32 must not be rounded to tf32 (Hopper) or bfloat16 on the way to an optimum."""
