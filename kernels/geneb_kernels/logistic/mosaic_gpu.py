"""Fused logits, loss and residual on Hopper: X is read once for up to 256 columns, and the logits stay in registers.

A block of threads owns 64 rows and the columns of several lanes. It walks over the columns of X, adds up the logits as
`geneb_kernels.mosaic` says (X split in registers, V beforehand), turns them into residuals and losses where they are,
and writes the residuals and, for each column, the loss summed over its rows.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from geneb_kernels import mosaic
from geneb_kernels.logistic.config import ROWS, LogisticConfig, config_for, width
from geneb_kernels.logistic.xla import binary, multinomial


def residuals_and_losses(
    X: jax.Array, V: jax.Array, labels: jax.Array, W: jax.Array, config: LogisticConfig | None = None
) -> tuple[jax.Array, jax.Array]:
    """`geneb_kernels.logistic.api.residuals_and_losses`. Raises NotImplementedError for other dtypes."""
    parts = mosaic.parts_of(X.dtype)
    if V.dtype != jnp.float32 or W.dtype != jnp.float32:
        raise NotImplementedError(f"weights are float32, not {V.dtype.name} and {W.dtype.name}")
    n = len(X)
    lanes, _, outputs = V.shape
    config = config or config_for(lanes, outputs)
    each, wide = config.lanes(outputs), width(outputs)
    groups = -(-lanes // each)
    X = mosaic.padded(X, ROWS, config.depth)
    V = mosaic.padded(V, each, config.depth, wide).reshape(groups, each, -1, wide)
    V = mosaic.padded(jnp.moveaxis(V, 1, 2).reshape(groups, -1, each * wide), 1, 1, config.columns)
    # of two classes a column is a lane, and weights lie beside the logits; else each lane has its vector of them
    W = mosaic.padded(W, each, ROWS)
    W = W.T if outputs == 1 else W.reshape(groups, each, -1)
    weights = (
        mosaic.shared(ROWS, config.columns, jnp.float32) if outputs == 1 else plgpu.SMEM((each, ROWS), jnp.float32)
    )
    blocks, columns = len(X) // ROWS, groups * config.columns
    run = plgpu.kernel(
        partial(_block, config=config, outputs=outputs),
        out_type=(
            mosaic.array((len(X), columns)),
            mosaic.array((blocks, columns)),
        ),
        grid=(blocks, groups),
        grid_names=("rows", "group"),
        scratch_types=[
            [mosaic.shared(ROWS, config.depth, jnp.bfloat16)] * (3 if parts > 1 else 0),
            plgpu.SMEM((ROWS,), jnp.int32),
            weights,
            plgpu.SMEM((ROWS, config.columns), jnp.float32),
            plgpu.SMEM((config.columns,), jnp.float32),
            plgpu.Barrier(num_barriers=2),
        ],
    )
    residuals, losses = run(X, *mosaic.split(V), mosaic.padded(labels.astype(jnp.int32), ROWS), W)
    residuals = residuals.reshape(len(X), groups, -1)[..., : each * wide].reshape(len(X), groups * each, wide)
    losses = losses.sum(axis=0).reshape(groups, -1)[..., : each * wide].reshape(groups * each, wide)
    return residuals[:n, :lanes, :outputs], losses[:lanes].sum(axis=1)


def _block(
    x: Any,
    v1: Any,
    v2: Any,
    v3: Any,
    labels: Any,
    w: Any,
    residuals: Any,
    losses: Any,
    split: Any,
    own_labels: Any,
    own_weights: Any,
    result: Any,
    summed: Any,
    arrived: Any,
    *,
    config: LogisticConfig,
    outputs: int,
) -> None:
    block, group = jax.lax.axis_index("rows"), jax.lax.axis_index("group")
    rows, columns = pl.ds(block * ROWS, ROWS), pl.ds(group * config.columns, config.columns)
    source = w.at[rows, columns] if outputs == 1 else w.at[group, :, rows]
    plgpu.copy_gmem_to_smem(labels.at[rows], own_labels, arrived.at[0])
    plgpu.copy_gmem_to_smem(source, own_weights, arrived.at[1])

    def add(accumulator: Any) -> jax.Array:
        def step(_: Any, left: Any, *right: Any) -> None:
            if split:
                mosaic.store_parts(split, left[...])
            mosaic.multiply(accumulator, split or [left], right)

        plgpu.emit_pipeline(
            step,
            grid=(x.shape[1] // config.depth,),
            in_specs=[
                mosaic.block(ROWS, config.depth, x.dtype, lambda step: (0, step)),
                *[mosaic.block(config.depth, config.columns, jnp.bfloat16, lambda step: (step, 0))] * 3,
            ],
            max_concurrent_steps=config.stages,
        )(x.at[rows], *(part.at[group] for part in (v1, v2, v3)))
        return accumulator[...]

    logits = pl.run_scoped(add, mosaic.accumulator(ROWS, config.columns))
    plgpu.barrier_wait(arrived.at[0])
    plgpu.barrier_wait(arrived.at[1])
    true = plgpu.layout_cast(own_labels[...], mosaic.ROW)
    if outputs == 1:
        loss, residual = binary(logits, mosaic.along_rows(true, config.columns) == 1, log1p)
        weight = own_weights[...]
        result[...] = residual * weight
        summed[...] = jnp.sum(loss * weight, axis=0)
    else:
        wide = width(outputs)
        kind = mosaic.iota(ROWS, wide, 1)
        of_row = mosaic.along_rows(true, wide)
        for lane in range(config.lanes(outputs)):
            part = slice(lane * wide, (lane + 1) * wide)
            loss, residual = multinomial(logits[:, part], kind == of_row, kind < outputs, log1p)
            weight = mosaic.along_rows(plgpu.layout_cast(own_weights[lane], mosaic.ROW), wide)
            result[:, part] = residual * weight
            summed[part] = jnp.sum(loss * weight, axis=0)
    mosaic.write((result, residuals.at[rows, columns]), (summed, losses.at[block, columns]))


def log1p(x: jax.Array) -> jax.Array:
    """log(1 + x) for x ≥ 0 from a plain logarithm: exact in the rounding of 1 + x (Kahan).

    For kernels alone, which have no other: XLA simplifies (1 + x) - 1 to x, and nothing of the correction is left.
    """
    u = 1.0 + x
    inexact = u - 1.0
    return jnp.where(inexact == 0.0, x, jnp.log(u) * x / jnp.where(inexact == 0.0, 1.0, inexact))
