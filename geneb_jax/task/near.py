"""Near-duplicates: sequences of which one is, nearly letter by letter, a part of the other, on either strand.

The rule. A sequence is *nearly contained* in another when at least four fifths of it (`COVERED`) align inside the other
with at most one edit (a letter changed, inserted or removed) for every ten letters (`IDENTITY`; the longer of the two
aligned parts is counted): the whole sequence, or its first, middle or last four fifths. So changed copies, shifted
windows, pieces of longer sequences and the opposite strand are found. Letters other than A, C, G and T (U is T) match
nothing and count for nothing. Sequences with fewer than `SHORTEST` = 36 plain letters are only compared as a whole.
Identity and coverage are meant as in MMseqs2 (Steinegger & Söding 2017: --min-seq-id 0.9 -c 0.8), with edlib's banded
alignment (Šošić & Šikić 2017) as the judge.

How it is found. Only pairs that share a word and agree beside it are aligned (`geneb_jax.task.seeds`), so every pair
found obeys the rule; of copies at 90 % identity more than 95 % are found (docs/controls.md has the measured shares). Of
one sequence at most `MOST_TRIES` pairs are aligned in a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from geneb_jax.alphabet import as_dna
from geneb_jax.task.letters import reverse_complement
from geneb_jax.task.seeds import SHORTEST, Candidates, Ints, Mask, Openness, candidates

IDENTITY: Final = 0.9
COVERED: Final = 0.8
MOST_TRIES: Final = 64

# letters that are not plain must not match one another either: each side writes them its own way
_QUERY: Final = str.maketrans(dict.fromkeys("RYSWKMBDHVN", "x") | {"U": "T"})
_TARGET: Final = str.maketrans(dict.fromkeys("RYSWKMBDHVN", "y") | {"U": "T"})


@dataclass(frozen=True)
class Leaks:
    """Which test rows (m,) also stand in train, each under the first that applies.

    `exact`: the very sequence, U being T; `opposite`: its reverse complement; `near`: it is nearly contained in one
    of train.
    """

    exact: Mask
    opposite: Mask
    near: Mask

    @property
    def any(self) -> Mask:
        """Rows that leak in any way."""
        found: Mask = self.exact | self.opposite | self.near
        return found


def leaked_rows(train: Sequence[str], test: Sequence[str], *, near: bool = True) -> Leaks:
    """Which rows of `test` leak from `train`; without `near` only whole sequences are compared."""
    seen = set(map(as_dna, train))
    test = list(map(as_dna, test))
    kinds: dict[str, int] = {}
    for sequence in test:
        if sequence not in kinds:
            kinds[sequence] = 1 if sequence in seen else 2 if reverse_complement(sequence) in seen else 0
    if near:
        queries = [sequence for sequence, kind in kinds.items() if kind == 0]
        for sequence, holder in zip(queries, containing(queries, list(seen)).tolist(), strict=True):
            if holder >= 0:
                kinds[sequence] = 3
    rows = np.fromiter((kinds[sequence] for sequence in test), dtype=np.int8, count=len(test))
    return Leaks(rows == 1, rows == 2, rows == 3)


def containing(queries: Sequence[str], targets: Sequence[str]) -> Ints:
    """Of every query the number of a target that it is nearly contained in, or -1."""
    found = np.full(len(queries), -1, dtype=np.int64)

    class Unfound(Openness):
        def __call__(self, query: Ints, target: Ints) -> Mask:
            return np.asarray(found[query] < 0)

    for query, target in _aligned(queries, targets, Unfound()):
        found[query] = target
    return found


def contained_in_groups(queries: Sequence[str], targets: Sequence[str], groups: Ints, own: Ints | None = None) -> Mask:
    """Whether each query (n,) is nearly contained in some target of each group (n, g).

    `groups` (m,) numbers the targets' groups from 0; a query's `own` group (n,), if given, is left out.
    """
    found = np.zeros((len(queries), int(groups.max(initial=-1)) + 1), dtype=bool)
    if own is not None:
        found[np.arange(len(queries)), own] = True

    class Unfound(Openness):
        def __call__(self, query: Ints, target: Ints) -> Mask:
            return np.asarray(~found[query, groups[target]])

    for query, target in _aligned(queries, targets, Unfound()):
        found[query, groups[target]] = True
    if own is not None:
        found[np.arange(len(queries)), own] = False
    return found


def near_components(sequences: Sequence[str]) -> Ints:
    """Number of every sequence's component, where sequences are joined when one is nearly contained in the other."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(sequences)
    component = np.arange(n, dtype=np.int64)

    class Apart(Openness):
        def __call__(self, query: Ints, target: Ints) -> Mask:
            return np.asarray(component[query] != component[target])

    for first, second in _aligned(sequences, sequences, Apart()):
        graph = coo_array((np.ones(len(first), np.int8), (component[first], component[second])), shape=(n, n))
        component = connected_components(graph, directed=False)[1].astype(np.int64)[component]
    return component


