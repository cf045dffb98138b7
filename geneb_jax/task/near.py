"""Near-duplicates: sequences of which one holds most of the other, on either strand.

The rule. A sequence's words are its distinct runs of `WORD` = 12 plain letters, a word and its reverse complement
counting as one. A sequence is *nearly contained* in another when at least `SHARE` = 80 % of its words are also words of
the other. So a shifted window, a piece of a longer sequence and the opposite strand are found; a change of one letter
costs up to 12 words, so two sequences of 100 letters may differ in one place, and two of 1,000 in about sixteen. A
sequence with fewer than `FEWEST` words (too short, or a repeat) is only compared as a whole.

How it is found. Of a sequence's words, sorted by how few of the others hold them, any one that nearly contains it must
hold some among the first fifth (prefix filtering: Chaudhuri, Ganti & Kaushik 2006; Bayardo, Ma & Srikant 2007). So
only rare words are looked up, and every pair found is counted in full. The answer is exact, but for two limits that
only matter where nearly everything resembles everything: a word held by more than `MOST_HOLDERS` sequences is looked up
in that many of them (the same ones for all words), and of one sequence `MOST_TRIES` pairs are counted. Of data with
more than `MOST_WORDS` words in all, an even share of the words is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geneb_jax.task.letters import reverse_complement

WORD: Final = 12
SHARE: Final = 0.8
FEWEST: Final = 10
MOST_HOLDERS: Final = 200
MOST_TRIES: Final = 64
MOST_WORDS: Final = 60_000_000

_HITS: Final = 4  # shared words asked of the prefix, which is longer by as many: fewer pairs to count
_BLOCK_LETTERS: Final = 4_000_000
_BLOCK_HITS: Final = 8_000_000

_CODE: Final = np.full(256, -1, dtype=np.int8)
_CODE[list(b"ACGTU")] = (0, 1, 2, 3, 3)

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Leaks:
    """Which test rows (m,) also stand in train, each under the first that applies.

    `exact`: the very sequence; `opposite`: its reverse complement; `near`: it is nearly contained in one of train.
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
    seen = set(train)
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


def containing(queries: Sequence[str], targets: Sequence[str], *, share: float = SHARE) -> Ints:
    """Of every query the number of a target that it is nearly contained in, or -1."""
    found = np.full(len(queries), -1, dtype=np.int64)
    every = _every([queries, targets])
    search = _Search(_words(queries, every), _words(targets, every), share)
    for first, second in search.rounds():
        open_ = found[first] < 0
        first, second = first[open_], second[open_]
        good = search.contained(first, second)
        found[first[good]] = second[good]
    return found


