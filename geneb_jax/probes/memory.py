"""How much memory a fit takes, and how a fit is cut to a budget.

A budget counts what a fit adds to the process: not Python, JAX and compiled code, which are there for any fit, nor
the labels and the results. All figures are bytes and upper estimates.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geneb_jax.errors import ProbeError
from geneb_jax.probes.blocks import IN_FLIGHT
from geneb_jax.probes.cost import PER_CLASS_BYTES
from geneb_jax.probes.design import padded_rows
from geneb_jax.probes.spec import Dtype

DEFAULT_SHARE = 0.5
"""Part of the memory that is available when a run starts that its fits may take."""

BLOCK_BYTES = 8 * 2**20
"""Raw bytes of a block where memory is plenty; larger blocks no longer read or multiply faster."""

ALLOCATOR = 4.0
"""Resident bytes per byte of blocks in use: freed blocks stay with the allocator (measured with glibc: up to 3.6)."""

LEAST_ROWS = 128
"""Fewest rows of a block."""

VECTORS = 14
"""Float64 arrays of the coefficients' size that a lane needs: its state, its directions and the pass's sums."""

LOGITS = 8
"""Arrays of a block's logits alive in a pass: Z, U, P, the residuals and what XLA keeps of the steps between."""


def available_memory() -> int:
    """Memory that this process may still take: the machine's available bytes, or less where a container allows less."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")))
    except (OSError, StopIteration, ValueError):
        # elsewhere the whole memory is known, but not what others hold of it
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    group = Path("/sys/fs/cgroup")
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            found.append(int((group / limit).read_text()) - int((group / used).read_text()))
        except (OSError, ValueError):
            continue
    return max(0, min(found))


def default_budget() -> int:
    """The budget where none is given: half of the available memory."""
    return int(available_memory() * DEFAULT_SHARE)


def planned_bytes(n: int, m: int, d: int, k: int, lanes: int, dtype: Dtype = "float32") -> int:
    """What `fit_task` takes for n training and m test rows of width d, k classes and so many full-data lanes.

    The rows as read, the design made from them, Gram matrix and factors, and the lanes' logits.
    """
    size, o, q = np.dtype(dtype).itemsize, 1 if k == 2 else k, d + 1
    rows = 4 * (n + m) * d + size * q * (padded_rows(n) + padded_rows(m))
    factors = size * q * q * (lanes * (o if _per_class(lanes, o, q, size) else 1) + 4)
    return rows + factors + size * lanes * o * (8 * padded_rows(n) + 6 * padded_rows(m))


def own_rows_bytes(m: int, d: int, o: int, draws: int = 1) -> int:
    """What `solve_own_rows` takes for draws of m rows each: float64, in their span."""
    m = padded_rows(m)
    r = min(m, d) + 1
    return draws * (8 * m * d + 8 * (d + m * r + 4 * r * r + VECTORS * (r + m) * o + 3 * d * o)) + 8 * (
        4 * m * d + 3 * r * r
    )


def _per_class(lanes: int, o: int, q: int, size: int) -> bool:
    return o > 1 and lanes * o * q * q * size <= PER_CLASS_BYTES


@dataclass(frozen=True)
class Plan:
    """Lanes solved at a time, rows per block, and the preconditioner: full or diagonal, one per class or for all."""

    lanes: int
    block: int
    per_class: bool
    diagonal: bool
    bytes: int


@dataclass(frozen=True)
class Shape:
    """What a plan depends on: full-data lanes over n rows of width d with o columns each; bytes of one number."""

    n: int
    d: int
    o: int
    lanes: int
    itemsize: int
    scratch: int

    def fixed(self, lanes: int, factors: int) -> int:
        """Bytes that do not depend on the block: vectors, logits with the steps along them, factors, reading."""
        q = self.d + 1
        vectors = lanes * q * self.o * (8 * VECTORS + 4 * self.itemsize)
        logits = 2 * self.n * lanes * self.o * self.itemsize
        return self.scratch + vectors + logits + factors * q * q * self.itemsize + 64 * self.d

    def row(self, lanes: int) -> int:
        """Bytes per row of a block: raw rows in flight, the rows in coordinates with a copy, and the logits."""
        raw, moved = 4 * IN_FLIGHT * self.d, 2 * self.itemsize * (self.d + 1)
        return int(ALLOCATOR * (raw + moved + LOGITS * lanes * self.o * self.itemsize))


def plan(shape: Shape, budget: int) -> Plan:
    """The fastest way to solve the lanes within the budget. Raises ProbeError when there is none.

    All lanes in the same passes with a preconditioner of their own are best; then fewer lanes at a time; where not
    even one d × d array has room, a diagonal one takes more passes to the same optimum.
    """
    q, least = shape.d + 1, min(LEAST_ROWS, padded_rows(shape.n))
    groups = [-(-shape.lanes // parts) for parts in range(1, shape.lanes + 1)]
    for full in (True, False):
        for lanes in dict.fromkeys(groups):
            for per_class in (True, False) if full and _per_class(lanes, shape.o, q, shape.itemsize) else (False,):
                factors = (lanes * (shape.o if per_class else 1)) if full else 0
                fixed = shape.fixed(lanes, factors)
                if fixed + least * shape.row(lanes) <= budget:
                    block = _block_rows(shape, lanes, budget - fixed)
                    return Plan(lanes, block, per_class, not full, fixed + block * shape.row(lanes))
    smallest = smallest_budget(shape)
    raise ProbeError(
        f"{shape.n:,} rows of width {shape.d:,} with {max(shape.o, 2)} classes cannot be fitted in a memory budget of "
        f"{budget / 2**20:,.1f} MiB",
        where="memory budget",
        cure=f"allow at least {np.ceil(smallest / 2**20 * 10) / 10:,.1f} MiB",
    )


def smallest_budget(shape: Shape) -> int:
    """The least budget that `plan` accepts."""
    return shape.fixed(1, 0) + min(LEAST_ROWS, padded_rows(shape.n)) * shape.row(1)


def _block_rows(shape: Shape, lanes: int, room: int) -> int:
    rows = min(room // shape.row(lanes), max(LEAST_ROWS, BLOCK_BYTES // (4 * shape.d)))
    if rows >= padded_rows(shape.n):
        return padded_rows(shape.n)
    return 1 << (int(rows).bit_length() - 1)  # powers of two, so that tasks of all sizes share a compilation


def scoring_rows(shape: Shape, lanes: int, m: int, budget: int) -> int:
    """Test rows scored at a time, for so many lanes with their coefficients on the device."""
    fixed = shape.scratch + lanes * (shape.d + 1) * shape.o * shape.itemsize * 3
    per_row = shape.row(lanes) + int(ALLOCATOR * 8) * lanes * shape.o
    least = min(LEAST_ROWS, padded_rows(m))
    rows = min((budget - fixed) // per_row, max(least, BLOCK_BYTES // (4 * shape.d)))
    if rows >= padded_rows(m):
        return padded_rows(m)
    return 1 << (max(int(rows), least).bit_length() - 1)
