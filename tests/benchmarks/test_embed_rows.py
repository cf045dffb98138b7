"""The embedding row at toy size: it runs, checks itself, and notices vectors and counts that are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.record import Row, dump, read
from benchmarks.report import markdown
from benchmarks.rows import BENCHES
from benchmarks.rows.base import Context
from benchmarks.rows.embed_rows import Official, join
from geneb_jax.encoder.hf import HFEncoder

TOY = Context(size="toy", repeats=2, memory=False, clear=False)
BENCH = BENCHES["embed-throughput"]


@pytest.fixture(scope="module")
def row() -> Row:
    return BENCH.measure(TOY, BENCH)


def test_the_row_is_correct_and_complete(row: Row, tmp_path: Path) -> None:
    suite = join("toy", None)
    sequences = [s for task in suite.ids for split in suite.load(task).splits.values() for s in split.sequences]
    assert row.check.ok, row.check.trouble
    assert row.check.gap <= 1e-5
    assert row.check.rows_compared == len(set(sequences)) == row.measures["distinct"]
    assert row.measures["sequences"] == len(sequences) > len(set(sequences))
    (rival,) = row.rivals
    assert next(iter(rival.seconds)).startswith("as shipped, batch 4")
    assert any(label.startswith("batch 10, 1 thread") for label in rival.seconds)
    assert row.steady_s is not None
    assert row.ratio_best == min(rival.seconds.values()) / row.steady_s.median
    dump([row], tmp_path / "a.json")
    assert read(tmp_path / "a.json") == [row]
    assert "96 sequences to width 32" in markdown([row])


def test_wrong_vectors_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = HFEncoder.compute
    monkeypatch.setattr(HFEncoder, "compute", lambda *a: [v * np.float32(1.0001) for v in encode(*a)])
    monkeypatch.setattr(Official, "loop", lambda self, splits, rows, every=1: [self.batch(s) for s in splits])
    row = BENCH.measure(TOY, BENCH)
    assert not row.check.ok
    assert any("off by up to 1.0e-04" in line for line in row.check.trouble)
