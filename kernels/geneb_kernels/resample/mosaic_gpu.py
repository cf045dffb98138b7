"""Bootstrap MCC on Hopper: weights are made in registers, multiplied at once, and only scores are written.

A block of threads owns 64 resamples and the sums of several sets of predictions. For 64 rows at a time it draws the
weights (`geneb_kernels.resample.threefry`) and adds their product with the rows' 0/1 columns to sums in registers:
small integers, exact in bfloat16 and, up to 2²⁴, in float32. Weights depend on the key, the resample and the row alone,
so that every block of columns draws the same.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from geneb_kernels import mosaic
from geneb_kernels.confusion.xla import by_reciprocal_root, mcc_of_margins
from geneb_kernels.resample.config import RESAMPLES, ResampleConfig, width
from geneb_kernels.resample.threefry import LANE, SPAN, weights_of_span


def resampled_mcc(
    key: jax.Array, truth: jax.Array, predicted: jax.Array, k: int, b: int, config: ResampleConfig | None = None
) -> jax.Array:
    """`geneb_kernels.resample.xla.resampled_mcc`. Raises NotImplementedError where k classes do not fit a block."""
    config = config or ResampleConfig()
    each, wide, lanes = config.lanes(k), width(k), len(predicted)
    columns = mosaic.padded(_columns(truth, predicted, k, each, wide, config.columns), SPAN, config.columns)
    groups, blocks = -(-lanes // each), -(-b // RESAMPLES)
    run = plgpu.kernel(
        partial(_block, config=config, k=k),
        out_type=mosaic.array((groups * each, blocks * RESAMPLES)),
        grid=(blocks, groups),
        grid_names=("resamples", "group"),
        scratch_types=[
            mosaic.shared(RESAMPLES, LANE, jnp.bfloat16),
            plgpu.SMEM((each, RESAMPLES), jnp.float32),
        ],
    )
    return run(key, columns)[:lanes, :b].T


def _columns(truth: jax.Array, predicted: jax.Array, k: int, each: int, wide: int, columns: int) -> jax.Array:
    """0/1 columns (n, groups · columns): in every group the true classes, then classes and errors of each lane."""
    n = len(truth)
    kinds = jnp.arange(wide)
    true = (truth[:, None] == kinds).astype(jnp.bfloat16)
    predicted = mosaic.padded(predicted, each, 1)
    wrong = (predicted != truth)[..., None] & (kinds == k)
    own = ((predicted[..., None] == kinds) | wrong).astype(jnp.bfloat16)
    own = jnp.moveaxis(own.reshape(-1, each, n, wide), 2, 0).reshape(n, -1, each * wide)
    grouped = jnp.concatenate([jnp.broadcast_to(true[:, None], (n, own.shape[1], wide)), own], axis=2)
    return mosaic.padded(grouped, 1, 1, columns).reshape(n, -1)


def _block(key: Any, columns: Any, out: Any, drawn: Any, scores: Any, *, config: ResampleConfig, k: int) -> None:
    block, group = jax.lax.axis_index("resamples"), jax.lax.axis_index("group")
    words = (key[0], key[1])
    resample = (mosaic.iota(RESAMPLES, LANE, 0) + block * RESAMPLES).astype(jnp.uint32)

    def add(accumulator: Any) -> jax.Array:
        def step(indices: Any, items: Any) -> None:
            place = (mosaic.iota(RESAMPLES, LANE, 1) + indices[0] * LANE).astype(jnp.uint32)
            for quarter, weights in enumerate(weights_of_span(words, resample, place)):
                mosaic.store_parts([drawn], weights)
                mosaic.multiply(accumulator, [drawn], [items.at[pl.ds(quarter * LANE, LANE)]])

        plgpu.emit_pipeline(
            step,
            grid=(columns.shape[0] // SPAN,),
            in_specs=[mosaic.block(SPAN, config.columns, jnp.bfloat16, lambda step: (step, 0))],
            max_concurrent_steps=config.stages,
        )(columns.at[:, pl.ds(group * config.columns, config.columns)])
        return accumulator[...]

    sums = pl.run_scoped(add, mosaic.accumulator(RESAMPLES, config.columns))
    wide = width(k)
    kind = mosaic.iota(RESAMPLES, wide, 1)
    for lane in range(config.lanes(k)):
        own = sums[:, (lane + 1) * wide : (lane + 2) * wide]
        scores[lane] = mcc_of_margins(
            sums[:, :wide],
            jnp.where(kind < k, own, 0.0),
            jnp.sum(jnp.where(kind == k, own, 0.0), axis=1),
            add=lambda x: jnp.sum(x, axis=1),
            wide=lambda total: mosaic.along_rows(total, wide),
            divide=by_reciprocal_root,
        )
    each = scores.shape[0]
    mosaic.write((scores, out.at[pl.ds(group * each, each), pl.ds(block * RESAMPLES, RESAMPLES)]))