def near_components(sequences: Sequence[str], *, share: float = SHARE) -> Ints:
    """Number of every sequence's component, where sequences are joined when one is nearly contained in the other."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(sequences)
    words = _words(sequences, _every([sequences]))
    search = _Search(words, words, share, same=True)
    component = np.arange(n, dtype=np.int64)
    for first, second in search.rounds():
        apart = component[first] != component[second]
        first, second = first[apart], second[apart]
        good = search.contained(first, second)
        first, second = component[first[good]], component[second[good]]
        graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(n, n))
        component = connected_components(graph, directed=False)[1].astype(np.int64)[component]
    return component


class _Search:
    """Which sequences of one list may be nearly contained in which of another, and which are."""

    def __init__(self, queries: _Words, targets: _Words, share: float, *, same: bool = False) -> None:
        # columns are the words that some target holds
        held = np.zeros(4**WORD, dtype=bool)
        held[targets.words] = True
        column = np.cumsum(held, dtype=np.int32) - 1
        num = int(column[-1]) + 1
        self._targets = _table(targets, column, held, num)
        self._queries = self._targets if same else _table(queries, column, held, num)
        self._same = same
        sizes = np.diff(queries.indptr)
        self._needed = np.ceil(share * sizes - 1e-9).astype(np.int64)
        # in a random order that is the same for all words, so that the first holders of several words coincide
        order = np.random.Generator(np.random.SFC64(0)).permutation(self._targets.shape[0])
        self._original = order
        by_word = self._targets[order].T.tocsr()
        by_word.sort_indices()
        self._holders = np.diff(by_word.indptr)
        self._by_word = _capped(by_word, MOST_HOLDERS)
        self._enough = sizes >= FEWEST

    def rounds(self) -> Iterator[tuple[Ints, Ints]]:
        """Pairs to be counted, the likeliest of every query first; each query stands in a round at most once."""
        parts = [part for block in self._blocks() for part in [self._candidates(block)] if len(part[0])]
        if not parts:
            return
        first, second, place = (np.concatenate(column) for column in zip(*parts, strict=True))
        for turn in range(int(place.max()) + 1):
            now = place == turn
            yield first[now], second[now]

    def contained(self, first: Ints, second: Ints) -> Mask:
        """Whether each query shares as many words with the target as it needs to."""
        good = np.zeros(len(first), dtype=bool)
        for start in range(0, len(first), 20_000):
            part = slice(start, start + 20_000)
            both = self._queries[first[part]].multiply(self._targets[second[part]])
            good[part] = np.asarray(both.sum(axis=1)).ravel() >= self._needed[first[part]]
        return good

    def _blocks(self) -> Iterator[Any]:
        """Prefixes of the queries, as (query numbers, CSR of their rarest words), a part of them at a time."""
        indptr, words = self._queries.indptr.astype(np.int64), self._queries.indices
        sizes = np.diff(indptr)
        rows = np.repeat(np.arange(len(sizes)), sizes)
        holders = self._holders[words] - self._same  # a sequence holds its own words
        held = np.bincount(rows, weights=holders > 0, minlength=len(sizes))
        # how many of the rarest words may all be missing from a target: those that nobody else holds are not listed
        spare = held - self._needed
        asked = self._enough & (spare >= 0)
        order = np.lexsort((holders, rows))
        rank = np.arange(len(rows)) - indptr[rows] - (sizes - held)[rows]
        hits = np.minimum(_HITS, self._needed)
        keep = (rank >= 0) & (rank < (spare + hits)[rows]) & asked[rows]
        rows, words = rows[keep], words[order][keep]
        cost = np.cumsum(np.minimum(self._holders[words], MOST_HOLDERS), dtype=np.int64)
        start = 0
        while start < len(rows):
            room = (cost[start - 1] if start else 0) + _BLOCK_HITS
            stop = int(np.searchsorted(cost, room, side="right"))
            # a query is never cut in two
            stop = max(int(np.searchsorted(rows, rows[min(stop, len(rows) - 1)])) if stop < len(rows) else len(rows),
                       int(np.searchsorted(rows, rows[start], side="right")))  # fmt: skip
            yield rows[start:stop], words[start:stop], hits
            start = stop

    def _candidates(self, block: tuple[Ints, Ints, Ints]) -> tuple[Ints, Ints, Ints]:
        """(query, target, place among the query's candidates) of pairs that share enough words of the prefix."""
        from scipy.sparse import csr_array

        rows, words, hits = block
        names, places = np.unique(rows, return_inverse=True)
        prefix = csr_array(
            (np.ones(len(rows), np.int32), (places, words)), shape=(len(names), self._by_word.shape[0])
        )  # fmt: skip
        shared = (prefix @ self._by_word).tocoo()
        first, second, count = names[shared.row], self._original[shared.col], shared.data
        keep = count >= hits[first]
        if self._same:
            keep &= first != second
        first, second, count = first[keep], second[keep], count[keep]
        order = np.lexsort((second, -count, first))
        first, second = first[order], second[order]
        place = np.arange(len(first)) - np.searchsorted(first, first)
        keep = place < MOST_TRIES
        return first[keep], second[keep], place[keep]


def _capped(by_word: Any, most: int) -> Any:
    """The table with the first `most` entries of every row."""
    from scipy.sparse import csr_array

    sizes = np.diff(by_word.indptr)
    if sizes.max(initial=0) <= most:
        return by_word
    rank = np.arange(len(by_word.indices)) - np.repeat(by_word.indptr[:-1], sizes)
    keep = rank < most
    indptr = np.concatenate([[0], np.cumsum(np.minimum(sizes, most))])
    return csr_array((by_word.data[keep], by_word.indices[keep], indptr), shape=by_word.shape)


def _every(parts: Sequence[Sequence[str]]) -> int:
    """Of how many words one is looked at, so that memory suffices."""
    return 1 + sum(map(len, (s for part in parts for s in part))) // MOST_WORDS


@dataclass(frozen=True)
class _Words:
    """The distinct words of sequences, one behind the other, sorted; those of sequence i begin at ``indptr[i]``."""

    indptr: Ints
    words: NDArray[np.int32]


def _table(words: _Words, column: NDArray[np.int32], held: Mask, num: int) -> Any:
    """CSR (n, num) with a 1 for every word that is held by some target."""
    from scipy.sparse import csr_array

    known = held[words.words]
    indptr = np.concatenate([[0], np.cumsum(known)])[words.indptr]
    indices = column[words.words[known]]
    return csr_array((np.ones(len(indices), np.int32), indices, indptr), shape=(len(indptr) - 1, num))


def _words(sequences: Sequence[str], every: int) -> _Words:
    counts = np.zeros(len(sequences), dtype=np.int64)
    found: list[NDArray[np.int32]] = []
    start = 0
    while start < len(sequences):
        stop, letters = start, 0
        while stop < len(sequences) and (stop == start or letters < _BLOCK_LETTERS):
            letters += len(sequences[stop])
            stop += 1
        rows, words = _distinct_words(sequences[start:stop], every)
        counts[start:stop] = np.bincount(rows, minlength=stop - start)
        found.append(words)
        start = stop
    indices = np.concatenate(found) if found else np.empty(0, np.int32)
    return _Words(np.concatenate([[0], np.cumsum(counts)]), indices)


def _distinct_words(sequences: Sequence[str], every: int) -> tuple[Ints, NDArray[np.int32]]:
    """(row, word) of every distinct word, sorted."""
    text = "\0".join(sequences) + "\0"
    codes = _CODE[np.frombuffer(text.encode("ascii"), dtype=np.uint8)]
    num = len(codes) - WORD + 1
    if num < 1:
        return np.empty(0, np.int64), np.empty(0, np.int32)
    forward, backward = np.zeros(num, np.int32), np.zeros(num, np.int32)
    valid = np.ones(num, dtype=bool)
    for offset in range(WORD):
        code = codes[offset : offset + num]
        forward = forward << 2 | (code & 3)
        backward |= (3 - (code & 3)).astype(np.int32) << (2 * offset)
        valid &= code >= 0
    word = np.minimum(forward, backward).astype(np.int64)
    if every > 1:
        valid &= (word * 0x9E3779B1 % 2**32) % every == 0
    lengths = np.fromiter((len(s) + 1 for s in sequences), dtype=np.int64, count=len(sequences))
    rows = np.repeat(np.arange(len(sequences)), lengths)[:num]
    keys = rows[valid] << 2 * WORD | word[valid]
    keys.sort()  # np.unique hashes first, which takes five times as long
    keys = keys[np.diff(keys, prepend=-1) != 0]
    return keys >> 2 * WORD, (keys & (4**WORD - 1)).astype(np.int32)
