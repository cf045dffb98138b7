"""What encoders do not read of a task: counted at embedding, kept, told in records and tables, and stopped at."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from geneb_jax.encoder.custom import CustomEncoder
from geneb_jax.encoder.info import EncoderInfo
from geneb_jax.encoder.load import load_encoder
from geneb_jax.errors import EncoderError
from geneb_jax.report.board import Board
from geneb_jax.report.reading import Reading
from geneb_jax.run.embedding import embed
from geneb_jax.run.probing import probe
from geneb_jax.run.reading import Letters, letter_lines
from geneb_jax.run.runs import Runs
from geneb_jax.stats.marks import UNREAD
from geneb_jax.store import open_store
from geneb_jax.task import Suite, load_suite
from tests.run.helpers import write_csv


class Own:
    """A user's class that reads some letters, and remembers what it was given."""

    width = 4

    def __init__(self, alphabet: str | None = None, thymine: str | None = None) -> None:
        if alphabet:
            self.alphabet = alphabet
        self.thymine = thymine
        self.seen: list[str] = []

    def encode(self, sequences: Sequence[str]) -> np.ndarray:
        self.seen += sequences
        return np.array([[s.count(c) / len(s) for c in "ACGT"] for s in sequences], np.float32)


def own(**settings: str) -> tuple[CustomEncoder, Own]:
    inner = Own(**settings)
    return CustomEncoder(inner, EncoderInfo("own", "custom", "1", 4, dict(settings)), where="own"), inner


def suite(folder: Path, letters: str = "ACGT", tasks: Sequence[str] = ("t",), n: int = 40) -> Suite:
    dice = random.Random(3)
    for task in tasks:
        for split in ("train", "test"):
            rows = [("".join(dice.choices(letters, k=30)), i % 2) for i in range(n)]
            write_csv(folder / "tasks" / task / f"{split}.csv", rows)
    return load_suite(str(folder))


def test_plain_letters_that_an_encoder_does_not_know_stop_it_with_file_and_row(tmp_path: Path) -> None:
    data = suite(tmp_path / "s")
    encoder, inner = own(alphabet="ACG")
    with pytest.raises(EncoderError) as caught:
        embed(encoder, data, tmp_path / "store", progress=False)
    text = str(caught.value)
    for part in ("task t: 2", "% of the plain letters", "t/train.csv, row 1 (line 2)", "own", "--allow-unread"):
        assert part in text
    assert not inner.seen  # before any sequence went through the model

    report = embed(encoder, data, tmp_path / "store", progress=False, allow_unread=True)
    assert report.letters is not None
    assert report.letters["t"].allowed == 1
    rows = [s for split in data.load("t").splits.values() for s in split.sequences]
    assert report.letters["t"].unknown_letters == sum(s.count("T") for s in rows)
    assert report.letters["t"].sequences == 80
    run = probe([tmp_path / "store"], data, tmp_path / "run", regimes=["full"], progress=False)
    (record,) = run.records.to_pylist()[:1]
    assert (record["unknown_letters"], record["unread_allowed"]) == (report.letters["t"].unknown_letters, 1)
    assert UNREAD in Board(Runs.of(run)).marks(Board(Runs.of(run)).scores[0])


def test_counts_are_those_of_the_data_whatever_the_store_holds_already(tmp_path: Path) -> None:
    """Resumed, shared with another task, or changed since: a count never depends on what was embedded before."""
    both = suite(tmp_path / "s", "ACGTN" * 4 + "R", ("t", "u"))
    shared = (tmp_path / "s/tasks/t/train.csv").read_text()
    (tmp_path / "s/tasks/u/train.csv").write_text(shared)
    expected = embed(load_encoder("kmer:3"), both, tmp_path / "whole", progress=False).letters
    embed(load_encoder("kmer:3"), both, tmp_path / "parts", tasks=["t"], progress=False)
    again = embed(load_encoder("kmer:3"), both, tmp_path / "parts", progress=False)
    assert again.letters == expected
    assert expected is not None
    assert expected["t"].unknown_letters > 0
    encoder = load_encoder("kmer:3")
    calls: list[int] = []
    count = encoder.count_letters  # type: ignore[attr-defined]
    encoder.count_letters = lambda rows: calls.append(len(rows)) or count(rows)  # type: ignore[attr-defined]
    assert embed(encoder, both, tmp_path / "parts", progress=False).letters == expected
    assert not calls  # the same data are not counted again
    (tmp_path / "s/tasks/t/test.csv").write_text(shared)
    changed = embed(encoder, both, tmp_path / "parts", progress=False).letters
    assert calls
    assert changed is not None
    assert changed["t"] != expected["t"]
    assert changed["u"] == expected["u"]


def test_letters_that_are_cut_never_stop_it_and_are_said(tmp_path: Path) -> None:
    data = suite(tmp_path / "s")
    report = embed(load_encoder("onehot:10"), data, tmp_path / "store", progress=False)
    assert report.letters is not None
    assert report.letters["t"].cut_letters == 80 * 20
    assert report.letters["t"].parts == ["66.7 % of the letters cut off (in 80 of 80 sequences)"]


def test_a_store_and_a_class_that_say_nothing_are_not_counted(tmp_path: Path) -> None:
    data = suite(tmp_path / "s")
    report = embed(own()[0], data, tmp_path / "store", progress=False)
    assert report.letters is None
    with open_store(tmp_path / "store") as store:
        assert store.elements()[0].split("t", "train").letters is None
    run = probe([tmp_path / "store"], data, tmp_path / "run", regimes=["full"], progress=False)
    assert run.records["unknown_letters"].null_count == len(run.records)
    assert UNREAD not in Board(Runs.of(run)).marks(Board(Runs.of(run)).scores[0])


