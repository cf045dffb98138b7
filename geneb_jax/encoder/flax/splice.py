"""SpliceAI's layout as a Flax module: a dilated residual network over one-hot letters, 32 channels wide.

Stages of four residual units (batch norm, ReLU, convolution, twice), a 1x1 skip sum after every stage; the skip
sum at the bases of the sequence, 32 numbers per base, is what is pooled. The original pads a sequence with N, all
zero, by half of its context on each side. That half is exactly how far the network sees, so the padding may as
well go on for ever; and where a layer sees nothing but N, all its positions hold the same values. So only the
positions that a sequence can reach, and that can reach its bases, are computed: for 60 bases and the 10,000 nt
context about a fifth of the original's work.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.counting import Counts, count_outside
from geneb_jax.encoder.flax.buckets import ONE_HOT, gather, run_buckets
from geneb_jax.encoder.info import EncoderInfo

CHANNELS = 32
UNITS_PER_STAGE = 4
# (kernel, dilation) of each stage's convolutions; a network has the first one to four
STAGES = ((11, 1), (11, 4), (21, 10), (41, 25))
_POSITIONS = {"cpu": 1 << 15}  # positions in one call, context included
_POSITIONS_ELSEWHERE = 1 << 19
_ROWS = 256  # sequences in one call at most: what a run hands over at once
_HIGHEST = jax.lax.Precision.HIGHEST  # tf32 on a GPU has three digits


@dataclass(frozen=True)
class Layout:
    """What the weights do not say: number of stages, batch norm's epsilon, slope of the (leaky) ReLU."""

    num_stages: int
    epsilon: float
    slope: float

    @property
    def reaches(self) -> tuple[int, ...]:
        """How far each convolution sees to one side, in order."""
        return tuple(d * (k - 1) // 2 for k, d in STAGES[: self.num_stages] for _ in range(2 * UNITS_PER_STAGE))

    @property
    def context(self) -> int:
        """Bases seen on both sides together."""
        return 2 * sum(self.reaches)


class _Conv(nnx.Conv):
    """A convolution over positions without padding."""

    def __init__(self, num_in: int, num_out: int, rngs: nnx.Rngs, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__(
            num_in,
            num_out,
            kernel_size=(kernel,),
            kernel_dilation=dilation,
            padding="VALID",
            precision=_HIGHEST,
            dtype=jnp.float32,
            rngs=rngs,
        )
        self.reach = dilation * (kernel - 1) // 2


class _Unit(nnx.Module):
    def __init__(self, kernel: int, dilation: int, layout: Layout, rngs: nnx.Rngs) -> None:
        def norm() -> nnx.BatchNorm:
            return nnx.BatchNorm(CHANNELS, use_running_average=True, epsilon=layout.epsilon, rngs=rngs)

        self.slope = layout.slope
        self.norm1, self.norm2 = norm(), norm()
        self.conv1 = _Conv(CHANNELS, CHANNELS, rngs, kernel, dilation)
        self.conv2 = _Conv(CHANNELS, CHANNELS, rngs, kernel, dilation)

    def __call__(self, x: _Signal, left: int, right: int) -> _Signal:
        """``left`` and ``right`` are what layers from the first and the second convolution on can still see."""
        h = x
        for norm, conv, ahead in ((self.norm1, self.conv1, left), (self.norm2, self.conv2, right)):
            near, far = (nnx.leaky_relu(norm(a), self.slope) for a in (h.near, h.far))
            h = _Signal(near, far, h.radius).convolve(conv, ahead)
        return h.add(x)


@dataclass(frozen=True)
class _Signal:
    """Activations ``near`` (n, radius + positions + radius, channels), and ``far`` (1, 1, channels) beyond them."""

    near: jax.Array
    far: jax.Array
    radius: int

    def to(self, radius: int) -> jax.Array:
        """The activations at another radius: cropped, or filled up with ``far``."""
        extra = radius - self.radius
        if extra <= 0:
            return self.near[:, -extra : self.near.shape[1] + extra]
        edge = jnp.broadcast_to(self.far, (self.near.shape[0], extra, self.near.shape[2]))
        return jnp.concatenate([edge, self.near, edge], axis=1)

    def convolve(self, conv: _Conv, ahead: int) -> _Signal:
        """``ahead``: how far the layers behind this convolution can see; more of its output is not needed."""
        radius = min(self.radius + conv.reach, ahead)
        far = jnp.matmul(self.far, conv.kernel.sum(axis=0), precision=_HIGHEST) + cast(jax.Array, conv.bias)
        return _Signal(conv(self.to(radius + conv.reach)), far, radius)

    def add(self, other: _Signal) -> _Signal:
        return _Signal(self.near + other.to(self.radius), self.far + other.far, self.radius)


class SpliceNetwork(nnx.Module):
    """The network up to its skip sum, and the 1x1 convolution of its three classes."""

    def __init__(self, layout: Layout, rngs: nnx.Rngs) -> None:
        self.layout = layout
        self.first = _Conv(4, CHANNELS, rngs)
        self.skips = nnx.List([_Conv(CHANNELS, CHANNELS, rngs) for _ in range(layout.num_stages + 1)])
        self.units = nnx.List(
            [_Unit(k, d, layout, rngs) for k, d in STAGES[: layout.num_stages] for _ in range(UNITS_PER_STAGE)]
        )
        self.last = _Conv(CHANNELS, 3, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """One-hot ``(n, positions, 4)`` to the skip sum ``(n, positions, 32)``; all beyond the positions is N."""
        h = _Signal(self.first(x), self.first(jnp.zeros((1, 1, 4), dtype=jnp.float32)), 0)
        skip = self.skips[0](h.near)
        reaches = self.layout.reaches
        for i, unit in enumerate(self.units):
            h = unit(h, sum(reaches[2 * i + 1 :]), sum(reaches[2 * i + 2 :]))
            if (i + 1) % UNITS_PER_STAGE == 0:
                skip = skip + self.skips[(i + 1) // UNITS_PER_STAGE](h.to(0))
        return skip


class SpliceEncoder:
    """One or several networks of the layout, pooled over the bases of a sequence, side by side."""

    promises = ("lower case",)
    thymine = "T"

    def __init__(
        self, networks: Sequence[tuple[Layout, dict[str, NumpyFloat]]], info: EncoderInfo, *, pooling: str
    ) -> None:
        self.info = info
        self._layouts = [layout for layout, _ in networks]
        graphs = [_build(layout, weights) for layout, weights in networks]
        self._states = [state for _, state in graphs]
        definition = graphs[0][0]  # networks of one encoder share their layout, and so their programs

        @jax.jit
        def pooled(state: Any, letters: jax.Array, lengths: jax.Array) -> jax.Array:
            skip = nnx.merge(definition, state)(jnp.asarray(ONE_HOT)[letters])
            inside = jnp.arange(letters.shape[1], dtype=jnp.int32)[None, :, None] < lengths[:, None, None]
            if pooling == "max":
                top = jnp.max(jnp.where(inside, skip, -jnp.inf), axis=1)
                return jnp.where(lengths[:, None] > 0, top, 0)
            count = jnp.maximum(lengths, 1).astype(jnp.float32)
            return jnp.sum(jnp.where(inside, skip, 0), axis=1) / count[:, None]

        @jax.jit
        def classes(state: Any, letters: jax.Array, lengths: jax.Array) -> jax.Array:
            network = nnx.merge(definition, state)
            return jax.nn.softmax(network.last(network(jnp.asarray(ONE_HOT)[letters])), axis=2)

        self._pooled, self._classes = pooled, classes

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        """float32 ``(n, width)``."""
        parts = [run_buckets(sequences, functools.partial(self._pooled, state), self._rows) for state in self._states]
        return np.concatenate([gather(done, len(sequences), CHANNELS) for done in parts], axis=1)

    def count_letters(self, sequences: Sequence[str]) -> Counts:
        """What of each sequence is not read: letters that are no base, which are zeros."""
        return count_outside(sequences, ONE_HOT.any(axis=1))

    def probabilities(self, sequences: Sequence[str]) -> list[NumpyFloat]:
        """The networks' mean output, per sequence ``(length, 3)``: neither, acceptor, donor at every base."""
        out: list[NumpyFloat] = [np.zeros((len(s), 3), dtype=np.float32) for s in sequences]
        for state in self._states:
            for rows, result in run_buckets(sequences, functools.partial(self._classes, state), self._rows):
                found = np.asarray(result) / np.float32(len(self._states))
                for i, row in enumerate(rows):
                    out[row] += found[i, : len(sequences[row])]
        return out

    def _rows(self, length: int) -> int:
        # a layer is widest where what it has seen and what is left to see are equal: half the context in all
        positions = _POSITIONS.get(jax.default_backend(), _POSITIONS_ELSEWHERE)
        return min(_ROWS, positions // (length + self._layouts[0].context // 2))


def expected_shapes(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Path of every parameter of the network, such as ``units.0.conv1.kernel``, and its shape."""
    state = nnx.state(nnx.eval_shape(lambda: SpliceNetwork(layout, nnx.Rngs(0))))
    return {".".join(map(str, path)): tuple(variable.shape) for path, variable in nnx.to_flat_state(state)}


def _build(layout: Layout, weights: dict[str, NumpyFloat]) -> tuple[Any, Any]:
    """The network's definition, and its state with the weights on the device."""
    definition, state = nnx.split(nnx.eval_shape(lambda: SpliceNetwork(layout, nnx.Rngs(0))))
    flat = nnx.to_flat_state(state)
    filled = [(path, variable.replace(jnp.asarray(weights[".".join(map(str, path))]))) for path, variable in flat]
    return definition, nnx.from_flat_state(filled)
