"""``composition``: length and base composition, the least that an encoder must know more than.

22 columns: log10(1 + length); share of G and C; shares of A, C, G, T; shares of the 16 pairs of neighbours, in
alphabetical order. Shares are over the letters, or pairs, that are plain bases (U counts as T, lower case as upper
case); without any they are 0. The length counts every letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.counting import Counts
from geneb_jax.encoder.info import EncoderInfo
from geneb_jax.encoder.kinds import COMPOSITION
from geneb_jax.encoder.kmer import KmerEncoder
from geneb_jax.encoder.spec import EncoderSpec, resolve_options
from geneb_jax.errors import UsageError

_RULE = "composition-1"  # raise it when the rule above changes a vector


class CompositionEncoder:
    """Length and shares; see the module's text for the rule."""

    promises = ("lower case",)
    thymine = "T"

    def __init__(self) -> None:
        self._letters, self._pairs = KmerEncoder(1), KmerEncoder(2)
        self.columns = ("log10(1 + length)", "G or C", *self._letters.words, *self._pairs.words)
        self.info = EncoderInfo(
            name="composition", family="composition", revision=_RULE, width=len(self.columns), settings={}
        )

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        """float32 ``(n, 22)``."""
        lengths = np.fromiter(map(len, sequences), dtype=np.float32, count=len(sequences))
        letters = self._letters.encode(sequences)
        gc = letters[:, 1] + letters[:, 2]
        return np.column_stack([np.log10(1 + lengths), gc, letters, self._pairs.encode(sequences)])

    def count_letters(self, sequences: Sequence[str]) -> Counts:
        """What of each sequence is not read: letters that are no base."""
        return self._letters.count_letters(sequences)


def load(spec: EncoderSpec, options: Mapping[str, object]) -> CompositionEncoder:
    """The encoder of ``composition``. Raises UsageError."""
    resolve_options(repr(spec.text), COMPOSITION.options, options)
    if spec.subject is not None:
        raise UsageError("composition takes nothing behind a colon", where=f"encoder {spec.text!r}")
    return CompositionEncoder()
