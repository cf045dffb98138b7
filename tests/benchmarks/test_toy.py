"""The benchmark rows at toy size: they run, they check themselves, their results keep the format. No timing here."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.ceilings import floor_work, forms_gram
from benchmarks.checks import certificate, check_lanes, find_reference, value_at
from benchmarks.compare import compare_rows
from benchmarks.peak import peak_memory
from benchmarks.profiling import SUMMARY, profile_bench
from benchmarks.racers import DENSE_LIMIT, first_reaching, race, racers
from benchmarks.record import Ceilings, Check, Memory, Rival, Row, Shape, Steady, Target, dump, read
from benchmarks.report import markdown
from benchmarks.rows import BENCHES, select
from benchmarks.rows.base import Context, fit
from benchmarks.rows.bootstrap_rows import BootstrapBench
from benchmarks.rows.curves import exponent
from benchmarks.workloads import WORKLOADS, Problem, draw_lanes, full_lane, load_problem, workload
from geneb_jax.errors import DataError, MissingDataError, UnknownNameError, UsageError

# compiling the engine and timing scikit-learn takes most of a minute
pytestmark = pytest.mark.slow

TOY = Context(size="toy", repeats=2, memory=False, cap=5.0, clear=False)
NAMES = ("protocol-tf0-freq", "draws-1000-freq", "penalties-tf0-freq", "gram-tf0-freq", "curve-draws")


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {name: BENCHES[name].measure(TOY, BENCHES[name]) for name in NAMES}


@pytest.fixture(scope="module")
def problem() -> Problem:
    return load_problem(workload("toy2-freq"), None)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_correct_and_complete(rows: dict[str, Row], name: str) -> None:
    row = rows[name]
    assert row.check.ok, row.check.trouble
    assert row.check.rows_compared > 0
    assert row.steady_s is not None
    assert 0 < row.steady_s.min <= row.steady_s.median <= row.steady_s.max
    assert row.steady_compilations == 0
    assert row.ceilings is not None
    assert 0 < row.ceilings.fraction < 1
    assert [target.measure for target in row.targets] == [goal.measure for goal in BENCHES[name].goals]
    assert all(target.value is not None and target.met is None for target in row.targets)


def test_the_floor_holds_a_gram_only_where_one_is_formed(rows: dict[str, Row], problem: Problem) -> None:
    assert rows["gram-tf0-freq"].measures["floor_holds_a_gram"] == 1
    rng = np.random.default_rng(0)
    tiny = replace(problem, X_train=1e-3 * rng.normal(size=(210, 200)).astype(np.float32), y_train=np.arange(210) % 2)
    tiny = replace(tiny, X_test=tiny.X_train[:50], y_test=tiny.y_train[:50])
    assert not forms_gram(lambda: fit(tiny, full_lane()))
    with_gram, without = (floor_work(tiny, full_lane(), gram=gram)[0] for gram in (True, False))
    assert with_gram - without == 210 * 200 * 201


def test_a_profile_leaves_a_trace_and_a_summary_by_phase(tmp_path: Path) -> None:
    profile_bench(TOY, BENCHES["gram-tf0-freq"], tmp_path, Console(file=io.StringIO()))
    text = (tmp_path / SUMMARY).read_text(encoding="utf-8")
    assert all(f"│ {phase} " in text for phase in ("transfer", "solve", "score", "the rest"))
    assert "probes.fit.fit_tasks" in text
    assert list(tmp_path.rglob("perfetto_trace.json.gz"))
    with pytest.raises(UsageError, match="store-append"):
        profile_bench(TOY, BENCHES["store-append"], tmp_path, Console(file=io.StringIO()))


def test_ratios_are_rival_over_ours(rows: dict[str, Row]) -> None:
    row = rows["protocol-tf0-freq"]
    assert row.steady_s is not None
    assert [rival.dtype for rival in row.rivals] == ["float32", "float64"]
    assert row.ratio_as_shipped == pytest.approx(row.rivals[0].as_shipped / row.steady_s.median)
    best = min(seconds for rival in row.rivals for seconds in rival.seconds.values())
    assert row.ratio_best == pytest.approx(best / row.steady_s.median)
    assert row.measures["stock_gap_float32"] > row.check.gap
    assert all(rival.scaled for rival in rows["draws-1000-freq"].rivals)


def test_results_are_read_back_and_tabled(rows: dict[str, Row], tmp_path: Path) -> None:
    dump(list(rows.values()), tmp_path / "a.json")
    assert read(tmp_path / "a.json") == list(rows.values())
    text = markdown(list(rows.values()))
    assert all(f"`{name}`" in text for name in NAMES)
    # every table line has as many cells as its header
    for block in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE):
        assert len({line.count("|") for line in block.strip().splitlines()}) == 1
    assert str(Path.home()) not in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_compare_flags_what_leaves_the_spread(rows: dict[str, Row]) -> None:
    row = rows["gram-tf0-freq"]

    def timed(low: float, high: float, **changes: object) -> Row:
        steady = Steady(median=(low + high) / 2, min=low, max=high, repeats=2)
        return row.model_copy(update={"steady_s": steady, **changes})

    def verdict(after: list[Row]) -> str:
        return compare_rows([timed(1.0, 2.0)], after)[0].verdict

    assert verdict([timed(2.1, 3.0)]) == "slower"
    assert verdict([timed(1.9, 3.0)]) == "same"
    assert verdict([timed(0.5, 0.9)]) == "faster"
    assert verdict([]) == "missing"
    wrong = row.check.model_copy(update={"ok": False})
    assert verdict([timed(0.5, 0.9, check=wrong)]) == "wrong now"
    (change,) = compare_rows([timed(1, 2)], [timed(1, 2, versions={**row.versions, "jax": "9.9"})])
    assert any("jax" in note and "9.9" in note for note in change.notes)


def test_a_wrong_fit_is_caught(problem: Problem) -> None:
    results = fit(problem, full_lane())
    reference = find_reference(problem, full_lane())
    assert check_lanes(problem, results, reference).ok
    coef = results[0].coef
    assert coef is not None
    shifted = check_lanes(problem, [replace(results[0], coef=coef * 1.05)], reference)
    assert any("above the optimum" in line for line in shifted.trouble)
    flipped = replace(results[0], predictions=1 - np.asarray(results[0].predictions))
    assert any("predicted differently" in line for line in check_lanes(problem, [flipped], reference).trouble)


@pytest.mark.parametrize("name", ["toy2-counts", "toy3-freq"])
def test_the_certificate_bounds_the_true_gap(name: str) -> None:
    problem = load_problem(workload(name), None)
    (lane,) = full_lane()
    reference = find_reference(problem, [lane])
    best, result = reference.values[lane], reference.results[lane]
    assert reference.bound < 1e-10
    assert result.coef is not None
    assert result.intercept is not None
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-1, 1.0):
        coef = result.coef + size * rng.normal(size=result.coef.shape)
        value, bound = certificate(problem, lane, coef, result.intercept + size)
        assert value == value_at(problem, lane, coef, result.intercept + size)
        assert 0 < (value - best) / value <= bound


def test_every_installed_rival_minimises_the_same_objective(problem: Problem) -> None:
    (lane,) = full_lane()
    best = find_reference(problem, [lane]).values[lane]
    reached = {}
    for racer in racers(problem):
        if racer.skip is None:
            coef, intercept = racer.fit(300 if "L-BFGS" in racer.name else 100)
            reached[racer.name, racer.dtype] = (
                value_at(problem, lane, np.float64(coef), np.float64(intercept)) / best - 1
            )
    assert {name for name, _ in reached} >= {"scikit-learn lbfgs", "torch L-BFGS", "Optax L-BFGS, jitted"}
    assert max(reached.values()) < 1e-5, reached


def test_a_race_counts_iterations_or_says_why_not(problem: Problem) -> None:
    def halving(limit: int) -> tuple[np.ndarray, np.ndarray]:
        return np.full((1, 1), 0.5**limit), np.zeros(1)

    def gap_of(coef: np.ndarray, intercept: np.ndarray) -> float:
        return float(coef[0, 0])

    assert first_reaching(halving, gap_of, 1e-6, 5.0) == (20, 0.5**32)
    limit, nearest = first_reaching(lambda limit: (np.ones((1, 1)), np.zeros(1)), gap_of, 1e-6, 5.0)
    assert (limit, nearest) == (None, 1.0)
    (newton,) = (r for r in racers(problem) if "newton" in r.name and r.dtype == "float64")
    (lane,) = full_lane()
    best = find_reference(problem, [lane]).values[lane]
    rival = race(newton, lambda W, b: value_at(problem, lane, W, b) / best - 1, 1e-6, 5.0)
    assert rival.best is not None
    assert rival.best > 0
    assert rival.note is not None
    assert rival.note.endswith("iterations")
    wide = replace(problem, X_train=np.zeros((4, DENSE_LIMIT), np.float32), y_train=np.array([0, 1, 0, 1]))
    (skipped,) = (r for r in racers(wide) if "newton" in r.name and r.dtype == "float64")
    assert "too large" in str(race(skipped, gap_of, 1e-6, 5.0).note)


def test_memory_is_that_of_a_fresh_process(problem: Problem) -> None:
    ballast = np.ones(1 << 27, np.float64)  # 1 GB here must not count there
    memory = peak_memory(problem, draw_lanes(1))
    assert ballast[-1] == 1
    assert problem.bytes_X < memory.before_bytes < memory.peak_bytes < ballast.nbytes
    assert memory.kept_bytes is not None
    assert memory.before_bytes < memory.kept_bytes < memory.peak_bytes, "the second process compiled again"


def test_names_shapes_and_missing_data(tmp_path: Path) -> None:
    assert [bench.name for bench in select(("curve-*",))] == [n for n in BENCHES if n.startswith("curve-")]
    with pytest.raises(UnknownNameError, match="protocol-tf0-freq"):
        select(("protocol-tf0-frek",))
    on_data = [bench for bench in BENCHES.values() if not isinstance(bench, BootstrapBench)]
    assert {w for bench in on_data for w in (bench.real, bench.toy)} <= WORKLOADS.keys()
    with pytest.raises(MissingDataError, match="tf0-freq"):
        load_problem(workload("tf0-freq"), tmp_path)
    assert load_problem(workload("toy3-freq").but(rows=50, columns=7, merge=2), None).X_train.shape == (50, 7)
    assert exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text in ("{", "[]", '{"geneb_type": "benchmark-results", "geneb_version": 9}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"x\.json|JSON|results|version"):
            read(path)
    path.write_text('{"geneb_type": "benchmark-results", "geneb_version": 1, "rows": [{}]}', encoding="utf-8")
    with pytest.raises(DataError, match="format"):
        read(path)


def test_the_readme_explains_every_key() -> None:
    page = (Path(__file__).parents[2] / "benchmarks" / "README.md").read_text(encoding="utf-8")
    for model in (Row, Shape, Steady, Rival, Check, Target, Ceilings, Memory):
        for key in model.model_fields:
            assert f"`{key}`" in page, f"{model.__name__}.{key} is not explained"


def test_workloads_have_the_sizes_they_are_named_after(shared_data: Path) -> None:
    problem = load_problem(workload("fungi20-freq"), shared_data)
    assert (problem.n, problem.d, problem.classes, problem.outputs) == (1200, 256, 20, 20)
    np.testing.assert_allclose(problem.X_train.sum(axis=1), 1, rtol=1e-4)
    counts = load_problem(workload("virus25-counts"), shared_data)
    assert counts.classes == 25
    assert np.array_equal(counts.X_train, np.round(counts.X_train))
