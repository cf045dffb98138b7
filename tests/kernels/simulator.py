"""Runs Mosaic GPU kernels without a GPU. The one place that reaches into JAX's private modules for it.

`simulated` executes a kernel in JAX's GPU interpreter, thread by thread, with its barriers and copies; reads of memory
that nothing wrote give NaN. The interpreter of jax 0.10.2 lacks two things that are added here: `layout_cast`, which
moves numbers between registers and changes none, and a transposed operand of `wgmma`. It knows nothing of time, of the
tensor cores' rounding while they accumulate, and of asynchronous products.

`lowered` translates a kernel for Hopper, which checks register layouts, tiles in shared memory and the shapes of every
instruction; only the last step, machine code, needs the GPU's compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import jax
import numpy as np
from jax._src.pallas.mosaic_gpu.core import layout_cast_p
from jax._src.pallas.mosaic_gpu.interpret import gpu_callbacks, interpret_pallas_call
from jax._src.pallas.mosaic_gpu.interpret.params import InterpretGPUParams, force_gpu_interpret_mode
from jax._src.state.types import TransposeTransform
from jax.interpreters import mlir

mlir.register_lowering(layout_cast_p, lambda _context, x, **_: [x], platform="cpu")

_read = gpu_callbacks.interpret_utils.to_range


class _Transposed(tuple[Any, ...]):
    """A range whose buffer is to be read transposed."""


def _range(transforms: tuple[Any, ...]) -> tuple[Any, ...]:
    if transforms and isinstance(transforms[-1], TransposeTransform):
        return _Transposed(_read(transforms[:-1]))
    return _read(transforms)


@contextmanager
def simulated() -> Iterator[None]:
    """Kernels traced inside run in the interpreter."""
    memory = gpu_callbacks.memory.GPUSharedMemory
    get = memory.get_buffer_content

    def content(self: Any, key: Any, where: tuple[Any, ...], *args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
        value, shape, clock = get(self, key, tuple(where), *args, **kwargs)
        return np.transpose(value) if isinstance(where, _Transposed) else value, shape, clock

    with (
        mock.patch.object(gpu_callbacks.interpret_utils, "to_range", _range),
        mock.patch.object(memory, "get_buffer_content", content),
        force_gpu_interpret_mode(InterpretGPUParams(detect_races=False, out_of_bounds_reads="raise")),
    ):
        try:
            yield
        finally:
            interpret_pallas_call.reset_gpu_interpret_mode_state()


def simulate(run: Callable[..., Any], *args: Any) -> Any:
    """`run(*args)` in the interpreter, as NumPy arrays."""
    with simulated():
        return jax.tree.map(np.asarray, jax.jit(run)(*args))


def lowered(run: Callable[..., Any], *args: Any) -> str:
    """The program of `run(*args)` for a Hopper GPU."""
    return jax.jit(run).trace(*args).lower(lowering_platforms=("cuda",)).as_text()
