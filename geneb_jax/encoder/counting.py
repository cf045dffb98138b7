"""What an encoder does not read of a sequence, in letters, and which letter it knows in the place of T.

An encoder that can tell has a method ``count_letters(sequences) -> Counts``, which runs no model, and an attribute
``thymine``: ``"T"`` where U is to be given to it as T, ``"U"`` where T is to be given as U, None where it takes both as
they are written. Each letter is counted once: what is past the limit as cut, else as unknown (a sign of its own is
missing: unknown tokens, letters outside the alphabet, ambiguity codes that become zeros) or as dropped (nothing of it
reaches the model).

Of a tokenizer that tells where its tokens lie in the text the counts are exact. Of another they follow from the
lengths of its tokens; where these overlap, as 3-mers one letter apart do, from the share of its unknown ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from geneb_jax.alphabet import as_dna, as_rna
from geneb_jax.axes import NumpyBool, NumpyInt

PLAIN: Final = "ACGTU"
SPELLINGS: Final[dict[str | None, Callable[[str], str]]] = {"T": as_dna, "U": as_rna, None: str}
"""How a sequence is spelled for an encoder, by its ``thymine``."""

_AT_ONCE: Final = 256
_PROBE: Final = "ACGTACGTTTGCATTAGCCGTA"
_BYTE: Final = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_UNKNOWN: Final = frozenset({"[unk]", "<unk>", "unk", "<|unk|>", "[unknown]"})
_MARKS: Final = re.compile(r"^(##|[▁ĠĊ])+|</w>$|@@$")


class Counts(NamedTuple):
    """Letters of each sequence (n,) that are not read, by reason; ``plain`` are A, C, G, T and U among the first two.

    ``inputs`` are fingerprints of what reaches the model, 0 where that is not known or the sequence is cut: two
    sequences with one fingerprint have one vector.
    """

    unknown: NumpyInt
    dropped: NumpyInt
    cut: NumpyInt
    plain: NumpyInt
    inputs: NumpyInt

    @classmethod
    def zeros(cls, n: int) -> Counts:
        """Everything is read."""
        return cls(*(np.zeros(n, np.int64) for _ in cls._fields))


def count_outside(sequences: Sequence[str], known: Any, limit: int | None = None) -> Counts:
    """Counts of an encoder that reads by letter: ``known`` (256,) bool by byte, and at most ``limit`` letters."""
    counts = Counts.zeros(len(sequences))
    for row, sequence in enumerate(sequences):
        letters = np.frombuffer(sequence.encode("ascii", "replace"), dtype=np.uint8)
        strange = int((~known[letters]).sum())
        over = 0 if limit is None else max(0, len(letters) - limit)
        counts.cut[row] = over
        # of a cut sequence, which letters are strange ones within is no matter here: never more than are read
        counts.unknown[row] = min(strange, len(letters) - over)
    return counts


class TokenCounter:
    """Counts for one tokenizer. ``tokenizer`` is called as transformers' are; wrappers show their ``spell``."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._words, self._lengths, self._strange = _vocabulary(tokenizer)

    @property
    def can_tell(self) -> bool:
        """Whether the tokenizer shows enough of itself to be counted."""
        return self._lengths is not None

    def count(self, sequences: Sequence[str], room: int | None = None, multiple: int = 1) -> Counts:
        """Counts where at most ``room`` tokens are read, of texts cut to a whole number of ``multiple`` letters."""
        counts = Counts.zeros(len(sequences))
        rows: Iterator[int] = iter(range(len(sequences)))
        for start in range(0, len(sequences), _AT_ONCE):
            part = [s[: len(s) // multiple * multiple] for s in sequences[start : start + _AT_ONCE]]
            texts = [spelled(self._tokenizer, s) for s in part]
            lists = [np.asarray(ids, np.int64) for ids in self._call(part)["input_ids"]]
            hard = []
            for sequence, text, ids in zip(part, texts, lists, strict=True):
                row = next(rows)
                counts.cut[row] = len(sequences[row]) - len(sequence)
                kept = ids if room is None else ids[:room]
                if len(kept) == len(ids) and not counts.cut[row]:
                    counts.inputs[row] = hash(kept.tobytes()) | 1
                if not self._read_whole(sequence, text, ids, kept, counts, row):
                    hard.append((row, sequence, text, ids))
            if hard:
                self._count_hard(hard, counts, room)
        return counts

    def _read_whole(self, sequence: str, text: str, ids: NumpyInt, kept: NumpyInt, counts: Counts, row: int) -> bool:
        """Count a sequence whose tokens are all known and as long as it; False for any other."""
        assert self._lengths is not None
        assert self._strange is not None
        bare = text.replace(" ", "")
        if len(bare) != len(sequence) or as_dna(bare.upper()) != as_dna(sequence.upper()):
            return False
        if len(ids) and (ids.max() >= len(self._lengths) or self._strange[ids].any()):
            return False
        if int(self._lengths[ids].sum()) != len(bare):
            return False
        counts.cut[row] += len(bare) - int(self._lengths[kept].sum())
        return True

    def _count_hard(self, hard: list[tuple[int, str, str, NumpyInt]], counts: Counts, room: int | None) -> None:
        found: Any = {}
        if getattr(self._tokenizer, "is_fast", False):
            found = self._call([sequence for _, sequence, _, _ in hard], return_offsets_mapping=True)
        places = found["offset_mapping"] if "offset_mapping" in found else [None] * len(hard)
        for (row, sequence, text, ids), offsets in zip(hard, places, strict=True):
            if offsets is None or not self._fits(text, ids, offsets):
                one = self._by_lengths(sequence, text, ids, room)
            else:
                one = self._by_places(sequence, text, ids, np.asarray(offsets, np.int64).reshape(-1, 2), room)
            for total, value in zip(counts[:4], one, strict=True):
                total[row] += value

    def _fits(self, text: str, ids: NumpyInt, offsets: Sequence[tuple[int, int]]) -> bool:
        """Whether tokens lie where they are said to: some tokenizers drop letters and go on counting."""
        assert self._strange is not None
        return len(offsets) == len(ids) and all(
            token >= len(self._words)
            or self._strange[token]
            or as_dna(self._words[token].upper()) == _bare(text[start:stop])
            for token, (start, stop) in zip(ids.tolist(), offsets, strict=True)
        )

    def _by_places(
        self, sequence: str, text: str, ids: NumpyInt, places: NumpyInt, room: int | None
    ) -> tuple[int, int, int, int]:
        """(unknown, dropped, cut, plain) from where each token lies in the text."""
        assert self._strange is not None
        letters = np.array([not c.isspace() for c in text], bool)
        known, seen = np.zeros(len(text), bool), np.zeros(len(text), bool)
        for token, (start, stop) in zip(ids.tolist(), places.tolist(), strict=True):
            seen[start:stop] = True
            if token < len(self._strange) and not self._strange[token]:
                known[start:stop] = True
        if letters.sum() == len(sequence):  # a spelling that turns R into N reads no R
            known[letters] &= np.array([a == b for a, b in zip(_bare(sequence), _bare(text), strict=True)], bool)
        cut = np.zeros(len(text), bool)
        if room is not None and len(ids) > room:
            cut[int(places[:room, 1].max(initial=0)) :] = True
        inside = letters & ~cut
        unread = inside & ~known
        plain = unread & np.array([c.upper() in PLAIN for c in text], bool)
        return int((unread & seen).sum()), int((unread & ~seen).sum()), int((letters & cut).sum()), int(plain.sum())

    def _by_lengths(self, sequence: str, text: str, ids: NumpyInt, room: int | None) -> tuple[int, int, int, int]:
        """The same from the lengths of the tokens alone."""
        assert self._lengths is not None
        assert self._strange is not None
        total = sum(not c.isspace() for c in text)
        strange = (ids >= len(self._strange)) | self._strange[np.minimum(ids, len(self._strange) - 1)]
        known = int(self._lengths[ids[~strange]].sum())
        num_strange = int(strange.sum())
        if known + num_strange > total:  # tokens overlap
            unknown, dropped = round(total * num_strange / max(1, len(ids))), 0
        elif num_strange:
            unknown, dropped = total - known, 0
        else:
            unknown, dropped = 0, total - known
        cut = 0 if room is None or len(ids) <= room else round(total * (1 - room / len(ids)))
        unknown, dropped = min(unknown, total - cut), min(dropped, total - cut)
        others = sum(c not in PLAIN for c in sequence.upper())
        return unknown, dropped, cut, max(0, unknown + dropped - others)

    def _call(self, sequences: Sequence[str], **more: Any) -> Any:
        return self._tokenizer(
            list(sequences),
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
            **more,
        )


class Written:
    """A tokenizer that is given sequences in another spelling."""

    def __init__(self, tokenizer: Any, spelling: Callable[[str], str]) -> None:
        self._tokenizer, self._spelling = tokenizer, spelling

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __len__(self) -> int:
        return len(self._tokenizer)

    def spell(self, text: str) -> str:
        """What the tokenizer inside is given."""
        return spelled(self._tokenizer, self._spelling(text))

    def __call__(self, texts: Sequence[str], **options: Any) -> Any:
        """As the tokenizer's own call."""
        return self._tokenizer([self._spelling(text) for text in texts], **options)


def spelled(tokenizer: Any, text: str) -> str:
    """What the innermost tokenizer is given for a text."""
    return tokenizer.spell(text) if isinstance(tokenizer, Written) else text


def respelled(tokenizer: Any) -> tuple[Any, str | None]:
    """The tokenizer, given U and T as the letter it knows and capitals where it knows no others; and its ``thymine``.

    Where it knows both letters, the one that its longer tokens are made of is its own; without longer tokens, and with
    a vocabulary of nucleotide letters alone, both are left as they are written.
    """
    counter = TokenCounter(tokenizer)
    if not counter.can_tell:
        return Written(tokenizer, as_dna), "T"

    def unread(text: str) -> int:
        found = counter.count([text])
        return int(found.unknown[0] + found.dropped[0])

    dna, rna = unread(_PROBE), unread(as_rna(_PROBE))
    thymine = "T" if dna < rna else "U" if rna < dna else _own_letter(tokenizer, counter)
    spelling = SPELLINGS[thymine]
    proper = spelling(_PROBE)
    if unread(proper.lower()) > unread(proper):
        return Written(tokenizer, lambda text: spelling(text.upper())), thymine
    pair = {"T": ("u", "t"), "U": ("t", "u"), None: ("", "")}[thymine]
    return Written(tokenizer, lambda text: spelling(text).replace(*pair) if pair[0] else text), thymine


def _own_letter(tokenizer: Any, counter: TokenCounter) -> str | None:
    """Which of U and T is the tokenizer's own where it knows both."""
    texts = [_PROBE, as_rna(_PROBE)]
    first, second = (list(ids) for ids in counter._call(texts)["input_ids"])
    if first == second:  # it makes them one itself
        return "T"
    words = [_MARKS.sub("", token).upper() for token in _tokens(tokenizer) or ()]
    # words of nucleotide letters, and not the names of special tokens
    longer = [word for word in words if len(word) > 1 and not set(word) - set("ACGTUN")]
    with_t, with_u = sum("T" in word for word in longer), sum("U" in word for word in longer)
    if with_t != with_u:
        return "T" if with_t > with_u else "U"
    strangers = counter.count(["EJOZ"])
    return "T" if int(strangers.unknown[0] + strangers.dropped[0]) == 0 else None


def _bare(text: str) -> str:
    return as_dna("".join(text.split()).upper())


def _tokens(tokenizer: Any) -> list[str] | None:
    try:
        size = len(tokenizer)
        found = tokenizer.convert_ids_to_tokens(list(range(size)))
    except Exception:  # tokenizers of others show what they like
        return None
    return [token if isinstance(token, str) else "" for token in found] if len(found) == size else None


def _vocabulary(tokenizer: Any) -> tuple[list[str], NumpyInt | None, NumpyBool | None]:
    """Each token's letters, their number, and whether it stands for what is not known; None where nobody can say."""
    tokens = _tokens(tokenizer)
    if not tokens:
        return [], None, None
    special = set()
    for name in ("all_special_ids", "unk_token_id"):
        try:
            found = getattr(tokenizer, name, None)
        except Exception:  # as above
            found = None
        special |= set(found) if isinstance(found, (list, tuple, set)) else {found}
    words = [_MARKS.sub("", token) for token in tokens]
    lengths, strange = np.array([len(word) for word in words], np.int64), np.zeros(len(tokens), bool)
    for i, (token, word) in enumerate(zip(tokens, words, strict=True)):
        is_letter = len(word) == 1 and word.upper() in "ACGTU"
        strange[i] = (i in special and not is_letter) or token.lower() in _UNKNOWN or bool(_BYTE.fullmatch(token))
    return words, lengths, strange
