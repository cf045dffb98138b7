"""Controls: what each destroys, what each keeps, and that no control passes for a real task."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geneb_jax.errors import UsageError
from geneb_jax.task import Control, control_suite, load_suite
from geneb_jax.task.control import shuffle_dinucleotides, shuffle_letters, split_name

SEQUENCES = st.text(alphabet="ACGT", max_size=60) | st.text("AC", max_size=20) | st.text("ACGTUNRY", max_size=80)
SEEDS = st.integers(0, 2**128 - 1)


@given(SEQUENCES, SEEDS)
def test_a_dinucleotide_shuffle_keeps_pairs_length_and_both_ends(sequence: str, seed: int) -> None:
    made = shuffle_dinucleotides(sequence, seed)
    assert Counter(pairwise(made)) == Counter(pairwise(sequence))
    assert len(made) == len(sequence)
    assert (made[:1], made[-1:]) == (sequence[:1], sequence[-1:])
    assert made == shuffle_dinucleotides(sequence, seed)


@given(SEQUENCES, SEEDS)
def test_a_letter_shuffle_keeps_the_letters(sequence: str, seed: int) -> None:
    assert Counter(shuffle_letters(sequence, seed)) == Counter(sequence)


@pytest.mark.parametrize("sequence", ["AACAGAA", "ACGTACG", "AAAACCA"])
def test_every_sequence_with_these_pairs_is_equally_likely(sequence: str) -> None:
    pairs = Counter(pairwise(sequence))
    inner = {"".join(p) for p in permutations(sequence[1:-1])}
    possible = {s for s in (sequence[0] + i + sequence[-1] for i in inner) if Counter(pairwise(s)) == pairs}
    draws = 4000
    found = Counter(shuffle_dinucleotides(sequence, seed) for seed in range(draws))
    assert set(found) == possible
    expected = draws / len(possible)
    chi2 = sum((found[s] - expected) ** 2 / expected for s in possible)
    assert chi2 < len(possible) - 1 + 5 * np.sqrt(2 * len(possible))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    task = tmp_path / "toy" / "tasks" / "one"
    task.mkdir(parents=True)
    for name, n in (("train", 60), ("test", 20)):
        rows = ["".join(rng.choice(list("ACGT"), 40)) for _ in range(n - 1)]
        rows.append("ACGGTCATTGCAATCGGATTACCAGTTTGACA")  # in both splits
        (task / f"{name}.csv").write_text("text,label\n" + "".join(f"{s},{i % 2}\n" for i, s in enumerate(rows)))
    return tmp_path / "toy"


def test_shuffled_labels_touch_nothing_but_training_labels(folder: Path) -> None:
    real = load_suite(folder)
    suite = load_suite(f"{folder}~labels-3")
    before, after = real.load("one"), suite.load("one~labels-3")
    assert after.id == "one~labels-3"
    assert after.train.sequences == before.train.sequences
    assert after.train.class_counts == before.train.class_counts
    assert not np.array_equal(after.train.labels, before.train.labels)
    assert after.test.digest == before.test.digest
    # by key and task, so another key is another shuffle, and the same one is the same
    again, other = (control_suite(real, Control("labels", key)).load(f"one~labels-{key}") for key in (3, 4))
    assert again.train.digest == after.train.digest
    assert other.train.digest != after.train.digest


@pytest.mark.parametrize("kind", ["mono", "di"])
def test_shuffled_sequences_keep_labels_and_repeats(folder: Path, kind: str) -> None:
    before = load_suite(folder).load("one")
    after = load_suite(f"{folder}~{kind}").load(f"one~{kind}")
    for name, split in before.splits.items():
        made = after.splits[name]
        assert np.array_equal(made.labels, split.labels)
        assert all(a != b and Counter(a) == Counter(b) for a, b in zip(made.sequences, split.sequences, strict=True))
    # what leaked before leaks still
    assert after.train.sequences[-1] == after.test.sequences[-1]


def test_names_of_controls() -> None:
    assert split_name("geneb~di-7") == ("geneb", Control("di", 7))
    assert split_name("~labels") == ("~labels", None)
    assert split_name("~/labels") == ("~/labels", None)
    assert str(Control("mono")) == "mono"
    suite = control_suite(load_suite("quickstart"), Control("di"))
    assert suite.name == "quickstart~di"
    assert {split_name(i)[1] for i in suite.ids} == {Control("di")}
    assert "dinucleotide" in suite.source
    with pytest.raises(UsageError, match="control already"):
        control_suite(suite, Control("di"))
    with pytest.raises(UsageError, match="no control called 'tri'"):
        Control("tri")
