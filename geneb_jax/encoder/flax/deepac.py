"""``deepac[:FILE]``: DeePaC's strand-symmetric convolutional network as a Flax module.

Reads of 250 bases, zeros behind shorter ones: two reverse-complement convolutions (shared by the read and its
reverse complement, their outputs turned back and put side by side), average pooling by 2 between them, the mean
over all positions, a dense layer shared by both strands and summed, and a second dense layer, 256 wide, whose
ReLU is the vector. For reads of 250 bases both strands have one vector; a shorter read lies at the other end of
its zeros on the other strand, so that there they differ, as they do in the original.

Only the package's network is known here (``nn-vhdb-rapid-cnn.h5`` of deepacvir, MIT), and files of its layout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.encoder.counting import Counts, count_outside
from geneb_jax.encoder.flax.buckets import ONE_HOT, gather, pad
from geneb_jax.encoder.flax.h5 import H5File, open_h5
from geneb_jax.encoder.flax.splice_load import digest_file, package_folder
from geneb_jax.encoder.info import EncoderInfo
from geneb_jax.encoder.kinds import DEEPAC
from geneb_jax.encoder.spec import EncoderSpec, display_name, resolve_options
from geneb_jax.errors import EncoderError

_RULE = 1  # raise it when the network's code, or how reads are cut, changes a vector
READ = 250
_FILE = "builtin/weights/nn-vhdb-rapid-cnn.h5"
_ROWS = {"cpu": 8}  # reads in one call
_ROWS_ELSEWHERE = 128
_HIGHEST = jax.lax.Precision.HIGHEST  # tf32 on a GPU has three digits

# the layers of the file in its own order, numbers and dropout left out
_LAYERS = (
    "input",
    *("reverse_complement_conv1d_input", "conv1d", "reverse_complement_conv1d_output", "concatenate", "activation"),
    "average_pooling1d",
    *("reverse_complement_conv1d_input", "conv1d", "reverse_complement_conv1d_output", "concatenate", "activation"),
    "global_average_pooling1d",
    *("split_merging_dense_input_rc", "split_merging_dense_input_fwd", "reverse_merging_dense_input", "dense", "add"),
    *("activation", "dense", "activation", "dense", "activation"),
)


class DeePaCNetwork(nnx.Module):
    """The network; shapes come from the weights."""

    def __init__(self, filters: tuple[int, int], kernels: tuple[int, int], dense: tuple[int, int]) -> None:
        def conv(num_in: int, num_out: int, kernel: int) -> nnx.Conv:
            return nnx.Conv(num_in, num_out, (kernel,), padding="SAME", precision=_HIGHEST, rngs=rngs)

        def linear(num_in: int, num_out: int) -> nnx.Linear:
            return nnx.Linear(num_in, num_out, precision=_HIGHEST, rngs=rngs)

        rngs = nnx.Rngs(0)
        self.conv1 = conv(4, filters[0], kernels[0])
        self.conv2 = conv(2 * filters[0], filters[1], kernels[1])
        self.dense1, self.dense2 = linear(filters[1], dense[0]), linear(dense[0], dense[1])
        self.score = linear(dense[1], 1)

    def __call__(self, x: jax.Array) -> jax.Array:
        """One-hot ``(n, 250, 4)`` to the second dense layer ``(n, width)``."""
        h = jax.nn.relu(_both_strands(self.conv1, x))
        n, length, channels = h.shape
        h = h.reshape(n, length // 2, 2, channels).mean(axis=2)
        h = jax.nn.relu(_both_strands(self.conv2, h)).mean(axis=1)
        forward, reverse = jnp.split(h, 2, axis=1)
        h = jax.nn.relu(self.dense1(forward) + self.dense1(reverse[:, ::-1]))
        return jax.nn.relu(self.dense2(h))


def _both_strands(conv: nnx.Conv, x: jax.Array) -> jax.Array:
    """With bases in the order A, C, G, T the reverse complement is both axes turned round."""
    forward, reverse = jnp.split(conv(jnp.concatenate([x, x[:, ::-1, ::-1]])), 2)
    return jnp.concatenate([forward, reverse[:, ::-1, ::-1]], axis=2)


class DeePaCEncoder:
    """The second dense layer of reads of 250 bases."""

    promises = ("lower case",)

    def __init__(self, definition: Any, state: Any, info: EncoderInfo, *, overflow: str, where: str) -> None:
        self.info = info
        self._state, self._overflow, self._where = state, overflow, where

        @jax.jit
        def forward(state: Any, letters: jax.Array) -> tuple[jax.Array, jax.Array]:
            network = nnx.merge(definition, state)
            vectors = network(jnp.asarray(ONE_HOT)[letters])
            return vectors, jax.nn.sigmoid(network.score(vectors))

        self._forward = forward

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        """float32 ``(n, width)``. Raises EncoderError for a longer sequence under ``overflow=error``."""
        reads, rows = self._reads(sequences)
        vectors = self._run(reads, 0, self.info.width)
        if len(reads) == len(sequences):
            return vectors
        out = np.zeros((len(sequences), self.info.width), dtype=np.float32)
        np.add.at(out, rows, vectors)
        return out / np.maximum(np.bincount(rows, minlength=len(sequences)), 1).astype(np.float32)[:, None]

    def count_letters(self, sequences: Sequence[str]) -> Counts:
        """What of each sequence is not read: letters that are no base, and those past 250 where reads are cut."""
        return count_outside(sequences, ONE_HOT.any(axis=1), READ if self._overflow == "truncate" else None)

    def scores(self, reads: Sequence[str]) -> NumpyFloat:
        """The original's output ``(n,)`` for reads of at most 250 bases: is it from a virus that infects humans?"""
        return self._run([read[:READ] for read in reads], 1, 1)[:, 0]

    def _run(self, reads: Sequence[str], output: int, width: int) -> NumpyFloat:
        step = _ROWS.get(jax.default_backend(), _ROWS_ELSEWHERE)
        done: list[tuple[list[int], object]] = []
        for start in range(0, len(reads), step):
            part = reads[start : start + step]
            letters: NumpyInt = pad(part, step, READ)[0]
            done.append((list(range(start, start + len(part))), self._forward(self._state, letters)[output]))
        return gather(done, len(reads), width)

    def _reads(self, sequences: Sequence[str]) -> tuple[list[str], NumpyInt]:
        """The pieces of at most 250 bases, and the sequence of each."""
        pieces: list[str] = []
        rows: list[int] = []
        for row, sequence in enumerate(sequences):
            if len(sequence) > READ and self._overflow == "error":
                raise EncoderError(
                    f"sequence {row} has {len(sequence)} bases, and the network reads {READ}",
                    where=self._where,
                    cure="add overflow=truncate or overflow=windows",
                )
            starts = window_starts(len(sequence)) if self._overflow == "windows" else [0]
            pieces += [sequence[start : start + READ] for start in starts]
            rows += [row] * len(starts)
        return pieces, np.array(rows, dtype=np.int64)


