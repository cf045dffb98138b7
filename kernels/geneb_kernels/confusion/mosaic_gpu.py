"""Confusion counts and MCC on Hopper: a lane's logits are read once, its table and score never leave the registers.

Each lane has a block of threads that walks over its rows. 64 rows give a 0/1 matrix of their true classes, one of their
predicted classes, and the product of both is added to the table by the matrix unit: zeros and ones are exact in
bfloat16, and counts in float32 up to 2²⁴ rows.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from geneb_kernels import mosaic
from geneb_kernels.confusion.config import CLASSES, ROWS, ConfusionConfig
from geneb_kernels.confusion.xla import by_reciprocal_root, mcc_of_margins

EXACT_ROWS = 1 << 24


def confusion_from_logits(
    Z: jax.Array, truth: jax.Array, keep: jax.Array, k: int, config: ConfusionConfig | None = None
) -> tuple[jax.Array, jax.Array]:
    """`geneb_kernels.confusion.api.confusion_from_logits`. Raises NotImplementedError for more classes or rows."""
    lanes, n, outputs = Z.shape
    if k > CLASSES or n > EXACT_ROWS or Z.dtype != jnp.float32:
        raise NotImplementedError(
            f"it takes float32 logits of {CLASSES} classes and {EXACT_ROWS} rows at most, not {Z.dtype.name}, {k}, {n}"
        )
    Z = mosaic.padded(Z, 1, ROWS, 1 if outputs == 1 else 8)
    kept = mosaic.padded(jnp.where(keep, truth.astype(jnp.int32), -1), 1, ROWS, value=-1)
    run = plgpu.kernel(
        partial(_lane, config=config or ConfusionConfig(), outputs=outputs),
        out_type=(mosaic.array((lanes, CLASSES, CLASSES)), mosaic.array((lanes, CLASSES))),
        grid=(lanes,),
        grid_names=("lane",),
        scratch_types=[
            mosaic.shared(CLASSES, ROWS, jnp.bfloat16),
            mosaic.shared(ROWS, CLASSES, jnp.bfloat16),
            mosaic.shared(CLASSES, CLASSES, jnp.float32),
            plgpu.SMEM((CLASSES,), jnp.float32),
        ],
    )
    table, score = run(Z[..., 0] if outputs == 1 else Z, kept)
    return table[:, :k, :k].astype(jnp.int32), score[:, 0]


def _lane(
    z: Any,
    truth: Any,
    tables: Any,
    scores: Any,
    left: Any,
    right: Any,
    table: Any,
    score: Any,
    *,
    config: ConfusionConfig,
    outputs: int,
) -> None:
    lane = jax.lax.axis_index("lane")
    rows, wide = truth.shape[1], z.shape[-1]

    def count(accumulator: Any) -> jax.Array:
        def step(_: Any, logits: Any, labels: Any) -> None:
            true = mosaic.along_columns(plgpu.layout_cast(labels[...], mosaic.COLUMN), CLASSES)
            left[...] = _ones(mosaic.iota(CLASSES, ROWS, 0) == true)
            if outputs == 1:
                positive = mosaic.along_rows(plgpu.layout_cast(logits[...], mosaic.ROW), CLASSES) > 0
                predicted = jnp.where(positive, 1, 0)
            else:
                predicted = _largest(logits[...], outputs)
            mosaic.store_parts([right], _ones(mosaic.iota(ROWS, CLASSES, 1) == predicted))
            mosaic.multiply(accumulator, [left], [right])

        vector = plgpu.BlockSpec((ROWS,), lambda step: (step,))
        plgpu.emit_pipeline(
            step,
            grid=(rows // ROWS,),
            in_specs=[vector if outputs == 1 else mosaic.block(ROWS, wide, z.dtype, lambda step: (step, 0)), vector],
            max_concurrent_steps=config.stages,
        )(z.at[lane], truth.at[lane])
        return accumulator[...]

    counts = pl.run_scoped(count, mosaic.accumulator(CLASSES, CLASSES))
    table[...] = counts
    diagonal = mosaic.iota(CLASSES, CLASSES, 0) == mosaic.iota(CLASSES, CLASSES, 1)
    score[...] = mcc_of_margins(
        jnp.where(diagonal, mosaic.along_rows(jnp.sum(counts, axis=1), CLASSES), 0.0),
        jnp.where(diagonal, mosaic.along_columns(jnp.sum(counts, axis=0), CLASSES), 0.0),
        _total(jnp.where(diagonal, 0.0, counts)),
        add=_total,
        wide=lambda total: mosaic.along_columns(total, CLASSES),
        divide=by_reciprocal_root,
    )
    mosaic.write((table, tables.at[lane]), (score, scores.at[lane]))


def _largest(logits: jax.Array, outputs: int) -> jax.Array:
    """The first class of the largest logit of each row, in every column of (rows, CLASSES)."""
    rows, columns = logits.shape
    kind = mosaic.iota(rows, columns, 1)
    existing = jnp.where(kind < outputs, logits, -jnp.inf)
    top = mosaic.along_rows(jnp.max(existing, axis=1), columns)
    first = jnp.min(jnp.where(existing == top, kind.astype(jnp.float32), float(CLASSES)), axis=1)
    return mosaic.along_rows(first, CLASSES).astype(jnp.int32)


def _total(x: jax.Array) -> jax.Array:
    """The sum of a matrix, in every entry of a vector over its columns: registers hold no scalars of a matrix."""
    return jnp.sum(mosaic.along_rows(jnp.sum(x, axis=1), x.shape[1]), axis=0)


def _ones(where: jax.Array) -> jax.Array:
    return jnp.where(where, 1.0, 0.0).astype(jnp.bfloat16)
