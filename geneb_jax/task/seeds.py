"""Which sequences may be copies of one another: pairs that share a word and agree beside it, on either strand.

A word is a run of plain letters that both sequences have; how long it is and how many of a sequence's words are looked
up depends on the length of the sequence asked about (`plan_of`), so that a copy of which every tenth letter was changed
still shares some. Words are looked up in an index of the targets, which is made a block of letters at a time. Of a pair
that shares a word, the letters beside it must agree well enough (`_alike`), which of unrelated pairs hardly one in a
hundred does. What is left is for an alignment to judge (`geneb_jax.task.near`).

A sequence's words are looked up in two rounds: a glance at a few of them, which settles data where nearly everything
resembles everything, and then all of them, the rarest first, until `MOST_HITS` places were looked at. That limit, and
that of a word's `MOST_HOLDERS` places, only matter where very many sequences share very many words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geneb_jax.task.letters import reverse_complement

SHORTEST: Final = 36
"""Sequences with fewer letters are not searched for: their words are everywhere."""
MOST_HOLDERS: Final = 200
MOST_HITS: Final = 4096
BLOCK_LETTERS: Final = 16_000_000
"""Letters of the targets that are indexed at a time: about 400 MB."""

_CHUNK_LETTERS: Final = 500_000
_CHUNK_HITS: Final = 4_000_000
_FLANK: Final = 16
_GLANCED_WORDS: Final = 8
_GLANCED_HOLDERS: Final = 8
_SLOT_BITS: Final = 24
_OTHER: Final = 4

_CODE: Final = np.full(256, _OTHER, dtype=np.uint8)
_CODE[list(b"ACGTU")] = (0, 1, 2, 3, 3)

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Plan(NamedTuple):
    """Length of the words of a sequence, and of how many of them one is looked up (the same words in all sequences)."""

    word: int
    every: int


def plan_of(length: int) -> Plan:
    """The plan for a sequence of `length` letters.

    Of a copy with every tenth letter changed at random, a word of k letters survives with probability 0.9^k: at 40
    letters one of 10 does in 99 % of the copies, from 128 on several of 12 do; long sequences afford long, rare words.
    """
    for most, plan in ((72, Plan(10, 1)), (128, Plan(11, 1)), (256, Plan(12, 2)), (512, Plan(14, 2))):
        if length < most:
            return plan
    return Plan(16, 1 << (length.bit_length() - 8))


class Candidates(NamedTuple):
    """Pairs to be aligned, those that share most words first among the pairs of a query.

    `query` and `target` are numbers of sequences, `turned` says that the query's reverse complement is meant, and
    `diagonal` is the place in the target where the query's first letter would stand.
    """

    query: Ints
    target: Ints
    turned: Mask
    diagonal: Ints

    def only(self, places: Ints) -> Candidates:
        """The pairs at these places."""
        return Candidates(self.query[places], self.target[places], self.turned[places], self.diagonal[places])


def candidates(queries: Sequence[str], targets: Sequence[str], open_: Openness) -> Iterator[Candidates]:
    """Batches of pairs to be aligned; `open_` is asked, batch by batch, which pairs are still worth it."""
    plans = [plan_of(len(sequence)) for sequence in queries]
    for start, stop in _blocks(targets, BLOCK_LETTERS):
        text = _Text.of(targets[start:stop])
        for plan in sorted(set(plans)):
            of_plan = [i for i, other in enumerate(plans) if other == plan and len(queries[i]) >= SHORTEST]
            if not of_plan:
                continue
            index = _Index(text, plan)
            for first, last in _blocks([queries[i] for i in of_plan], _CHUNK_LETTERS):
                numbers = np.array(of_plan[first:last])
                own = [queries[i] for i in numbers]
                both = _Text.of([*own, *map(reverse_complement, own)])
                chunk = _Chunk(both, numbers, index, start)
                for turn in (chunk.glance, chunk.all):
                    for found in turn(open_):
                        if len(found.query):
                            yield found


class Openness:
    """Which (query, target) pairs are still worth looking at. Override `__call__`."""

    def __call__(self, query: Ints, target: Ints) -> Mask:
        """A mask over the pairs."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Text:
    """Sequences one behind the other: where each begins and ends, and the 16 letters from every place on."""

    starts: Ints
    ends: Ints
    owner: NDArray[np.int32]
    packed: NDArray[np.uint32]
    """The 16 letters from every place on, two bits each, the first letter on top."""
    broken: NDArray[np.int32]
    """How many letters before every place are not plain."""

    @classmethod
    def of(cls, sequences: Sequence[str]) -> _Text:
        """Lay out sequences with a gap behind each."""
        gap = "\0"
        raw = np.frombuffer((gap * _FLANK + gap.join(sequences) + gap * (2 * _FLANK)).encode("ascii"), dtype=np.uint8)
        codes = _CODE[raw]
        lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
        starts = _FLANK + np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])
        owner = np.zeros(len(codes), dtype=np.int32)
        owner[starts[1:]] = 1
        packed = (codes & 3).astype(np.uint32)
        for step in (1, 2, 4, 8):
            packed[:-step] = packed[:-step] << np.uint32(2 * step) | packed[step:]
        broken = np.zeros(len(codes) + 1, dtype=np.int32)
        np.cumsum(codes == _OTHER, out=broken[1:])
        return cls(starts, starts + lengths, np.cumsum(owner, dtype=np.int32), packed, broken)

    def words(self, plan: Plan) -> tuple[Ints, Ints]:
        """(place, slot) of the words that are looked up; equal words have equal slots, different ones mostly not."""
        k = plan.word
        whole = self.broken[k:] == self.broken[:-k]
        place = np.flatnonzero(whole)
        word = self.packed[place] >> np.uint32(2 * (16 - k))
        mixed = word * np.uint32(0x9E3779B1)
        mixed ^= mixed >> np.uint32(15)
        mixed *= np.uint32(0x85EBCA77)
        if plan.every > 1:
            chosen = (mixed & np.uint32(plan.every - 1)) == 0
            place, word, mixed = place[chosen], word[chosen], mixed[chosen]
        return place, (mixed >> np.uint32(32 - _SLOT_BITS)).astype(np.int64)