def nearly_contained(query: str, target: str, *, diagonal: int | None = None) -> bool:
    """Whether a query is nearly contained in a target, by the rule, on this strand alone.

    With a `diagonal` (where in the target the query would begin) only the target's letters around it are looked at.
    """
    return _Query(query).within(target.translate(_TARGET), diagonal)


class _Piece:
    """A part of a query, and how many edits it may need."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.other = text.count("x")  # these never match: each costs an edit, which does not count
        self.most = self.allowed(len(text))

    def allowed(self, length: int) -> int:
        """The most edits where the longer of the aligned parts has `length` letters."""
        return self.other + int((length - self.other) * (1 - IDENTITY) + 1e-9)

    def within(self, target: str) -> bool:
        """Whether it aligns inside the target."""
        import edlib

        # with all edits letters that the query lacks, the target's part is the longer one, by as many
        loose = self.other + int((len(self.text) - self.other) * (1 / IDENTITY - 1) + 1e-9)
        distance = edlib.align(self.text, target, mode="HW", task="distance", k=loose)["editDistance"]
        if distance <= self.most:
            return bool(distance >= 0)
        places = edlib.align(self.text, target, mode="HW", task="locations", k=loose)["locations"]
        return any(distance <= self.allowed(end + 1 - start) for start, end in places)


class _Query:
    """A sequence as a query: the whole and its pieces."""

    def __init__(self, sequence: str) -> None:
        text = sequence.translate(_QUERY)
        self.length = n = len(text)
        part = -(-int(n * 10 * COVERED) // 10)
        starts = () if part == n else (0, (n - part) // 2, n - part)
        self.pieces = [_Piece(text), *(_Piece(text[start : start + part]) for start in starts)]
        # where a piece is within its limit, the rest of the whole is edits at worst
        self.hopeless = max(piece.allowed(2 * n) + n - len(piece.text) for piece in self.pieces)
        self.enough = n - text.count("x") >= SHORTEST

    def within(self, target: str, diagonal: int | None) -> bool:
        """Whether the whole or a piece stands in the target, whose other letters are written as targets'."""
        import edlib

        if not self.enough:
            return False
        if diagonal is not None:
            room = self.length // 3
            target = target[max(diagonal - room, 0) : max(diagonal + self.length + room, 0)]
        if not target:
            return False
        whole = edlib.align(self.pieces[0].text, target, mode="HW", task="distance", k=self.hopeless)["editDistance"]
        return whole >= 0 and any(piece.within(target) for piece in self.pieces)


class _Judge:
    """Aligns candidate pairs of two lists."""

    def __init__(self, queries: Sequence[str], targets: Sequence[str]) -> None:
        self._queries, self._given = queries, targets

    @cached_property
    def _targets(self) -> list[str]:
        return [sequence.translate(_TARGET) for sequence in self._given]

    def good(self, pairs: Candidates) -> Mask:
        """Whether each query, turned where it says so, is nearly contained in its target."""
        judged = np.zeros(len(pairs.query), dtype=bool)
        last, asked = (-1, False), None
        for i, (query, target, turned, diagonal) in enumerate(zip(*(c.tolist() for c in pairs), strict=True)):
            if asked is None or (query, turned) != last:
                sequence = self._queries[query]
                asked, last = _Query(reverse_complement(sequence) if turned else sequence), (query, turned)
            judged[i] = asked.within(self._targets[target], diagonal)
        return judged


def _aligned(queries: Sequence[str], targets: Sequence[str], open_: Openness) -> Iterator[tuple[Ints, Ints]]:
    """Pairs that obey the rule; what the caller does with a batch may close pairs of the next."""
    judge = _Judge(queries, targets)
    for batch in candidates(queries, targets, open_):
        place = np.arange(len(batch.query)) - np.searchsorted(batch.query, batch.query)
        for turn in range(min(int(place.max()) + 1, MOST_TRIES)):
            now = np.flatnonzero(place == turn)
            now = now[open_(batch.query[now], batch.target[now])]
            pairs = batch.only(now)
            good = judge.good(pairs)
            if good.any():
                yield pairs.query[good], pairs.target[good]
