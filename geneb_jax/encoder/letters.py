"""Letters as numbers: lookup tables over bytes for DNA, RNA and IUPAC ambiguity codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt

BASES = "ACGT"

# NC-IUB 1984 ambiguity codes; U is read as T everywhere
IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "U": "T",
    "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip


def _code_table() -> NumpyInt:
    table = np.full(256, -1, dtype=np.int8)
    for letter, bases in IUPAC.items():
        if len(bases) == 1:
            table[ord(letter)] = table[ord(letter.lower())] = BASES.index(bases)
    return table


def _share_table() -> NumpyFloat:
    table = np.zeros((256, 4), dtype=np.float32)
    for letter, bases in IUPAC.items():
        row = [1 / len(bases) if base in bases else 0.0 for base in BASES]
        table[ord(letter)] = table[ord(letter.lower())] = row
    return table


CODE = _code_table()
"""(256,) int8: 0..3 for A, C, G, T (or U) in either case, -1 for every other byte."""

SHARE = _share_table()
"""(256, 4) float32: the share of A, C, G, T in each letter; N is a quarter of each, non-letters are zero."""


def to_bytes(sequence: str) -> NumpyInt:
    """The letters as uint8 ``(length,)``; a letter outside ASCII becomes ``?``."""
    return np.frombuffer(sequence.encode("ascii", "replace"), dtype=np.uint8)


def joined(sequences: Sequence[str]) -> tuple[NumpyInt, NumpyInt]:
    """All letters in one uint8 array with a zero byte behind each sequence, and the row of every byte."""
    letters = np.frombuffer(("\0".join(sequences) + "\0").encode("ascii", "replace"), dtype=np.uint8)
    lengths = np.fromiter((len(s) + 1 for s in sequences), dtype=np.int64, count=len(sequences))
    return letters, np.repeat(np.arange(len(sequences), dtype=np.int64), lengths)
