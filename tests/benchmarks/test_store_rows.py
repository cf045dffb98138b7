"""The store's rows at toy size: they run, check themselves, and notice vectors that are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.record import dump, read
from benchmarks.report import markdown
from benchmarks.rows import BENCHES
from benchmarks.rows.base import Context
from geneb_jax.store import EmbeddingStore

TOY = Context(size="toy", repeats=2, memory=False, clear=False)


@pytest.mark.parametrize("name", ["store-read-tf0", "store-append"])
def test_a_row_is_correct_and_complete(name: str, tmp_path: Path) -> None:
    row = BENCHES[name].measure(TOY, BENCHES[name])
    assert row.check.ok, row.check.trouble
    (rival,) = row.rivals
    assert row.steady_s is not None
    assert rival.best is not None
    assert row.ratio_best == pytest.approx(rival.best / row.steady_s.median)
    assert [t.met for t in row.targets] == [None]
    dump([row], tmp_path / "a.json")
    assert read(tmp_path / "a.json") == [row]
    assert f"`{name}`" in markdown([row])


def test_wrong_vectors_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    each = EmbeddingStore.read_each
    calls = []

    def once_wrong(self: EmbeddingStore, *rows: np.ndarray) -> list[np.ndarray]:
        calls.append(rows)
        found = each(self, *rows)
        if len(rows) > 1:
            found[0][0] += 1
        return found

    monkeypatch.setattr(EmbeddingStore, "read_each", once_wrong)
    row = BENCHES["store-read-tf0"].measure(TOY, BENCHES["store-read-tf0"])
    assert row.check.trouble == ["the store's vectors differ from the files'"]
