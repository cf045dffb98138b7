"""What encoders do not read: every kind of tokenizer against counts made by hand, and the letter each knows for T."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from geneb_jax.encoder.counting import Counts, TokenCounter, respelled
from geneb_jax.encoder.load import load_encoder

pytest.importorskip("transformers")

SPECIALS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
WORDS = ["".join(word) for word in itertools.product("ACGT", repeat=3)]


def fast(model: Any, before: Any = None, normal: Any = None, unknown: str = "[UNK]") -> Any:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(model)
    if before is not None:
        made.pre_tokenizer = before
    if normal is not None:
        made.normalizer = normal
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token=unknown)


def vocabulary(*tokens: str) -> dict[str, int]:
    return {token: i for i, token in enumerate((*SPECIALS, *tokens))}


def letters(alphabet: str, unknown: str | None = "[UNK]", **more: Any) -> Any:
    from tokenizers import models

    return fast(models.BPE(vocab=vocabulary(*alphabet), merges=[], unk_token=unknown), **more)


def word_piece() -> Any:
    from tokenizers import models, pre_tokenizers

    pieces = vocabulary(*"ACGT", *(f"##{base}" for base in "ACGT"))
    model = models.WordPiece(vocab=pieces, unk_token="[UNK]", max_input_chars_per_word=12)
    return fast(model, pre_tokenizers.Whitespace())


def three_letters(split: bool) -> Any:
    from tokenizers import Regex, models, pre_tokenizers

    before = pre_tokenizers.Split(Regex(".{1,3}"), "isolated") if split else None
    return fast(models.WordLevel(vocabulary(*WORDS), unk_token="[UNK]"), before)


def byte_pairs() -> Any:
    """Trained on DNA over all bytes, so that it has a token for U that no model was ever shown."""
    from tokenizers import models, pre_tokenizers

    order = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = vocabulary(*order, "TA", "TAC", "GG")
    model = models.BPE(vocab=vocab, merges=[("T", "A"), ("TA", "C"), ("G", "G")])
    return fast(model, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))


def byte_fallback() -> Any:
    from tokenizers import models

    pieces = [("<unk>", 0.0), *((f"<0x{i:02X}>", 0.0) for i in range(256)), *((base, -1.0) for base in "ACGT")]
    return fast(models.Unigram(pieces, unk_id=0, byte_fallback=True), unknown="<unk>")


def upper_to_n() -> Any:
    from tokenizers import Regex, normalizers

    return letters("ACGTN", normal=normalizers.Replace(Regex("[^ACGTN]"), "N"))


class Slow:
    """A tokenizer as remote code brings it: no offsets, overlapping words one letter apart."""

    unk_token_id, all_special_ids = 0, [0]

    def __len__(self) -> int:
        return 1 + len(WORDS)

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [["<unk>", *WORDS][i] for i in ids]

    def __call__(self, texts: list[str], **_: object) -> dict[str, list[list[int]]]:
        known = {word: i for i, word in enumerate(WORDS, start=1)}
        return {"input_ids": [[known.get(s[i : i + 3], 0) for i in range(len(s) - 2)] for s in texts]}


CASES: dict[str, tuple[Callable[[], Any], str, int | None, tuple[int, int, int, int], str | None]] = {
    # name: (tokenizer, sequence, room in tokens, (unknown, dropped, cut, plain), thymine)
    "whole": (lambda: letters("ACGT"), "ACGTACGT", None, (0, 0, 0, 0), "T"),
    "U for a DNA tokenizer": (lambda: letters("ACGT"), "ACGUUCGU", None, (0, 0, 0, 0), "T"),
    "T for an RNA tokenizer": (lambda: letters("ACGU"), "ACGTTCGU", None, (0, 0, 0, 0), "U"),
    "both letters known": (lambda: letters("ACGTUN"), "ACGTUN", None, (0, 0, 0, 0), None),
    "lower case": (lambda: letters("ACGT"), "acguTT", None, (0, 0, 0, 0), "T"),
    "ambiguity codes": (lambda: letters("ACGT"), "ACRYNT", None, (3, 0, 0, 0), "T"),
    "codes without a sign for the unknown": (lambda: letters("ACGT", None), "ANGRT", None, (0, 2, 0, 0), "T"),
    "a base that is missing": (lambda: letters("ACT"), "ACGGT", None, (2, 0, 0, 2), "T"),
    "truncation": (lambda: letters("ACGT"), "ACGTACGTAC", 4, (0, 0, 6, 0), "T"),
    "truncation of unknown letters": (lambda: letters("ACGT"), "NACGNN", 3, (1, 0, 3, 0), "T"),
    "short words": (word_piece, "ACGTACGTACGT", None, (0, 0, 0, 0), "T"),
    "long words": (word_piece, "ACGTACGTACGTN", None, (13, 0, 0, 12), "T"),
    "k-mers": (lambda: three_letters(True), "ACGTTTACN", None, (3, 0, 0, 2), "T"),
    "k-mers that nobody cuts": (lambda: three_letters(False), "ACGTTTACG", None, (9, 0, 0, 9), "T"),
    "byte pairs": (byte_pairs, "UACGGA", None, (0, 0, 0, 0), "T"),
    "byte pairs, cut": (byte_pairs, "TACGGA", 2, (0, 0, 1, 0), "T"),
    "byte fallback": (byte_fallback, "ACGUN", None, (1, 0, 0, 0), "T"),
    "overlapping words without offsets": (Slow, "ACGTACGUAC", None, (0, 0, 0, 0), "T"),
    "overlapping words, cut": (Slow, "ACGTACGTACGT", 5, (0, 0, 6, 0), "T"),
}


@pytest.mark.parametrize("name", CASES)
def test_tokens(name: str) -> None:
    make, sequence, room, expected, thymine = CASES[name]
    tokenizer, own = respelled(make())
    found = TokenCounter(tokenizer).count([sequence, "ACGACG"], room)
    assert tuple(int(column[0]) for column in found[:4]) == expected
    assert own == thymine


def test_counts_are_the_same_alone_and_in_a_crowd_and_letters_are_counted_once() -> None:
    dice = random.Random(5)
    sequences = ["".join(dice.choices("ACGTUN", (9, 9, 9, 9, 3, 1), k=dice.randrange(1, 30))) for _ in range(300)]
    for make in (word_piece, byte_pairs, upper_to_n, lambda: three_letters(True), lambda: letters("ACG", None)):
        counter = TokenCounter(respelled(make())[0])
        together = counter.count(sequences, 5)
        alone = [counter.count([s], 5) for s in sequences]
        for i, column in enumerate(together):
            assert column.tolist() == [int(one[i][0]) for one in alone]
        lengths = np.array(list(map(len, sequences)))
        assert (together.unknown + together.dropped + together.cut <= lengths).all()
        assert (together.plain <= together.unknown + together.dropped).all()


def test_sequences_that_reach_the_model_alike_have_one_fingerprint() -> None:
    counter = TokenCounter(respelled(three_letters(False))[0])
    inputs = counter.count(["ACGTAC", "GGGTTT", "ACG", "CCC"]).inputs
    assert inputs[0] == inputs[1]
    assert len(set(inputs.tolist())) == 3
    assert counter.count(["ACGTAC"], 0).inputs.tolist() == [0]  # cut: alike by the limit, not by the tokenizer


@pytest.mark.parametrize(
    ("spec", "sequence", "expected"),
    [
        ("kmer:3", "ACGUNNRA", (3, 0, 0, 0)),
        ("kmer:6", "ACGT", (0, 4, 0, 0)),
        ("composition", "ACGN", (1, 0, 0, 0)),
        ("onehot:6", "ACGTUNRY", (0, 0, 2, 0)),
        ("onehot:6,ambiguous=zero", "ACGNN", (2, 0, 0, 0)),
        ("random-conv:4", "ACGUNN", (0, 0, 0, 0)),
    ],
)
def test_built_in_encoders(spec: str, sequence: str, expected: tuple[int, int, int, int]) -> None:
    encoder = load_encoder(spec)
    counts: Counts = encoder.count_letters([sequence])  # type: ignore[attr-defined]
    assert tuple(int(column[0]) for column in counts[:4]) == expected
    assert encoder.thymine == "T"  # type: ignore[attr-defined]
