"""``kmer:K``: how often each word of K letters occurs in a sequence.

Columns are the words in alphabetical order over A, C, G, T; with ``canonical=true`` only the words that
come no later than their reverse complement, each counting both. Lower case counts as upper case and U as
T. A word that holds any other letter (N, ambiguity codes, gaps) is skipped. Frequencies are counts over
the number of words counted, so they sum to 1; a sequence without a single word (shorter than K, or
interrupted too often) is a row of zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.encoder.counting import Counts, count_outside
from geneb_jax.encoder.info import EncoderInfo
from geneb_jax.encoder.kinds import KMER
from geneb_jax.encoder.letters import BASES, CODE, joined
from geneb_jax.encoder.spec import EncoderSpec, display_name, number_subject, resolve_options

_RULE = "kmer-1"  # raise it when the rule above changes a vector
_BLOCK_BYTES = 8 << 20  # output rows handled at once: near the cache, and bounds the temporaries


class KmerEncoder:
    """Word frequencies or counts; see the module's text for the rule."""

    thymine = "T"

    def __init__(self, k: int, *, counts: bool = False, canonical: bool = False) -> None:
        self._k = k
        self._counts = counts
        self._column, width = _columns(k, canonical=canonical)
        self.promises = ("lower case", "strand") if canonical else ("lower case",)
        self.info = EncoderInfo(
            name=display_name(f"kmer:{k}", KMER.options, {"counts": counts, "canonical": canonical}),
            family="kmer",
            revision=_RULE,
            width=width,
            settings={"k": k, "counts": counts, "canonical": canonical},
        )

    @property
    def words(self) -> list[str]:
        """The word of every column."""
        codes = np.full(self.info.width, 4**self._k, dtype=np.int64)
        np.minimum.at(codes, self._column, np.arange(4**self._k))
        return [_word(int(code), self._k) for code in codes]

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        """float32 ``(n, width)``."""
        out = np.zeros((len(sequences), self.info.width), dtype=np.float32)
        step = max(1, _BLOCK_BYTES // (4 * self.info.width))
        for start in range(0, len(sequences), step):
            self._fill(sequences[start : start + step], out[start : start + step])
        return out

    def count_letters(self, sequences: Sequence[str]) -> Counts:
        """What of each sequence is not read: letters that are no base, and sequences shorter than a word."""
        counts = count_outside(sequences, CODE >= 0)
        short = np.array([len(sequence) < self._k for sequence in sequences], bool)
        counts.dropped[short] = [len(s) for s, is_short in zip(sequences, short, strict=True) if is_short]
        counts.unknown[short] = 0
        return counts

    def _fill(self, sequences: Sequence[str], out: NumpyFloat) -> None:
        letters, rows = joined(sequences)
        codes = CODE[letters]
        num = len(codes) - self._k + 1
        if num < 1:
            return
        index = np.zeros(num, dtype=np.int32)
        valid = np.ones(num, dtype=bool)
        for offset in range(self._k):
            code = codes[offset : offset + num]
            index <<= 2
            index |= code & 3
            valid &= code >= 0
        # the zero byte behind each sequence is no base, so no valid word spans two rows
        found = np.flatnonzero(valid)
        rows = rows[found]
        cells = rows * out.shape[1] + self._column[index[found]]
        flat = out.reshape(-1)
        np.add.at(flat, cells, np.float32(1))
        if not self._counts:
            # only the cells that hold anything: a row of 4,096 columns has some hundred of them
            totals = np.bincount(rows, minlength=len(out)).astype(np.float32)
            flat[cells] = flat[cells] / totals[rows]


def _columns(k: int, *, canonical: bool) -> tuple[NumpyInt, int]:
    """The column of each of the 4^k words, and the number of columns."""
    codes = np.arange(4**k, dtype=np.int64)
    if not canonical:
        return codes, 4**k
    reverse, rest = np.zeros_like(codes), codes.copy()
    for _ in range(k):
        reverse = reverse * 4 + (3 - rest % 4)  # A C G T = 0 1 2 3: the complement of c is 3 - c
        rest //= 4
    _, column = np.unique(np.minimum(codes, reverse), return_inverse=True)
    return column.astype(np.int64), int(column.max()) + 1


def _word(code: int, k: int) -> str:
    return "".join(BASES[(code >> (2 * (k - 1 - i))) & 3] for i in range(k))


def load(spec: EncoderSpec, options: Mapping[str, object]) -> KmerEncoder:
    """The encoder of ``kmer:K``. Raises UsageError."""
    k = number_subject(spec, what="word length", low=1, high=8)
    values = resolve_options(repr(spec.text), KMER.options, options)
    return KmerEncoder(k, counts=bool(values["counts"]), canonical=bool(values["canonical"]))