def window_starts(length: int) -> list[int]:
    """As few reads as cover all bases, evenly spread, and the same ones on the other strand."""
    if length <= READ:
        return [0]
    gaps = -(-length // READ) - 1
    last = length - READ
    first_half = [last * i // gaps for i in range(gaps // 2 + 1)]
    mirrored = {*first_half, *(last - start for start in first_half)}
    return sorted(mirrored)


def load(spec: EncoderSpec, options: Mapping[str, object]) -> DeePaCEncoder:
    """The encoder of ``deepac[:FILE]``. Raises UsageError and EncoderError."""
    where = f"encoder {spec.text!r}"
    values = resolve_options(repr(spec.text), DEEPAC.options, options)
    if spec.subject:
        path = Path(spec.subject).expanduser()
    else:
        path = package_folder("deepacvir", where=where, cure=DEEPAC.needs or "") / _FILE
    digest = digest_file(path, where=where)
    with open_h5(path, where=where) as file:
        weights = _read(file, path, where=where)
    first, second = weights["conv1.kernel"].shape, weights["conv2.kernel"].shape
    dense = weights["dense1.kernel"].shape[-1], weights["dense2.kernel"].shape[-1]
    network = nnx.eval_shape(lambda: DeePaCNetwork((first[-1], second[-1]), (first[0], second[0]), dense))
    definition, state = nnx.split(network)
    flat = []
    for place, variable in nnx.to_flat_state(state):
        name = ".".join(map(str, place))
        if weights[name].shape != variable.shape:
            raise _odd(path, f"{name} is {weights[name].shape}, not {variable.shape}", where=where)
        flat.append((place, variable.replace(jnp.asarray(weights[name]))))
    overflow = str(values["overflow"])
    info = EncoderInfo(
        name=display_name("deepac" if not spec.subject else f"deepac:{path.stem}", DEEPAC.options, values),
        family="deepac",
        revision=digest,
        width=dense[1],
        settings={"rule": _RULE, "overflow": overflow, "read": READ, "dtype": "float32"},
    )
    return DeePaCEncoder(definition, nnx.from_flat_state(flat), info, overflow=overflow, where=where)


def _read(file: H5File, path: Path, *, where: str) -> dict[str, NumpyFloat]:
    names = [name for name in file.texts("layer_names") if not name.startswith("dropout")]
    if tuple(re.sub(r"(_\d+)+$", "", name) for name in names) != _LAYERS:
        raise _odd(path, "its layers are others", where=where)
    convs = [name for name in names if name.startswith("conv1d")]
    dense = [name for name in names if name.startswith("dense")]
    homes = dict(zip(("conv1", "conv2", "dense1", "dense2", "score"), (*convs, *dense), strict=True))
    weights = {f"{ours}.{part}": file.layer(name, part) for ours, name in homes.items() for part in ("kernel", "bias")}
    if weights["conv1.kernel"].ndim != 3 or weights["conv2.kernel"].ndim != 3:
        raise _odd(path, "its convolutions are not over positions", where=where)
    return weights


def _odd(path: Path, what: str, *, where: str) -> EncoderError:
    return EncoderError(
        f"the weights are not of DeePaC's reverse-complement CNN: {what}",
        where=f"{where}: {path}",
        cure="give nn-vhdb-rapid-cnn.h5 of the package deepacvir; its LSTM cannot be read here",
    )
