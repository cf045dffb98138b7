"""Weighted Gram matrices on Hopper: tiles on and above the diagonal, for every weight vector, X read in place.

A block of threads owns one tile (i, j) of one Gram matrix and walks over the rows of X: it brings 64 rows of both
column ranges to shared memory, weights the one in registers, splits both as `geneb_kernels.mosaic` says, and adds their
product to the tile, which stays in registers. No weighted copy of X exists outside.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from geneb_kernels import mosaic
from geneb_kernels.gram.config import ROWS, GramConfig


def weighted_grams(X: jax.Array, W: jax.Array, config: GramConfig | None = None) -> jax.Array:
    """`geneb_kernels.gram.api.weighted_gram` of W (l, n). Raises NotImplementedError for other dtypes."""
    parts = mosaic.parts_of(X.dtype)
    if W.dtype != jnp.float32:
        raise NotImplementedError(f"weights are float32, not {W.dtype.name}")
    d = X.shape[1]
    config = config or GramConfig()
    X, W = mosaic.padded(X, ROWS, config.tile), mosaic.padded(W, 1, ROWS)
    tiles = X.shape[1] // config.tile
    folds = fold_shape(tiles)
    run = plgpu.kernel(
        partial(_tile, config=config, tiles=tiles),
        out_type=mosaic.array((len(W), X.shape[1], X.shape[1])),
        grid=(len(W), *folds),
        grid_names=("weights", "fold", "place"),
        scratch_types=[
            [mosaic.shared(ROWS, config.tile, jnp.bfloat16)] * 3,
            [mosaic.shared(ROWS, config.tile, jnp.bfloat16)] * (3 if parts > 1 else 0),
            mosaic.shared(config.tile, config.tile, jnp.float32),
        ],
    )
    G = run(X, W)[:, :d, :d]
    # tiles below the diagonal were not written
    return jnp.triu(G) + jnp.swapaxes(jnp.triu(G, 1), 1, 2)


def fold_shape(tiles: int) -> tuple[int, int]:
    """A rectangle with one place for each tile on or above the diagonal of tiles × tiles."""
    return (tiles // 2, tiles + 1) if tiles % 2 == 0 else ((tiles + 1) // 2, tiles)


def unfold(fold: Any, place: Any, tiles: int) -> tuple[Any, Any]:
    """The tile (i ≤ j) at a place of the rectangle: a row of it holds two rows of the triangle, a long and a short."""
    even = int(tiles % 2 == 0)
    long = place >= fold + even
    i = jnp.where(long, fold, tiles - even - fold)
    j = jnp.where(long, place - even, tiles - 1 - place)
    return i, j


def _tile(x: Any, w: Any, out: Any, weighted: Any, plain: Any, result: Any, *, config: GramConfig, tiles: int) -> None:
    lane = jax.lax.axis_index("weights")
    size = config.tile
    i, j = unfold(jax.lax.axis_index("fold"), jax.lax.axis_index("place"), tiles)
    rows, columns = pl.ds(i * size, size), pl.ds(j * size, size)

    def add(accumulator: Any) -> jax.Array:
        def step(_: Any, left: Any, right: Any, weights: Any) -> None:
            scale = mosaic.along_rows(plgpu.layout_cast(weights[...], mosaic.ROW), size)
            mosaic.store_parts(weighted, left[...].astype(jnp.float32) * scale)
            if plain:
                mosaic.store_parts(plain, right[...])
            transposed = [part.transpose((1, 0)) for part in weighted]
            mosaic.multiply(accumulator, transposed, plain or [right])

        block = mosaic.block(ROWS, size, x.dtype, lambda step: (step, 0))
        plgpu.emit_pipeline(
            step,
            grid=(x.shape[0] // ROWS,),
            in_specs=[block, block, plgpu.BlockSpec((ROWS,), lambda step: (step,))],
            max_concurrent_steps=config.stages,
        )(x.at[:, rows], x.at[:, columns], w.at[lane])
        return accumulator[...]

    result[...] = pl.run_scoped(add, mosaic.accumulator(size, size))
    mosaic.write((result, out.at[lane, rows, columns]))
