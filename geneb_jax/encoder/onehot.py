"""``onehot:LENGTH``: the letters themselves, four numbers for each of LENGTH positions.

The vector is position-major: A, C, G, T of the first position, then of the second. A longer sequence is
cropped, a shorter one is padded with zeros, both about the centre unless ``align`` says otherwise: in most
tasks the event (a splice site, a peak's summit) lies in the middle. Where the margin is odd, the extra
position lies on the right. U is read as T; an ambiguity letter is an equal share of its bases (N = 1/4
each) or, with ``ambiguous=zero``, all zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.encoder.counting import Counts, count_outside
from geneb_jax.encoder.info import EncoderInfo
from geneb_jax.encoder.kinds import ONEHOT
from geneb_jax.encoder.letters import SHARE, to_bytes
from geneb_jax.encoder.spec import EncoderSpec, display_name, number_subject, resolve_options

_RULE = "onehot-1"  # raise it when the rule above changes a vector
DEFAULT_LENGTH = 200
_WEIGHT_OF_MARGIN = {"left": 0.0, "center": 0.5, "right": 1.0}


class OneHotEncoder:
    """Flattened one-hot letters at a fixed number of positions; see the module's text."""

    promises = ("lower case",)
    thymine = "T"

    def __init__(self, length: int = DEFAULT_LENGTH, *, align: str = "center", ambiguous: str = "fraction") -> None:
        self._length = length
        self._share = _WEIGHT_OF_MARGIN[align]
        self._table = SHARE if ambiguous == "fraction" else np.where(SHARE == 1, SHARE, np.float32(0))
        self.info = EncoderInfo(
            name=display_name(f"onehot:{length}", ONEHOT.options, {"align": align, "ambiguous": ambiguous}),
            family="onehot",
            revision=_RULE,
            width=4 * length,
            settings={"length": length, "align": align, "ambiguous": ambiguous},
        )

    def encode(self, sequences: Sequence[str]) -> NumpyFloat:
        """float32 ``(n, 4 * length)``."""
        letters = np.zeros((len(sequences), self._length), dtype=np.uint8)
        for row, sequence in enumerate(sequences):
            margin = int(abs(self._length - len(sequence)) * self._share)
            if len(sequence) > self._length:
                letters[row] = to_bytes(sequence[margin : margin + self._length])
            else:
                letters[row, margin : margin + len(sequence)] = to_bytes(sequence)
        return self._table[letters].reshape(len(sequences), self.info.width)

    def count_letters(self, sequences: Sequence[str]) -> Counts:
        """What of each sequence is not read: letters whose numbers are all zero, and those past the positions."""
        return count_outside(sequences, self._table.any(axis=1), self._length)


def load(spec: EncoderSpec, options: Mapping[str, object]) -> OneHotEncoder:
    """The encoder of ``onehot[:LENGTH]``. Raises UsageError."""
    length = number_subject(spec, what="number of positions", low=1, high=100_000, default=DEFAULT_LENGTH)
    values = resolve_options(repr(spec.text), ONEHOT.options, options)
    return OneHotEncoder(length, align=str(values["align"]), ambiguous=str(values["ambiguous"]))
