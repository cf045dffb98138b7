"""Stores whose vectors do not fit the memory budget: the same run, and no more memory than was allowed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.probes.spec import HeldOutC, LogisticSpec
from geneb_jax.run import probe
from geneb_jax.run.directory import Run
from geneb_jax.run.lanes import make_draws, make_lanes
from geneb_jax.run.streaming import Reader
from geneb_jax.store import Manifest, SplitIndex, open_store
from tests.run.helpers import blobs, write_store

MIB = 2**20

SMALL = 600_000
"""Bytes: less than the fits of these tasks take in memory, more than reading a block of the store takes."""


def rows_of(run: Run, *left_out: str) -> list[dict[str, object]]:
    return run.records.drop_columns(["seconds", *left_out]).to_pylist()


@pytest.mark.slow
def test_a_small_budget_changes_no_record(tmp_path: Path) -> None:
    write_store(tmp_path / "store", {"a": blobs(1, n=6000)})
    assert in_blocks(tmp_path / "store")
    asked = {
        "regimes": ["full", "10shot"],
        "seeds": [13],
        "specs": [LogisticSpec(), HeldOutC(grid=(0.1, 10.0))],
        "dtype": "float64",
        "progress": False,
    }
    whole = probe([tmp_path / "store"], None, tmp_path / "whole", **asked)  # type: ignore[arg-type]
    streamed = probe([tmp_path / "store"], None, tmp_path / "streamed", memory_budget=SMALL, **asked)  # type: ignore[arg-type]
    numbers = ("objective", "grad_norm", "relative_gap", "num_steps")
    for one, other in zip(rows_of(streamed, *numbers), rows_of(whole, *numbers), strict=True):
        assert {key: (one[key], other[key]) for key in one if one[key] != other[key]} == {}
    for one, other in zip(rows_of(streamed), rows_of(whole), strict=True):
        assert one["objective"] == pytest.approx(other["objective"], rel=1e-9)
        mine, theirs = (run.predictions(str(one["record_id"])) for run in (streamed, whole))
        assert mine is not None
        assert theirs is not None
        assert np.array_equal(mine.predicted, theirs.predicted)


def in_blocks(path: Path) -> bool:
    """Whether one full-data lane of task "a" is read as rows under the small budget."""
    (element,) = open_store(path).elements()
    train, test = element.split("a", "train"), element.split("a", "test")
    lanes = make_lanes(["full"], make_draws([13], None, 0), [LogisticSpec()])
    found = Reader("float32", SMALL, blocks=True).read(element, train, test, lanes)
    assert isinstance(Reader("float32", SMALL, blocks=False).read(element, train, test, lanes)[0], np.ndarray)
    assert isinstance(Reader("float32", None, blocks=True).read(element, train, test, lanes)[0], np.ndarray)
    return not any(isinstance(X, np.ndarray) for X in found)


def test_bad_vectors_are_named_without_being_read(tmp_path: Path) -> None:
    arrays = blobs(1, n=6000)
    arrays[0][7, 2] = np.nan
    write_store(tmp_path / "store", {"a": arrays})
    assert in_blocks(tmp_path / "store")
    asked = {"regimes": ["full"], "seeds": [13], "progress": False}
    whole = probe([tmp_path / "store"], None, tmp_path / "whole", **asked)  # type: ignore[arg-type]
    streamed = probe([tmp_path / "store"], None, tmp_path / "streamed", memory_budget=SMALL, **asked)  # type: ignore[arg-type]
    assert rows_of(streamed) == rows_of(whole)
    assert rows_of(streamed)[0]["status"] == "bad_embedding"


def test_a_budget_that_nothing_fits_says_what_would(tmp_path: Path) -> None:
    write_store(tmp_path / "store", {"a": blobs(1, n=400)})
    run = probe([tmp_path / "store"], None, tmp_path / "run", memory_budget=1000, progress=False)
    assert all("allow at least" in str(row["message"]) for row in rows_of(run))


N, M, D = 60_000, 2_000, 512
BUDGET = 64 * MIB

MEASURE = """
import ctypes, gc, json, sys
import numpy as np
from geneb_jax.probes.lane import Lane
from geneb_jax.probes.regime import Regime
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.probes.streamed import fit_task_streamed
from geneb_jax.run.streaming import store_rows
from geneb_jax.store import open_store

def memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

store = open_store(sys.argv[1])
(element,) = store.elements()
train, test = element.split("a", "train"), element.split("a", "test")
lanes = [Lane(Regime(s), 13, LogisticSpec(C=C)) for s, C in ((None, 1.0), (None, 0.01), (10, 1.0))]

def fit(count):
    return fit_task_streamed(
        store_rows(element, train.rows[:count]), train.labels[:count], store_rows(element, test.rows), test.labels,
        lanes, memory_budget=int(sys.argv[2]),
    )

fit(12_000)  # imports and compiles everything
gc.collect()
ctypes.CDLL("libc.so.6").malloc_trim(0)
base = memory("VmRSS")
with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")  # the high-water mark starts from here
results = fit(len(train))
print(json.dumps({
    "added": memory("VmHWM") - base, "status": [r.status.label for r in results], "mcc": [r.mcc for r in results],
}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to reset the high-water mark")
def test_peak_memory_stays_below_the_budget(tmp_path: Path) -> None:
    """123 MB of vectors in a process that may add 67 MB, measured by the kernel."""
    rng = np.random.default_rng(0)
    direction = rng.normal(size=D) / np.sqrt(D)
    with open_store(tmp_path / "store", "a") as store:
        element = store.element(Manifest("toy", "toy", "1", D))
        for split, size in (("train", N), ("test", M)):
            start, labels = element.num_rows, []
            for part in range(0, size, element.commit_rows):
                X = rng.standard_normal((min(element.commit_rows, size - part), D), dtype=np.float32)
                labels.append(X @ direction + 0.5 * rng.normal(size=len(X)) > 0)
                element.append([f"{split}{part + i}" for i in range(len(X))], X)
            element.write_split(
                SplitIndex(
                    task_id="a",
                    split=split,
                    rows=np.arange(start, start + size),
                    labels=np.concatenate(labels).astype(np.int64),
                    data_digest=split,
                    category="c",
                    label="a",
                    suite_name="arrays",
                    suite_version="1",
                )
            )
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "store"), str(BUDGET)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found = json.loads(done.stdout)
    assert found["status"] == ["converged"] * 3
    assert min(found["mcc"][:2]) > 0.6
    assert 4 * N * D > BUDGET > found["added"] > BUDGET / 8, found
