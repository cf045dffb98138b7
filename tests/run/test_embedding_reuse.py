"""Vectors are reused only where a few of them, made anew, are the same."""

from __future__ import annotations

import numpy as np
import pytest

from geneb_jax.encoder import EncoderInfo
from geneb_jax.errors import StoreError
from geneb_jax.run.embedding import embed
from geneb_jax.store import open_store
from geneb_jax.task import load_suite
from tests.run.helpers import write_task


class Letters:
    """Counts, times a scale that its identity does not tell."""

    def __init__(self, scale: float = 1.0, noise: float = 0.0, settings: dict | None = None) -> None:
        self.info = EncoderInfo("letters", "toy", "1", 4, settings or {})
        self.scale, self.noise, self.calls, self.rng = scale, noise, 0, np.random.default_rng(0)

    def encode(self, sequences):
        self.calls += 1
        counts = np.array([[s.count(x) for x in "ACGT"] for s in sequences], np.float32)
        return (self.scale * counts + self.noise * self.rng.standard_normal(counts.shape)).astype(np.float32)


@pytest.fixture
def suite(tmp_path):
    write_task(tmp_path / "suite", "a", n=20)
    return load_suite(str(tmp_path / "suite"))


def contents(path):
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file() and not p.name.startswith("writer.")}


@pytest.mark.parametrize("stored_as", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("scale", [1.03, -1.0, 0.0, np.nan])
def test_an_object_that_answers_otherwise_stops_and_nothing_is_written(tmp_path, suite, stored_as, scale):
    store = tmp_path / "store"
    embed(Letters(), suite, store, progress=False, stored_as=stored_as)
    before = contents(store)
    assert embed(Letters(), suite, store, progress=False, stored_as=stored_as).embedded_now == 0
    write_task(tmp_path / "suite", "b", n=10, seed=5)  # there is something new to be embedded, too
    more = load_suite(str(tmp_path / "suite"))
    for check in (True, False):
        with pytest.raises(StoreError, match=r"not those that letters.* makes now") as caught:
            embed(Letters(scale), more, store, progress=False, stored_as=stored_as, check=check)
        assert "new store" in str(caught.value)
    assert contents(store) == before
    assert embed(Letters(), more, store, progress=False, stored_as=stored_as).embedded_now > 0


def test_what_rounding_does_is_no_difference(tmp_path, suite):
    for computed, error in (("float32", 1e-5), ("float16", 1e-2), ("bfloat16", 3e-2)):
        store = tmp_path / computed
        embed(Letters(settings={"dtype": computed}), suite, store, progress=False, check=False)
        embed(Letters(1 + error, settings={"dtype": computed}), suite, store, progress=False)
        with pytest.raises(StoreError):
            embed(Letters(1 + 10 * error + 1e-4, settings={"dtype": computed}), suite, store, progress=False)


def test_an_encoder_that_never_answers_twice_the_same_is_named(tmp_path, suite):
    embed(Letters(noise=1.0), suite, tmp_path / "store", progress=False, check=False)
    with pytest.raises(StoreError, match="other vectors each time"):
        embed(Letters(noise=1.0), suite, tmp_path / "store", progress=False, check=False)


def test_few_sequences_are_asked_for_and_vectors_that_were_never_numbers_are_equal(tmp_path, suite):
    embed(Letters(np.nan), suite, tmp_path / "nan", progress=False, check=False)
    again = Letters(np.nan)
    assert embed(again, suite, tmp_path / "nan", progress=False).embedded_now == 0
    assert again.calls == 1
    write_task(tmp_path / "other", "c", n=10, seed=9)
    report = embed(Letters(np.nan), load_suite(str(tmp_path / "other")), tmp_path / "nan", progress=False, check=False)
    assert any("other sequences only" in note for note in report.warnings)
    assert open_store(tmp_path / "nan").verify() == []
