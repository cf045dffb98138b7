"""Groups of test rows that are not independent of one another, for the cluster bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geneb_jax.alphabet import as_dna
from geneb_jax.task.letters import reverse_complement
from geneb_jax.task.near import near_components


def duplicate_groups(sequences: Sequence[str], *, near: bool = False) -> NDArray[np.int64]:
    """The group (m,) of every row, numbered from 0 in the order of first rows.

    Rows of one group have the same sequence, U being T. With `near`, opposite strands are one sequence, and groups are
    connected through near-duplicates (`geneb_jax.task.near`): rows at the two ends of a chain may differ by more.
    """
    sequences = list(map(as_dna, sequences))
    if near:
        names = [min(s, reverse_complement(s)) for s in sequences]
        distinct = list(dict.fromkeys(names))
        component = dict(zip(distinct, near_components(distinct).tolist(), strict=True))
        keys: Sequence[str | int] = [component[name] for name in names]
    else:
        keys = sequences
    numbers: dict[str | int, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
