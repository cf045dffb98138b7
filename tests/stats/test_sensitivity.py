"""Sensitivity studies from the command to the file, each figure against a literal computation."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from scipy.stats import kendalltau, spearmanr

from geneb_jax.cli.sensitivity import command
from geneb_jax.errors import UsageError
from geneb_jax.report.web.sensitivity import sensitivity_tables
from geneb_jax.run import Run
from geneb_jax.stats.compare import compare
from geneb_jax.stats.samples import task_samples
from geneb_jax.stats.sensitivity.document import DOCUMENT, KEYS
from geneb_jax.stats.sensitivity.variance import decompose
from tests.run.helpers import forget_hashes, write_store

AXES = ("probe", "C", "pooling", "layer", "shots", "standardize")
VIEWS = [("mean", "last"), ("mean", "2"), ("cls", "last")]
TASKS = {"t": 0, "u": 1}
STUDY = [
    "--probe", "svm,ridge,centroid", "--C", "0.001,10", "--shots", "2,full", "--draws", "2", "--engine", "sklearn",
    "--level", "0.8", "--resamples", "200", "--source", "rows",
]  # fmt: skip


Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def rows_of(task: int, noise: float, scale: float, seed: int) -> Arrays:
    """Two classes around two centres, in features of very different scales: rankings then change with C."""
    rng = np.random.default_rng([task, seed])
    y = np.arange(160) % 2
    X = (0.8 * (2 * y[:, None] - 1) + noise * rng.normal(size=(160, 4))) * [scale, 1, 1, 1]
    return X[:60], y[:60], X[60:], y[60:]


def sensitivity(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three encoders with one view and one with three, and a run of the study of it."""
    path = tmp_path_factory.mktemp("sensitivity")
    one_view = [("a", 1.0, 0.001), ("b", 2.0, 1.0), ("c", 4.0, 30.0)]
    for seed, (name, noise, scale) in enumerate(one_view):
        write_store(path / "store", {t: rows_of(i, noise, scale, seed) for t, i in TASKS.items()},
                    name=name, revision=name)  # fmt: skip
    for seed, (pooling, layer) in enumerate(VIEWS, start=len(one_view)):
        name = "m" + f",layer={layer}" * (layer != "last") + f",pooling={pooling}" * (pooling != "mean")
        write_store(path / "store", {t: rows_of(i, 1.0 + 0.5 * seed, 1.0, seed) for t, i in TASKS.items()},
                    name=name, settings={"pooling": pooling, "layer": layer})  # fmt: skip
    done = sensitivity(path / "store", *STUDY, "--out", path / "run", "--out-markdown", path / "report.md", "--details")
    assert done.return_value in (0, 4), done.output
    (path / "shown.txt").write_text(done.stdout)
    return path