@pytest.mark.parametrize(("thymine", "written"), [("T", "ACGU"), ("U", "ACGT")])
def test_an_encoder_gets_the_letter_it_knows_and_twins_share_a_row(tmp_path: Path, thymine: str, written: str) -> None:
    data = suite(tmp_path / "s", written)
    first = (tmp_path / "s/tasks/t/train.csv").read_text().splitlines()[1]
    swapped = first.replace("T", "U") if thymine == "U" else first.replace("U", "T")
    with (tmp_path / "s/tasks/t/train.csv").open("a") as file:
        file.write(swapped + "\n")
    encoder, inner = own(alphabet=f"ACG{thymine}", thymine=thymine)
    report = embed(encoder, data, tmp_path / "store", check=False, progress=False)
    assert not set("".join(inner.seen)) - set(f"ACG{thymine}")
    assert (report.total, report.distinct) == (81, 80)
    assert report.letters is not None
    assert report.letters["t"].respelled_sequences == 80
    assert report.letters["t"].unread == 0
    plain, as_is = own()
    embed(plain, data, tmp_path / "other", check=False, progress=False)
    assert set("".join(as_is.seen)) == set("ACGTU")  # a class that says nothing gets both as they are written


def test_what_is_unread_survives_merging_and_adding() -> None:
    one = Letters(letters=100, unknown_letters=3, plain=3, plain_letters=90, sequences=10)
    assert Letters.of_json(one.as_json()) == one
    assert Letters.of_json({**one.as_json(), "rule": 99}) is None
    assert (one + one).too_much is None
    assert "6.7 % of the plain letters" in str(Letters(letters=100, plain=6, plain_letters=90).too_much)
    assert "51.0 % of the letters" in str(Letters(letters=100, unknown_letters=51).too_much)
    assert "5 of 40 distinct" in str(Letters(letters=100, distinct=40, twins=5).too_much)


class Few(Own):
    """Has one vector for a share of its sequences, and for each of the others its own."""

    def __init__(self, same: float) -> None:
        super().__init__()
        self.same = same

    def encode(self, sequences: Sequence[str]) -> np.ndarray:
        codes = np.array([crc32(s.encode()) for s in sequences])
        few, own_ones = codes % 1000 < 1000 * self.same, (codes[:, None] >> np.array([0, 8, 16, 24])) % 256 + 8
        return np.where(few[:, None], 7, own_ones).astype(np.float32)


@pytest.mark.parametrize("same", [0.9, 0.5])
def test_one_vector_for_many_sequences_stops_unless_allowed_and_is_recorded(tmp_path: Path, same: float) -> None:
    data = suite(tmp_path / "s", tasks=("t", "u"), n=150)
    encoder = CustomEncoder(Few(same), EncoderInfo("few", "custom", "1", 4, {}), where="few")
    for _ in range(2):  # the vectors are kept, and it stops again
        with pytest.raises(EncoderError, match=r"task t: .* of 300 distinct sequences .* one and the same") as caught:
            embed(encoder, data, tmp_path / "store", check=False, progress=False)
        assert "--allow-unread" in str(caught.value)
        assert open_store(tmp_path / "store").elements()[0].tasks() == []
    report = embed(encoder, data, tmp_path / "store", check=False, progress=False, allow_unread=True)
    assert any("have the vector of another one" in note for note in report.warnings)
    embed(encoder, data, tmp_path / "store", check=False, progress=False)  # known, and recorded
    run = probe([tmp_path / "store"], data, tmp_path / "run", regimes=["full"], engine="sklearn", progress=False)
    assert run.records["unread_allowed"].unique().to_pylist() == [1]
    assert run.records["unknown_letters"].null_count == len(run.records)
    board = Board(Runs.of(run))
    assert all(UNREAD in board.marks(score) for score in board.scores)
    assert "many sequences have one vector" in "".join(Reading(Runs.of(run)).lines(run.meta.encoders[0].digest, "few"))


def test_a_few_equal_vectors_or_counts_of_words_do_not_stop(tmp_path: Path) -> None:
    data = suite(tmp_path / "s", n=150)
    encoder = CustomEncoder(Few(0.05), EncoderInfo("few", "custom", "1", 4, {}), where="few")
    assert embed(encoder, data, tmp_path / "a", check=False, progress=False).warnings == ()
    short = suite(tmp_path / "short", letters="AC", n=150)
    assert embed(load_encoder("kmer:1"), short, tmp_path / "b", progress=False).warnings == ()


def test_tasks_with_next_to_nothing_unread_share_a_line() -> None:
    few, many = (Letters(sequences=100, letters=10_000, unknown_letters=n, unknown_sequences=n) for n in (2, 3_000))
    assert letter_lines("e", {"a": few, "b": few}) == ["e: less than 0.1 % of the letters unread in each of 2 tasks"]
    lines = letter_lines("e", {"a": few, "b": many, "c": few})
    assert [line.startswith("e, b: 30.0 %") for line in lines] == [True, False]
    assert lines[1] == "e: less than 0.1 % of the letters unread in each of 2 further tasks"
    assert letter_lines("e", {"a": few})[0].startswith("e, a: less than 0.1 %")
