"""``random-conv:WIDTH``: a convolutional network with random weights, the control for what training adds.

One-hot letters, a stem of width 9, four residual blocks (RMS norm, GELU, convolution of width 5) with
dilations 1, 2, 4 and 8, a projection to WIDTH with GELU, and the mean over the positions of the sequence.
Positions past the end are zero before every convolution, so padding cannot be told from the end itself.

Every call of the network has the shape of its length bucket, whatever the number of sequences: a sequence
meets the same compiled program alone and in a crowd, and there are as many programs as buckets.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from geneb_jax.axes import NumpyFloat
from geneb_jax.backend import devices
from geneb_jax.encoder.counting import Counts, count_outside
from geneb_jax.encoder.flax.buckets import gather, run_buckets
from geneb_jax.encoder.info import EncoderInfo, minor_version
from geneb_jax.encoder.kinds import RANDOM_CONV
from geneb_jax.encoder.letters import SHARE
from geneb_jax.encoder.spec import EncoderSpec, display_name, number_subject, resolve_options

ARCHITECTURE: dict[str, Any] = {
    "rule": "random-conv-1",  # raise it when the code below changes a vector
    "channels": 64,
    "stem_kernel": 9,
    "block_kernel": 5,
    "dilations": [1, 2, 4, 8],
    "init": "he_uniform, zero bias, threefry2x32",
}
_BUCKET_POSITIONS = 1 << 13  # positions in one call of the network, padding included


class _Network(nnx.Module):
    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        channels = ARCHITECTURE["channels"]

        def conv(num_in: int, num_out: int, kernel: int, dilation: int = 1) -> nnx.Conv:
            return nnx.Conv(
                num_in,
                num_out,
                kernel_size=(kernel,),
                kernel_dilation=dilation,
                padding="SAME",
                precision=jax.lax.Precision.HIGHEST,  # tf32 on a GPU has three digits
                dtype=jnp.float32,
                # uniform, not normal: exact bits from the key on every device
                kernel_init=jax.nn.initializers.he_uniform(dtype=jnp.float32),
                rngs=rngs,
            )

        self.stem = conv(4, channels, ARCHITECTURE["stem_kernel"])
        self.blocks = nnx.List(
            [conv(channels, channels, ARCHITECTURE["block_kernel"], d) for d in ARCHITECTURE["dilations"]]
        )
        self.head = conv(channels, width, 1)

    def __call__(self, x: jax.Array, lengths: jax.Array) -> jax.Array:
        """``(n, positions, 4)`` and ``(n,)`` to ``(n, width)``."""
        inside = jnp.arange(x.shape[1], dtype=jnp.int32)[None, :, None] < lengths[:, None, None]
        mask = inside.astype(jnp.float32)
        h = self.stem(x * mask)
        for block in self.blocks:
            h = h + block(jax.nn.gelu(_rms_norm(h)) * mask)
        h = jax.nn.gelu(self.head(_rms_norm(h))) * mask
        count = jnp.maximum(lengths, 1).astype(jnp.float32)
        return jnp.sum(h, axis=1) / count[:, None]


def _rms_norm(h: jax.Array) -> jax.Array:
    return h * jax.lax.rsqrt(jnp.mean(h * h, axis=-1, keepdims=True) + jnp.float32(1e-6))


class RandomConvEncoder:
    """The network with weights from a seed; they are drawn on first use."""

    promises = ("lower case",)
    thymine = "T"

    def __init__(self, width: int, *, seed: int = 0) -> None:
        self._width, self._seed = width, seed
        self._forward: Callable[[NumpyFloat, NumpyFloat], jax.Array] | None = None
        constants = json.dumps({**ARCHITECTURE, "width": width, "seed": seed}, sort_keys=True)
        self.info = EncoderInfo(
            name=display_name(f"random-conv:{width}", RANDOM_CONV.options, {"seed": seed}),
            family="random-conv",
            revision=hashlib.sha256(constants.encode("ascii")).hexdigest(),
            width=width,
            settings={"seed": seed, "pooling": "mean", "dtype": "float32"},
            # the weights are a function of these two: neither promises the same draws for ever
            libraries={"jax": minor_version("jax"), "flax": minor_version("flax")},
        )

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        """float32 ``(n, width)``."""
        if not sequences:
            return np.zeros((0, self._width), dtype=np.float32)
        devices()
        forward = self._forward = self._forward or _build(self._width, self._seed)
        done = run_buckets(
            sequences, lambda letters, lengths: forward(SHARE[letters], lengths), lambda n: _BUCKET_POSITIONS // n
        )
        return gather(done, len(sequences), self._width)

    def count_letters(self, sequences: Sequence[str]) -> Counts:
        """What of each sequence is not read: letters that are no nucleotide code."""
        return count_outside(sequences, SHARE.any(axis=1))


def _build(width: int, seed: int) -> Callable[[NumpyFloat, NumpyFloat], jax.Array]:
    # the user's own settings of the generator must not change the weights
    with jax.threefry_partitionable(True):
        network = _Network(width, nnx.Rngs(params=jax.random.key(seed, impl="threefry2x32")))
    graph, state = nnx.split(network)

    @jax.jit
    def forward(state: Any, x: jax.Array, lengths: jax.Array) -> jax.Array:
        vectors: jax.Array = nnx.merge(graph, state)(x, lengths)
        return vectors

    return functools.partial(forward, state)


def load(spec: EncoderSpec, options: Mapping[str, object]) -> RandomConvEncoder:
    """The encoder of ``random-conv:WIDTH``. Raises UsageError."""
    width = number_subject(spec, what="width", low=1, high=65_536)
    values = resolve_options(repr(spec.text), RANDOM_CONV.options, options)
    return RandomConvEncoder(width, seed=int(values["seed"] or 0))
