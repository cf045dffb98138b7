"""Sequences of any lengths through a compiled network: one shape, and so one program, per length bucket.

Every call of the network has the shape of its bucket, whatever the number of sequences: a sequence meets the
same program alone and in a crowd, and mixed lengths compile as many programs as there are buckets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.backend import devices
from geneb_jax.encoder.letters import to_bytes

_SHORTEST_BUCKET = 64


def bucket_length(length: int) -> int:
    """The padded length: the next of 64, 96, 128, 192, 256, 384, ... so that at most a third is padding."""
    bucket = _SHORTEST_BUCKET
    while bucket < length:
        if bucket * 3 // 2 >= length:
            return bucket * 3 // 2
        bucket *= 2
    return bucket


def run_buckets(
    sequences: Sequence[str],
    forward: Callable[[NumpyInt, NumpyInt], object],
    rows_per_call: Callable[[int], int],
) -> list[tuple[list[int], object]]:
    """What ``forward(letters, lengths)`` gives for each batch, with the rows that its first results belong to.

    ``letters`` uint8 ``(rows_per_call(bucket), bucket)`` hold zero bytes behind each sequence; ``lengths`` int32.
    Results are as ``forward`` gave them, so that device work is queued and not waited for.
    """
    devices()
    buckets: dict[int, list[int]] = {}
    for row, sequence in enumerate(sequences):
        buckets.setdefault(bucket_length(len(sequence)), []).append(row)
    done: list[tuple[list[int], object]] = []
    for length, members in sorted(buckets.items(), reverse=True):
        step = max(1, rows_per_call(length))
        for start in range(0, len(members), step):
            rows = members[start : start + step]
            done.append((rows, forward(*pad([sequences[row] for row in rows], step, length))))
    return done


def pad(sequences: Sequence[str], rows: int, length: int) -> tuple[NumpyInt, NumpyInt]:
    """The letters as uint8 ``(rows, length)`` with zero bytes behind each sequence, and the lengths, int32."""
    letters = np.zeros((rows, length), dtype=np.uint8)
    lengths = np.zeros(rows, dtype=np.int32)
    for i, sequence in enumerate(sequences):
        lengths[i] = len(sequence)
        letters[i, : lengths[i]] = to_bytes(sequence)
    return letters, lengths


def gather(done: Sequence[tuple[list[int], object]], num_rows: int, width: int) -> NumpyFloat:
    """The results of `run_buckets` as float32 ``(num_rows, width)``, rows in the order of the sequences."""
    out = np.zeros((num_rows, width), dtype=np.float32)
    for rows, result in done:
        out[rows] = np.asarray(result)[: len(rows)]
    return out


_ONE_HOT = np.zeros((256, 4), dtype=np.float32)
for _column, _letters in enumerate(("Aa", "Cc", "Gg", "TtUu")):
    for _letter in _letters:
        _ONE_HOT[ord(_letter), _column] = 1

ONE_HOT = _ONE_HOT
"""(256, 4) float32: A, C, G, T (or U) in either case; N, every other letter and the padding are all zero."""