@pytest.fixture(scope="module")
def found(place: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((place / "run" / DOCUMENT).read_text())
    return content


@pytest.fixture(scope="module")
def scores(found: dict[str, Any]) -> dict[tuple[str, ...], np.ndarray]:
    """Macro of the encoders by the words of a setting."""
    return {tuple(s[a] for a in AXES): np.array(list(s["scores"].values()), float) for s in found["settings"]}


def agree(axis: str, first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Whether two settings differ in this axis alone, a probe without C going with every C."""
    for name, a, b in zip(AXES, first, second, strict=True):
        if (name == axis) == (a == b) and not (axis == "probe" and name == "C" and "-" in (a, b)):
            return False
        if name == axis and "-" in (a, b):
            return False
    return True


def test_every_combination_is_fitted_once_and_those_without_a_meaning_never(place: Path) -> None:
    rows = Run.open(place / "run").records.select(
        ["encoder", "task", "regime", "seed", "probe", "C"]
    ).to_pylist()  # fmt: skip
    made = Counter(tuple(row.values()) for row in rows)
    encoders = ["a", "b", "c", "m", "m,layer=2", "m,pooling=cls"]
    heads = [(head, C) for head in ("svm", "ridge") for C in (0.001, 10.0)] + [("centroid", None)]
    draws = [("full", 13), ("2shot", 13), ("2shot", 17)]
    wanted = {
        (encoder, task, regime, seed, head + suffix, C)
        for encoder, task, (regime, seed), (head, C), suffix in product(
            encoders, TASKS, draws, heads, ("", "-standardized")
        )
    }
    assert set(made) == wanted
    assert set(made.values()) == {1}


def test_scores_are_those_of_the_records(place: Path, scores: dict[tuple[str, ...], np.ndarray]) -> None:
    rows = Run.open(place / "run").records.to_pylist()
    for encoder, own in (("b", 1), ("m,pooling=cls", 3)):
        setting = ("centroid", "-", "cls", "last", "2shot", "yes")
        values = [
            r["mcc"]
            for r in rows
            if (r["encoder"], r["probe"], r["regime"]) == (encoder, "centroid-standardized", "2shot")
        ]
        # every task is a category of its own, so macro is the mean of all
        assert scores[setting][own] == pytest.approx(np.mean(values), abs=1e-12)
    assert len(scores) == 5 * 2 * 2 * len(VIEWS)


def test_agreement_is_that_of_scipy_over_all_contexts(
    found: dict[str, Any], scores: dict[tuple[str, ...], np.ndarray]
) -> None:
    assert set(found["axes"]) == set(AXES)
    seen = 0
    for row in (r for r in found["agreements"] if r["scope"] == "macro"):
        axis = AXES.index(row["axis"])
        pairs = [
            (scores[a], scores[b]) for a, b in product(scores, scores)
            if (a[axis], b[axis]) == (row["first"], row["second"]) and agree(row["axis"], a, b)
            and row["regime"] in (a[4], "all")
        ]  # fmt: skip
        assert row["num_contexts"] == len(pairs)
        rho = [spearmanr(a, b).statistic for a, b in pairs]
        assert row["spearman"]["value"] == pytest.approx(np.mean(rho), abs=1e-12)
        assert row["lowest"] == pytest.approx(min(rho), abs=1e-12)
        assert row["kendall"]["value"] == pytest.approx(np.mean([kendalltau(*p).statistic for p in pairs]), abs=1e-12)
        assert row["spearman"]["low"] <= row["spearman"]["high"]
        shared = [len(set(np.argsort(-a)[:3]) & set(np.argsort(-b)[:3])) / 3 for a, b in pairs]
        if all(len(set(side)) == 4 for p in pairs for side in p):
            assert row["shared"]["value"] == pytest.approx(np.mean(shared), abs=1e-12)
        flips = sum((a[i] - a[j]) * (b[i] - b[j]) < 0 for a, b in pairs for i, j in combinations(range(4), 2))
        assert (row["num_flips"], row["num_pairs"]) == (flips, 6 * len(pairs))
        seen += flips
    assert seen > 0
    assert sum(r["num_real"] for r in found["agreements"]) > 0


def test_conditions_and_spreads_are_plain_means(found: dict[str, Any]) -> None:
    for row in found["conditions"]:
        rho = [
            c["spearman"]["value"] for c in found["comparisons"]
            if (c["axis"], c["regime"]) == (row["axis"], row["regime"])
            and c["first"][row["held"]] == c["second"][row["held"]] == row["value"]
        ]  # fmt: skip
        assert row["num_comparisons"] == len(rho)
        assert row["lowest"] == pytest.approx(min(rho), abs=1e-12)
        assert row["spearman"] == pytest.approx(np.mean(rho), abs=1e-12)
    checked = 0
    for row in found["spreads"]:
        if row["scope"] == "macro" and row["axis"] in ("C", "layer", "standardize"):
            groups: dict[tuple[str, ...], list[float]] = {}
            for setting in found["settings"]:
                if setting["shots"] == row["regime"] and setting[row["axis"]] != "-":
                    rest = tuple(setting[axis] for axis in AXES if axis != row["axis"])
                    groups.setdefault(rest, []).append(setting["scores"][row["encoder"]])
            several = [own for own in groups.values() if len(own) > 1]
            assert row["num_contexts"] == len(several)
            assert row["range"] == pytest.approx(np.mean([np.ptp(own) for own in several]), abs=1e-12)
            assert row["sd"] == pytest.approx(np.mean([np.std(own, ddof=1) for own in several]), abs=1e-12)
            checked += 1
    assert checked == 3 * 2 * 4  # axes, regimes, encoders


def test_flips_are_tested_as_geneb_compare_tests_differences(place: Path, found: dict[str, Any]) -> None:
    """p-values of a setting are those of the paired comparison of its series, max-T over its pairs.

    `compare` knows how many rows there are and counts t as Student's, so its p-values may be a little larger.
    """
    run = Run.open(place / "run")
    own = {"a", "b", "c", "m"}
    checked = 0
    for row in (r for r in found["comparisons"] if r["axis"] == "C" and r["flips"]):
        first = row["first"]
        if (first["pooling"], first["layer"], first["standardize"]) != ("mean", "last", "no"):
            continue
        for side, p in (("first", "p_first"), ("second", "p_second")):
            setting = row[side]
            chosen = [
                s.only([u for u in s.units if u.regime == setting["shots"] and u.series.encoder in own
                        and u.series.probe == setting["probe"] and f"{u.series.C:g}" == setting["C"]])
                for s in task_samples([run]) if s.task in TASKS
            ] if setting["C"] != "-" else []  # fmt: skip
            differences = {
                frozenset((d.first.encoder, d.second.encoder)): d.p_max_t
                for d in compare(chosen, source="rows", resamples=200).differences if d.scope == "macro"
            }  # fmt: skip
            for flip in row["flips"]:
                assert flip[p] == pytest.approx(differences[frozenset((flip["ahead"], flip["behind"]))], abs=0.02)
                assert flip["real"] == (max(flip["p_first"], flip["p_second"]) <= 0.2 + 1e-12)
                checked += 1
    assert checked > 0


def test_the_file_says_what_its_keys_mean_and_the_report_fits(place: Path, found: dict[str, Any]) -> None:
    def keys(value: Any, place: str = "") -> set[str]:
        if isinstance(value, list):
            return set().union(*(keys(one, place) for one in value))
        if not isinstance(value, dict) or place in (
            "tasks",
            "axes",
            "seconds.probes",
            "settings.scores",
            "settings.statuses",
        ):
            return set()
        if {"value", "low", "high"} == set(value) or place.endswith((".first", ".second")):
            return set()
        own = {f"{place}.{key}".lstrip(".") for key in value}
        return own.union(*(keys(one, f"{place}.{key}".lstrip(".")) for key, one in value.items()))

    assert keys(found) - {f"settings.{axis}" for axis in AXES} == set(KEYS)
    shown = (place / "shown.txt").read_text()
    assert max(map(len, shown.splitlines()[:-2])) <= 100
    report = (place / "report.md").read_text()
    for verdict in found["verdicts"]:
        assert verdict in report
        assert verdict[:60] in shown
    cells = [line.split("|") for line in report.splitlines() if line.startswith("|")]
    assert all(len(a) == len(b) for a, b in pairwise(cells) if ":--" in b[1])


def test_again_nothing_is_fitted_and_a_run_gives_the_same_answer(place: Path, found: dict[str, Any]) -> None:
    run = place / "run"
    before = (run / "records.parquet").read_bytes()
    again = sensitivity(place / "store", *STUDY, "--out", run, "--json")
    assert (run / "records.parquet").read_bytes() == before
    alone = sensitivity(run, "--level", "0.8", "--resamples", "200", "--source", "rows", "--json")
    for done in (again, alone):
        other = json.loads(done.stdout)
        assert {**other, "seconds": None} == {**found, "seconds": None}
    mixed = sensitivity(place / "store", run)
    assert isinstance(mixed.exception, UsageError)
    assert "named together" in str(mixed.exception)


def test_scores_that_say_nothing_are_counted_and_marked(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "run", tmp_path / "run")
    records = pq.read_table(tmp_path / "run" / "records.parquet")
    rows = records.to_pylist()
    # an encoder with one view stands in all three poolings and layers, one with several in its own
    alone = next(i for i, row in enumerate(rows) if row["encoder"] == "a" and row["probe"] == "centroid")
    of_three = next(i for i, row in enumerate(rows) if row["encoder"] == "m" and row["probe"] == "centroid")
    statuses = [row["status"] for row in rows]
    before = sum(3 if row["encoder"] in "abc" else 1 for row in rows if row["status"] == "one_class_predicted")
    assert statuses[alone] == statuses[of_three] == "converged"
    statuses[alone] = statuses[of_three] = "one_class_predicted"
    column = records.schema.get_field_index("status")
    field = records.schema.field(column)
    pq.write_table(
        records.set_column(column, field, pa.array(statuses, field.type)), tmp_path / "run" / "records.parquet"
    )
    forget_hashes(tmp_path / "run")
    done = sensitivity(tmp_path / "run", "--out", tmp_path, "--resamples", "200", "--out-markdown", tmp_path / "s.md")
    assert done.return_value == 4, done.output
    line = f"‡ {before + 4} of these scores are one_class_predicted"
    assert line in done.stdout
    assert line in (tmp_path / "s.md").read_text()
    content = json.loads((tmp_path / DOCUMENT).read_text())
    counts = [one for s in content["settings"] for own in s["statuses"].values() for one in own.items()]
    assert sum(count for label, count in counts if label == "one_class_predicted") == before + 4
    assert line in sensitivity_tables(content)[0].note


def test_views_can_be_chosen_and_unknown_ones_are_named(place: Path, tmp_path: Path) -> None:
    done = sensitivity(place / "store", "--shots", "full", "--standardize", "no", "--engine", "sklearn", "--pooling",
                       "mean", "--resamples", "100", "--out", tmp_path / "run", "--json")  # fmt: skip
    found = json.loads(done.stdout)
    assert found["axes"] == {"layer": ["last", "2"]}
    assert {r["encoder"] for r in Run.open(tmp_path / "run").records.to_pylist()} == {"a", "b", "c", "m", "m,layer=2"}
    wrong = sensitivity(place / "store", "--pooling", "men", "--out", tmp_path / "other")
    assert "mean" in str(wrong.exception)


def test_what_cannot_be_ranked_is_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    for name, tasks in (("a", "t"), ("b", "tu"), ("c", "u")):
        rows = {task: rows_of(TASKS[task], 1.0, 1.0, seed) for seed, task in enumerate(tasks)}
        write_store(tmp_path / name, rows, name=name, revision=name)
    stores = [tmp_path / name for name in "abc"]
    for arguments, message in (
        ((*stores[:2], "--out", tmp_path / "run"), "needs 3 encoders, and there are 2"),
        ((*stores, "--shots", "full", "--standardize", "no", "--out", tmp_path / "run"), "nothing was varied"),
        (stores, "--out RUN"),
    ):
        refused = sensitivity(*arguments)
        assert isinstance(refused.exception, UsageError)
        assert message in str(refused.exception)
    assert not (tmp_path / "run").exists()

    apart = sensitivity(*stores, "--probe", "centroid", "--engine", "sklearn", "--shots", "full",
                        "--out", tmp_path / "run")  # fmt: skip
    assert "no task has a score of every encoder" in str(apart.exception)
    assert "a (centroid, full, not standardized): t; c (centroid, full, not standardized): u" in str(apart.exception)


def test_the_paper_s_study_is_one_option() -> None:
    done = sensitivity("nowhere", "--appendix-e", "--shots", "full", "--out", "run")
    assert "nowhere" in str(done.exception)
    context = command.make_context("sensitivity", ["x", "--appendix-e", "--C", "1", "--out", "run"])
    asked = {name: context.params[name] for name in ("heads", "penalties", "shots", "standardize")}
    assert asked == {"heads": "logistic,mlp", "penalties": "1", "shots": "1,10,full", "standardize": "no"}


def effects(levels: dict[str, np.ndarray], term: tuple[str, ...]) -> np.ndarray:
    """Indicator columns of all combinations of a term's levels."""
    _, codes = np.unique(np.stack([levels[f] for f in term]), axis=1, return_inverse=True)
    return np.eye(codes.max() + 1)[codes.ravel()]


def test_sums_of_squares_are_those_of_nested_least_squares() -> None:
    """A term's sum of squares is what its columns explain beyond those of all terms inside it: a projection."""
    shape, factors = (3, 4, 2, 3), ("encoder", "task", "axis", "draw")
    y = np.random.default_rng(0).normal(size=shape).cumsum(axis=0)
    grid = dict(zip(factors, (index.ravel() for index in np.indices(shape)), strict=True))
    found = decompose(y, factors, {"draw": "task"})
    assert sum(term.ss for term in found) == pytest.approx(((y - y.mean()) ** 2).sum())
    assert sum(term.df for term in found) == y.size - 1
    for term in found:
        own = term.name.split(" × ")
        inside = own + ["task"] * ("draw" in own and "task" not in own)
        below = [np.ones((y.size, 1))]
        for size in range(1, len(inside) + 1):
            below += [
                effects(grid, part) for part in combinations(inside, size)
                if set(part) != set(inside) and ("draw" not in part or "task" in part)
            ]  # fmt: skip

        def residual(columns: list[np.ndarray]) -> tuple[float, int]:
            X = np.hstack(columns)
            beta, _, rank, _ = np.linalg.lstsq(X, y.ravel(), rcond=None)
            return float(((y.ravel() - X @ beta) ** 2).sum()), int(rank)

        (without, low), (with_it, high) = residual(below), residual([*below, effects(grid, tuple(inside))])
        assert term.ss == pytest.approx(without - with_it, abs=1e-9), term.name
        assert term.df == high - low


def test_variance_components_come_back_from_simulated_scores() -> None:
    """Means over many simulated studies are the standard deviations that went in."""
    rng = np.random.default_rng(1)
    sizes = {"encoder": 6, "task": 5, "axis": 3, "draw": 4}
    truth = {("encoder",): 0.3, ("task",): 0.5, ("axis",): 0.2, ("encoder", "axis"): 0.25, ("task", "draw"): 0.15,
             ("encoder", "task", "axis", "draw"): 0.1}  # fmt: skip
    sums: Counter[str] = Counter()
    for _ in range(400):
        y = np.zeros(tuple(sizes.values()))
        for term, sd in truth.items():
            y = y + sd * rng.normal(size=[size if name in term else 1 for name, size in sizes.items()])
        sums.update({term.name: term.component for term in decompose(y, tuple(sizes), {"draw": "task"})})
    found = {name: total / 400 for name, total in sums.items()}
    expected = {"encoder": 0.09, "task": 0.25, "axis": 0.04, "encoder × axis": 0.0625, "draw": 0.0225,
                "encoder × axis × draw": 0.01}  # fmt: skip
    for name, value in found.items():
        assert value == pytest.approx(expected.get(name, 0), rel=0.15, abs=0.004), name
