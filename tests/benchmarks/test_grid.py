"""The grid benchmark on a toy grid: it runs, is taken up again, and its model and its vectors are what they claim."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import matthews_corrcoef

from benchmarks.batched import lbfgs_batch
from benchmarks.checks import find_reference
from benchmarks.grid import Grid, GridEncoder, GridTask, run_grid
from benchmarks.grid.calls import Calls
from benchmarks.grid.model import Shapes, extrapolate, solving, storing, summed
from benchmarks.grid.outcome import phases
from benchmarks.grid.report import print_grid
from benchmarks.grid.result import dump_grid, read_grid
from benchmarks.grid.rivals import choose, distinct_lanes, guess, problem_of
from benchmarks.grid.run import manifest_of, require_room
from benchmarks.grid.shape import MOST_ROWS, Cell, cell_of, part_of, published_grid
from benchmarks.grid.spectra import measure
from benchmarks.grid.synthetic import REAL, Vectors, distance, labels_of
from benchmarks.rows.yardstick_rows import relative_gap
from benchmarks.tables import tables
from geneb_jax.errors import StoreError, UsageError
from geneb_jax.run import Run
from geneb_jax.store import open_store

WHOLE = published_grid()
# fewer rows than columns, and all of them in a ten-shot draw: one shape to compile
TOY = Grid(
    tuple(GridEncoder(name, 24, {"a": 0.5, "b": 0.8}) for name in ("first", "second")),
    (GridTask("a", "x", 20, 16, 2), GridTask("b", "y", 20, 16, 2)),
)


class StoppedError(Exception):
    """An interrupt between two encoders."""


def test_a_run_is_taken_up_again_and_cleans_up(tmp_path: Path) -> None:
    folder = tmp_path / "grid"

    def stop(text: str) -> None:
        if text.startswith("encoder 2"):
            raise StoppedError

    with pytest.raises(StoppedError):
        run_grid(1.0, grid=TOY, folder=folder, keep=True, clear=False, say=stop)
    result = run_grid(1.0, grid=TOY, folder=folder, keep=True, resamples=100, clear=False)
    assert (result.sessions, result.faults, result.exact) == (2, [], True)
    assert 2 * 72 * 24 * 4 < result.disk_bytes < 100_000  # both encoders, although one was written before
    records = Run.open(folder / "run").records.to_pylist()
    assert len(records) == 2 * 2 * 15
    assert all(phase.seconds == phase.whole_seconds for phase in result.phases)
    assert all(result.phase(name).seconds > 0 for name in ("generate", "write", "read", "solve", "score", "bootstrap"))
    assert result.phase("read").observations == 4
    with open_store(folder / "store.zarr") as store:
        element = store.element(manifest_of(TOY.encoders[1]))
        vectors = Vectors(TOY, TOY.encoders[1])
        np.testing.assert_array_equal(element.read(), vectors.piece(0, 72))
        np.testing.assert_array_equal(element.split("b", "test").rows, vectors.rows_of(1)[1])
    out = io.StringIO()
    print_grid(Console(file=out, width=100), result)
    assert "extrapolated" not in out.getvalue()
    dump_grid(result, tmp_path / "grid.json")
    assert read_grid(tmp_path / "grid.json") == result
    assert out.getvalue() in tables([tmp_path / "grid.json"])
    with pytest.raises(StoreError, match="another part"):
        run_grid(1.0, grid=replace(TOY, tasks=TOY.tasks[:1]), folder=folder)
    run_grid(1.0, grid=TOY, folder=folder, resamples=100, clear=False)
    assert not folder.exists()


def test_a_disk_that_is_too_small_is_named_with_the_bytes(tmp_path: Path) -> None:
    vast = Grid(TOY.encoders, (GridTask("a", "x", 10**13, 10**3, 2),))
    calls = Calls.open(tmp_path / "timings.jsonl", vast)
    with pytest.raises(StoreError, match=r"1,008,000,\d{3},\d{3},\d{3} bytes"):
        require_room(tmp_path, vast, calls, keep=False)
    with pytest.raises(StoreError, match=r"2,016,\d{3},\d{3},\d{3},\d{3} bytes"):
        require_room(tmp_path, vast, calls, keep=True)


def test_the_published_grid_and_its_parts() -> None:
    assert (len(WHOLE.encoders), len(WHOLE.tasks)) == (40, 100)
    assert {min(e.width for e in WHOLE.encoders), max(e.width for e in WHOLE.encoders)} == {72, 4096}
    assert max(task.rows for task in WHOLE.tasks) == MOST_ROWS
    assert all(len(encoder.mcc) == 100 for encoder in WHOLE.encoders)
    for scale in (0.001, 0.01, 0.1):
        part = part_of(WHOLE, scale)
        assert part.bytes == pytest.approx(scale * WHOLE.bytes, rel=0.05)
        widths = [encoder.width for encoder in part.encoders]
        assert (min(widths), max(widths)) == (72, 4096)
        assert any(task.k > 2 for task in part.tasks)
        assert all(task.n >= 20 * task.k for task in part.tasks)
    assert part_of(WHOLE, 1) is WHOLE
    with pytest.raises(UsageError, match="scale"):
        part_of(WHOLE, 1.5)


def test_rates_are_found_and_a_call_that_does_not_fit_shows_when_held_out() -> None:
    cells = [Cell(n, n // 9, d, k) for n in (500, 9_000, 40_000) for d in (72, 768, 4096) for k in (2, 3)]
    rates = {"cell": 0.01, "value": 1e-9, "pass": 4e-9, "gram": 2e-11, "factor": 1e-10, "draws": 1e-8}
    calls = [solving(cell) for cell in cells]
    seconds = [sum(rates[name] * amount for name, amount in call.items()) for call in calls]
    whole = summed(map(solving, WHOLE.cells))
    found = extrapolate(calls, seconds, whole)
    assert found.whole == pytest.approx(sum(rates[name] * amount for name, amount in whole.items()), rel=1e-6)
    assert found.held_out == pytest.approx(0, abs=1e-6)
    slow = [2 * s if cell.d == 4096 and cell.n == 40_000 and cell.k == 2 else s
            for s, cell in zip(seconds, cells, strict=True)]  # fmt: skip
    assert extrapolate(calls, slow, whole).held_out_largest < -0.1  # type: ignore[operator]


def test_shapes_are_compiled_once_in_a_process(tmp_path: Path) -> None:
    new = Shapes()
    assert new(Cell(1_000, 100, 72, 2)) == {"fit": 1, "draws": 1, "score": 1}
    assert new(Cell(1_001, 100, 72, 2)) == {"fit": 0, "draws": 0, "score": 0}  # padded to the same
    assert new(Cell(2_000, 100, 72, 2)) == {"fit": 1, "draws": 0, "score": 0}
    calls = Calls.open(tmp_path / "timings.jsonl", TOY)
    for encoder in TOY.encoders:
        calls.add("compile", 1.0, [cell_of(encoder, TOY.tasks[0])])
    calls = Calls.open(tmp_path / "timings.jsonl", TOY)
    calls.add("compile", 3.0, [cell_of(TOY.encoders[0], TOY.tasks[0])])
    compiling = next(p for p in phases(WHOLE, TOY, calls, 100) if p.name == "compile")
    assert (compiling.seconds, compiling.observations) == (5.0, 3)


def test_vectors_are_as_measured_and_classes_as_far_apart_as_wanted() -> None:
    assert distance(0.5, 2, 0.0) == pytest.approx(2 * norm.ppf(0.75), abs=1e-3)
    for k in (2, 5):
        task = GridTask("t", "x", 3_000, 3_000, k)
        encoder = GridEncoder("e", 128, {"t": 0.6})
        vectors = Vectors(Grid((encoder,), (task,)), encoder)
        X = vectors.piece(0, task.rows)
        train, test = vectors.rows_of(0)
        y, truth = labels_of(task, "train"), labels_of(task, "test")
        found = measure(X[train], y)
        assert found.decay == pytest.approx(REAL.decay, abs=0.1)
        assert found.offset == pytest.approx(REAL.offset, rel=0.3)
        rule = LinearDiscriminantAnalysis().fit(X[train], y)
        assert matthews_corrcoef(truth, rule.predict(X[test])) == pytest.approx(0.6, abs=0.06)


def test_the_rival_gets_cells_of_all_costs_that_fit_its_time() -> None:
    part = part_of(WHOLE, 0.01)
    some = [guess(cell_of(*pair)) for pair in choose(part, 60.0, 2)]
    assert sum(some) <= 120
    assert len(some) > 5
    assert max(some) > 20 * min(some)
    assert storing(cell_of(*choose(part, 1e-9, 2)[0]))["byte"] == min(cell.bytes for cell in part.cells)


@pytest.mark.parametrize("k", [2, 3])
def test_the_batched_rival_reaches_the_optimum_of_every_probe(k: int) -> None:
    problem = problem_of(GridEncoder("e", 24, {"t": 0.6}), GridTask("t", "x", 300, 30, k))
    for lanes in (regime[:2] for regime in distinct_lanes()[:2]):
        best = find_reference(problem, lanes).values
        found = zip(lanes, *lbfgs_batch(problem, lanes, "float32")(30), strict=True)
        gaps = [relative_gap(problem, lane, best[lane], coef, intercept) for lane, coef, intercept in found]
        assert -1e-6 < min(gaps) <= max(gaps) < 1e-6
