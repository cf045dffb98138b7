"""k-mers, one-hot letters and the random network against the rules their modules state."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneb_jax.encoder import Encoder, check_encoder, kmer, load_encoder
from geneb_jax.encoder.flax.buckets import bucket_length
from geneb_jax.encoder.letters import IUPAC

DNA = st.lists(st.text("ACGTNacgtuRU-", max_size=40), max_size=8)
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def reverse_complement(sequence: str) -> str:
    return sequence.translate(COMPLEMENT)[::-1]


def words_of(sequence: str, k: int) -> list[str]:
    sequence = sequence.upper().replace("U", "T")
    words = [sequence[i : i + k] for i in range(len(sequence) - k + 1)]
    return [word for word in words if set(word) <= set("ACGT")]


@given(DNA, st.integers(1, 4), st.booleans(), st.booleans())
def test_kmers_are_what_counting_by_hand_gives(sequences, k, counts, canonical):
    encoder = kmer.KmerEncoder(k, counts=counts, canonical=canonical)
    column = {word: i for i, word in enumerate(encoder.words)}
    expected = np.zeros((len(sequences), len(column)), dtype=np.float32)
    for row, sequence in enumerate(sequences):
        words = words_of(sequence, k)
        for word in words:
            expected[row, column[min(word, reverse_complement(word)) if canonical else word]] += 1
        if words and not counts:
            expected[row] /= np.float32(len(words))
    found = encoder.encode(sequences)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_kmers_in_blocks_are_kmers_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice(list("ACGTN"), n)) for n in rng.integers(0, 90, 57)]
    encoder = load_encoder("kmer:3")
    at_once = encoder.encode(sequences)
    monkeypatch.setattr(kmer, "_BLOCK_BYTES", 4 * 64 * 5)
    np.testing.assert_array_equal(encoder.encode(sequences), at_once)


@pytest.mark.parametrize(("k", "width"), [(1, 2), (2, 10), (3, 32), (4, 136), (6, 2080)])
def test_canonical_kmers_cannot_tell_the_strands_apart(k, width):
    encoder = load_encoder(f"kmer:{k},canonical=true")
    sequence = "ACGTTTGACCAGTNNACGATGCCCATTTAGGGACA"
    assert encoder.info.width == width
    np.testing.assert_array_equal(
        encoder.encode([sequence]), encoder.encode([reverse_complement(sequence).replace("N", "-")])
    )


def test_words_are_columns_in_alphabetical_order():
    words = kmer.KmerEncoder(2).words
    assert words == sorted(words)
    assert words[:5] == ["AA", "AC", "AG", "AT", "CA"]


def onehot_by_hand(sequence: str, length: int, align: str, ambiguous: str) -> np.ndarray:
    margin = {"left": 0, "center": abs(length - len(sequence)) // 2, "right": abs(length - len(sequence))}[align]
    if len(sequence) > length:
        cells = list(sequence[margin : margin + length])
    else:
        cells = [""] * margin + list(sequence) + [""] * (length - len(sequence) - margin)
    out = np.zeros((length, 4))
    for i, letter in enumerate(cells):
        bases = IUPAC.get(letter.upper(), "")
        if len(bases) == 1 or ambiguous == "fraction":
            for base in bases:
                out[i, "ACGT".index(base)] = 1 / len(bases)
    return out.reshape(-1)


@given(
    DNA,
    st.integers(1, 30),
    st.sampled_from(["left", "center", "right"]),
    st.sampled_from(["fraction", "zero"]),
)
def test_onehot_is_what_its_rule_says(sequences, length, align, ambiguous):
    encoder = load_encoder(f"onehot:{length},align={align},ambiguous={ambiguous}")
    expected = np.array([onehot_by_hand(s, length, align, ambiguous) for s in sequences]).reshape(-1, 4 * length)
    found = encoder.encode(sequences)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_onehot_alone_has_its_documented_length():
    assert load_encoder("onehot").info == load_encoder("onehot:200").info


@pytest.fixture(scope="module")
def conv() -> Encoder:
    return load_encoder("random-conv:24")


@settings(max_examples=15, deadline=None)
@given(sequences=st.lists(st.text("ACGTN", max_size=150), min_size=1, max_size=5))
def test_random_conv_is_bit_identical_alone_and_in_any_batch(conv, sequences):
    together = conv.encode(sequences)
    assert together.shape == (len(sequences), 24)
    for sequence, vector in zip(sequences, together, strict=True):
        np.testing.assert_array_equal(conv.encode([sequence])[0], vector)


def test_random_conv_padding_cannot_be_told_from_the_end(conv, monkeypatch):
    """The same sequence in a longer bucket gives the same vector."""
    sequence = "ACGTTGCATTGACCA" * 4
    expected = conv.encode([sequence])
    monkeypatch.setattr("geneb_jax.encoder.flax.buckets._SHORTEST_BUCKET", 512)
    np.testing.assert_allclose(conv.encode([sequence]), expected, rtol=1e-5, atol=1e-6)


def test_random_conv_compiles_once_per_bucket():
    encoder = load_encoder("random-conv:8")
    for length in (10, 40, 64, 65, 90, 96):
        encoder.encode(["A" * length] * 3)
    assert encoder._forward.func._cache_size() == 2


@given(st.integers(1, 100_000))
def test_buckets_hold_their_sequences_with_at_most_a_third_of_padding(length):
    bucket = bucket_length(length)
    assert bucket >= length
    assert bucket == 64 or (bucket - length) / bucket <= 1 / 3


def test_random_conv_seeds_differ_and_say_so(conv):
    other = load_encoder("random-conv:24,seed=1")
    assert other.info.digest != conv.info.digest
    assert other.info.name == "random-conv:24,seed=1"
    assert np.abs(other.encode(["ACGTACGGT"]) - conv.encode(["ACGTACGGT"])).max() > 1e-3


@pytest.mark.slow
def test_random_conv_weights_are_the_same_in_another_process_with_other_jax_settings(conv):
    code = (
        "from geneb_jax.encoder import load_encoder\n"
        "print(load_encoder('random-conv:24').encode(['ACGTTGCAN'])[0].tobytes().hex())"
    )
    environment = {**os.environ, "JAX_THREEFRY_PARTITIONABLE": "0", "JAX_DEFAULT_PRNG_IMPL": "rbg"}
    environment |= {"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    there = np.frombuffer(bytes.fromhex(done.stdout.strip()), dtype=np.float32)
    np.testing.assert_allclose(there, conv.encode(["ACGTTGCAN"])[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "spec", ["kmer:3", "kmer:2,counts=true,canonical=true", "onehot:50", "random-conv:24", "composition"]
)
def test_built_in_encoders_pass_the_checks(spec):
    rng = np.random.default_rng(1)
    sequences = ["".join(rng.choice(list("ACGT"), n)) for n in (20, 33, 60, 61, 90)]
    encoder = load_encoder(spec)
    assert isinstance(encoder, Encoder)
    assert encoder.encode([]).shape == (0, encoder.info.width)
    check_encoder(encoder, sequences).raise_if_failed()


def test_composition_is_what_counting_gives():
    encoder = load_encoder("composition")
    found = dict(zip(encoder.columns, encoder.encode(["ggCANU"])[0].tolist(), strict=True))
    plain = {"G": 2 / 5, "C": 1 / 5, "A": 1 / 5, "T": 1 / 5, "G or C": 3 / 5, "GG": 1 / 3, "GC": 1 / 3, "CA": 1 / 3}
    expected = dict.fromkeys(encoder.columns, 0.0) | plain | {"log10(1 + length)": np.log10(7)}
    # AN and NU are no pairs of plain bases
    assert found == pytest.approx(expected, abs=1e-6)
    assert not encoder.encode([""]).any()