class _Index:
    """Where in a text every word stands."""

    def __init__(self, text: _Text, plan: Plan) -> None:
        self.text, self.plan = text, plan
        place, slot = text.words(plan)
        # about one slot for every word: fewer would mix words up, more would take time to fill
        self._spare = _SLOT_BITS - min(_SLOT_BITS, max(len(place), 256).bit_length() + 1)
        keys = slot << 32 | place
        keys.sort()
        self.places = (keys & 0xFFFFFFFF).astype(np.int32)
        self._indptr = np.zeros((1 << (_SLOT_BITS - self._spare)) + 1, dtype=np.int32)
        np.cumsum(np.bincount(slot >> self._spare, minlength=len(self._indptr) - 1), out=self._indptr[1:])

    def holders(self, slot: Ints) -> tuple[Ints, Ints]:
        """(first, number) of the places of each slot's words."""
        slot = slot >> self._spare
        first = self._indptr[slot].astype(np.int64)
        return first, self._indptr[slot + 1] - first


class _Chunk:
    """Some queries against one index. Rows are strands: first all queries as they are, then all turned."""

    def __init__(self, text: _Text, numbers: Ints, index: _Index, offset: int) -> None:
        self.text, self.numbers, self.index, self.offset = text, numbers, index, offset
        place, slot = text.words(index.plan)
        first, held = index.holders(slot)
        some = held > 0
        self.place, self.first, self.held = place[some], first[some], np.minimum(held[some], MOST_HOLDERS)
        self.row = text.owner[self.place].astype(np.int64)
        self.num_rows = 2 * len(numbers)

    def glance(self, open_: Openness) -> Iterator[Candidates]:
        """A few places of a few words of every row."""
        sizes = np.bincount(self.row, minlength=self.num_rows)
        rank = np.arange(len(self.row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        words = np.flatnonzero(rank % np.maximum(sizes // _GLANCED_WORDS, 1)[self.row] == 0)
        yield from self._looked_up(words, np.minimum(self.held[words], _GLANCED_HOLDERS), open_)

    def all(self, open_: Openness) -> Iterator[Candidates]:
        """All words of every row, the rarest first, until enough places were looked at."""
        total = np.bincount(self.row, weights=self.held, minlength=self.num_rows)
        keep = np.ones(len(self.row), dtype=bool)
        many = np.flatnonzero(total[self.row] > MOST_HITS)
        if many.size:
            many = many[np.lexsort((self.held[many], self.row[many]))]
            before = np.cumsum(self.held[many]) - self.held[many]
            row = self.row[many]
            begin = np.searchsorted(row, row)
            keep[many] = before - before[begin] < MOST_HITS
        words = np.flatnonzero(keep)
        yield from self._looked_up(words, self.held[words], open_)

    def _looked_up(self, words: Ints, take: Ints, open_: Openness) -> Iterator[Candidates]:
        """The pairs behind these words, `take` places of each; a row is never cut in two."""
        cost = np.cumsum(take)
        begin = 0
        while begin < len(words):
            stop = int(np.searchsorted(cost, (cost[begin - 1] if begin else 0) + _CHUNK_HITS, side="right"))
            if stop < len(words):
                row = self.row[words]
                cut = int(np.searchsorted(row, row[stop]))
                stop = cut if cut > begin else int(np.searchsorted(row, row[begin], side="right"))
            part = slice(begin, max(stop, begin + 1))
            yield self._hits(words[part], take[part], open_)
            begin = part.stop

    def _hits(self, words: Ints, take: Ints, open_: Openness) -> Candidates:
        word = np.repeat(words, take)
        nth = np.arange(len(word)) - np.repeat(np.cumsum(take) - take, take)
        place, where = self.place[word], self.index.places[self.first[word] + nth].astype(np.int64)
        row, target = self.row[word], self.index.text.owner[where].astype(np.int64)
        good = open_(self.numbers[row % len(self.numbers)], target + self.offset)
        place, where, row, target = place[good], where[good], row[good], target[good]
        good = _alike(self.text, place, row, self.index.text, where, target, self.index.plan.word)
        place, where, row, target = place[good], where[good], row[good], target[good]
        diagonal = (where - self.index.text.starts[target]) - (place - self.text.starts[row])
        return self._distinct(row, target, diagonal)

    def _distinct(self, row: Ints, target: Ints, diagonal: Ints) -> Candidates:
        """Every pair once, with the diagonal on which it shares most words."""
        order = np.lexsort((diagonal, target, row))
        row, target, diagonal = row[order], target[order], diagonal[order]
        new = np.ones(len(row), dtype=bool)
        new[1:] = (np.diff(row) != 0) | (np.diff(target) != 0) | (np.diff(diagonal) != 0)
        begin = np.flatnonzero(new)
        count = np.diff(np.append(begin, len(row)))
        row, target, diagonal = row[begin], target[begin], diagonal[begin]
        order = np.lexsort((-count, target, row))
        row, target, diagonal, count = row[order], target[order], diagonal[order], count[order]
        best = np.ones(len(row), dtype=bool)
        best[1:] = (np.diff(row) != 0) | (np.diff(target) != 0)
        row, target, diagonal, count = row[best], target[best], diagonal[best], count[best]
        query = self.numbers[row % len(self.numbers)]
        order = np.lexsort((-count, query))
        return Candidates(
            query[order], (target + self.offset)[order], (row >= len(self.numbers))[order], diagonal[order]
        )  # fmt: skip


def _alike(one: _Text, place: Ints, row: Ints, other: _Text, where: Ints, target: Ints, word: int) -> Mask:
    """Whether six in ten of the letters beside a shared word agree, of up to 16 on each side that both have.

    On each side straight across, or shifted by one as after an inserted or removed letter. Of unrelated letters a
    quarter agree straight across, and a third under the best of three shifts.
    """
    left = np.minimum(np.minimum(place - one.starts[row], where - other.starts[target]), _FLANK)
    right = np.minimum(np.minimum(one.ends[row] - place, other.ends[target] - where) - word, _FLANK)
    agree = np.zeros(len(place), dtype=np.int64)
    for letters, mine, theirs, at_end in (
        (left, place - _FLANK, where - _FLANK, True),
        (right, place + word, where + word, False),
    ):
        spare = (2 * (_FLANK - letters)).astype(np.uint64)
        mask = (0x55555555 >> spare if at_end else 0x55555555 << spare).astype(np.uint32)
        text = one.packed[mine]
        fewest = np.full(len(place), _FLANK, dtype=np.uint8)
        for shift in (-1, 0, 1):
            differ = text ^ other.packed[theirs + shift]
            fewest = np.minimum(fewest, np.bitwise_count((differ | differ >> np.uint32(1)) & mask))
        agree += letters - fewest
    enough: Mask = 10 * agree >= 6 * (left + right)
    return enough


def _blocks(sequences: Sequence[str], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of sequences with about `most` letters."""
    start = 0
    while start < len(sequences):
        stop, letters = start, 0
        while stop < len(sequences) and (stop == start or letters + len(sequences[stop]) < most):
            letters += len(sequences[stop]) + 1
            stop += 1
        yield start, stop
        start = stop
