"""C chosen on held-out training rows: the rule, both ways of computing it, and what it does where it cannot."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, matthews_corrcoef
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneb_jax.errors import ProbeError
from geneb_jax.metric import exact_mcc, mcc
from geneb_jax.probes.blocks import ArrayRows
from geneb_jax.probes.choose import Choice, choose_penalties
from geneb_jax.probes.fit import fit_task
from geneb_jax.probes.harness import fit_task_sklearn
from geneb_jax.probes.heads.fit import fit_heads
from geneb_jax.probes.heads.harness import sklearn_model
from geneb_jax.probes.heads.specs import RidgeSpec, SvmSpec
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.regime import Regime, draw_rows, split_rows
from geneb_jax.probes.spec import HeldOutC, LogisticSpec, Penalised
from geneb_jax.status import Status
from tests.problems import make_task, tight_fits, tight_regression
from tests.tolerances import limit

FULL, TEN, ONE = Regime(None), Regime(10), Regime(1)
SEEDS = (13, 17, 42, 7, 8, 9, 10, 11)
optimum = partial(fit_task_sklearn, stock=False)


def stock(spec: Penalised, y: np.ndarray) -> Any:
    """The scikit-learn model that a specification stands for, run to its optimum."""
    if not isinstance(spec, LogisticSpec):
        return sklearn_model(spec, 0, np.unique(y, return_inverse=True)[1], tight=True)
    return make_pipeline(StandardScaler(), tight_regression(spec)) if spec.standardize else tight_regression(spec)


def by_the_rule(X: np.ndarray, y: np.ndarray, regime: Regime, seed: int, spec: HeldOutC) -> tuple[float, list[float]]:
    """The documented rule in scikit-learn, line by line: the chosen C and the held-out scores."""
    rows = np.arange(len(y)) if regime.shots is None else draw_rows(y, regime.shots, seed)
    fit, held = split_rows(y[rows], spec.share, spec.key, None if regime.shots is None else seed)
    scores, exact = [], []
    for C in spec.grid:
        model = stock(spec.with_C(C), y[rows[fit]])
        with tight_fits():
            model.fit(X[rows[fit]].astype(np.float64), y[rows[fit]])
        truth, predicted = y[rows[held]], model.predict(X[rows[held]].astype(np.float64))
        scores.append(matthews_corrcoef(truth, predicted))
        exact.append(exact_mcc(confusion_matrix(truth, predicted)))  # of equal scores rounding may call either larger
    return spec.grid[exact.index(max(exact))], scores  # index finds the first: the smallest C


def assert_same(one: list[Choice], other: list[Choice]) -> None:
    for a, b in zip(one, other, strict=True):
        assert replace(a, mcc=()) == replace(b, mcc=())
        assert a.mcc == pytest.approx(b.mcc, abs=limit("float64", "score"))


@pytest.mark.parametrize(
    ("k", "base"),
    [(2, LogisticSpec()), (3, LogisticSpec(standardize=True, balanced=True)), (2, LogisticSpec(fit_intercept=False))],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_draws_solved_together_follow_the_rule(k: int, base: LogisticSpec) -> None:
    X, y, _, _ = make_task(23 + k, k, spread=1.5)
    X *= np.logspace(-1, 1, X.shape[1], dtype=np.float32)
    spec = HeldOutC(base, grid=(0.001, 0.1, 10.0), share=0.3)
    lanes = [(TEN, seed, spec) for seed in SEEDS]
    choices = choose_penalties(X, y, lanes, partial(fit_task, dtype="float32"))
    for (regime, seed, _), choice in zip(lanes, choices, strict=True):
        C, scores = by_the_rule(X, y, regime, seed, spec)
        assert choice.mcc == pytest.approx(scores, abs=1e-12)
        assert (choice.C, choice.selection, choice.num_held_out) == (C, "held-out", 3 * k)
    assert len({choice.C for choice in choices}) > 1, "a test in which every choice is the same shows little"


@pytest.mark.parametrize("base", [RidgeSpec(standardize=True), SvmSpec()], ids=lambda base: base.name)
def test_ridge_and_svm_follow_the_rule(base: Penalised) -> None:
    X, y, _, _ = make_task(25, 2, spread=1.5)
    X *= np.logspace(-1, 1, X.shape[1], dtype=np.float32)
    spec = HeldOutC(base, grid=(1e-4, 0.01, 10.0), share=0.3)
    lanes = [(TEN, seed, spec) for seed in SEEDS[:4]] + [(FULL, 13, spec)]
    choices = choose_penalties(X, y, lanes, partial(fit_heads, dtype="float64"))
    for (regime, seed, _), choice in zip(lanes, choices, strict=True):
        C, scores = by_the_rule(X, y, regime, seed, spec)
        assert choice.mcc == pytest.approx(scores, abs=1e-12)
        assert (choice.C, choice.selection) == (C, "held-out")
    assert len({choice.C for choice in choices}) > 1, "a test in which every choice is the same shows little"
    (alone,) = choose_penalties(X, y, [(ONE, 13, spec)], partial(fit_heads, dtype="float64"))
    assert (alone.C, alone.selection) == (base.C, "default")


def test_one_by_one_is_the_same_choice() -> None:
    X, y, _, _ = make_task(5, 2)
    lanes = [(regime, seed, HeldOutC(key=3)) for regime in (TEN, ONE) for seed in SEEDS]
    together = choose_penalties(X, y, lanes, optimum)
    assert_same(choose_penalties(X, y, lanes, optimum, batched=False), together)
    assert_same(choose_penalties(ArrayRows(X), y, lanes, optimum), together)  # rows that are read when they are drawn


def test_batches_of_draws_do_not_change_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, _, _ = make_task(6, 2)
    lanes = [(TEN, seed, HeldOutC()) for seed in range(20)]
    together = choose_penalties(X, y, lanes, optimum)
    monkeypatch.setattr("geneb_jax.probes.choose.BATCH_BYTES", 1)  # eight at a time, the last batch filled up
    assert_same(choose_penalties(X, y, lanes, optimum), together)


def test_full_data_are_one_choice_whatever_the_seed() -> None:
    X, y, _, _ = make_task(7, 2)
    asked = 0

    def counting(*arrays: object) -> object:
        nonlocal asked
        asked += 1
        return fit_task(*arrays, dtype="float64")  # type: ignore[arg-type]

    spec = HeldOutC()
    choices = choose_penalties(X, y, [(FULL, seed, spec) for seed in SEEDS], counting)  # type: ignore[arg-type]
    assert asked == 1
    assert all(choice is choices[0] for choice in choices)
    C, scores = by_the_rule(X, y, FULL, 0, spec)
    assert choices[0].C == C
    assert choices[0].mcc == pytest.approx(scores, abs=1e-12)
    other = choose_penalties(X, y, [(FULL, 13, HeldOutC(key=1))], optimum)
    assert other[0].mcc != choices[0].mcc


def test_of_equal_scores_the_strongest_penalty_wins() -> None:
    X = np.repeat(np.array([[-3.0], [3.0]], np.float32), 20, axis=0)
    y = np.repeat([0, 1], 20)
    for regime in (FULL, TEN):
        (choice,) = choose_penalties(X, y, [(regime, 13, HeldOutC(grid=(10.0, 0.1, 1.0)))], optimum)
        assert choice.mcc == (1.0, 1.0, 1.0)
        assert choice.grid == (0.1, 1.0, 10.0)
        assert choice.C == 0.1


def test_of_scores_that_only_rounding_tells_apart_the_strongest_penalty_wins() -> None:
    """Two tables with one MCC whose float64 values differ in the last bit, the larger one under the weaker penalty."""
    found = [
        (a, b)
        for a, b in combinations([np.array([[i, 7 - i], [3 - j, j]]) for i in range(8) for j in range(4)], 2)
        if exact_mcc(a) == exact_mcc(b) and mcc(a) != mcc(b)
    ]
    assert found, "no such pair, so nothing is tested"
    y = np.repeat([0, 1], [70, 30])
    X = np.zeros((100, 1), np.float32)
    spec = HeldOutC(grid=(0.1, 10.0), share=0.1)
    for pair in found:
        tables = sorted(pair, key=lambda table: float(mcc(table)))

        def fit(*_: object, tables: list[np.ndarray] = tables) -> list[LaneResult]:
            blank = fit_task_sklearn(X, y, X, y, [Lane(FULL, 13, LogisticSpec())])[0]
            return [replace(blank, status=Status.CONVERGED, confusion=table) for table in tables]

        (choice,) = choose_penalties(X, y, [(FULL, 13, spec)], fit)
        assert choice.mcc[1] > choice.mcc[0]
        assert choice.C == 0.1


@pytest.mark.parametrize("batched", [True, False])
def test_without_rows_to_hold_out_the_default_is_taken_and_said(batched: bool) -> None:
    X, y, _, _ = make_task(8, 3)
    spec = HeldOutC(LogisticSpec(C=2.5), grid=(0.1, 10.0))
    (choice,) = choose_penalties(X, y, [(ONE, 13, spec)], optimum, batched=batched)
    assert (choice.C, choice.selection, choice.mcc, choice.num_held_out) == (2.5, "default", (), 0)
    # a class with a single row stays in the fit, and the others are held out as usual
    rare = np.concatenate([np.flatnonzero(y == 0)[:1], np.flatnonzero(y != 0)])
    (choice,) = choose_penalties(X[rare], y[rare], [(FULL, 13, spec)], optimum, batched=batched)
    assert choice.selection == "held-out"


def test_a_fit_that_comes_to_nothing_is_never_chosen() -> None:
    X, y, _, _ = make_task(9, 2)
    X[:, 0] *= np.float32(1e36)  # its squares overflow
    (choice,) = choose_penalties(X, y, [(FULL, 13, HeldOutC())], partial(fit_task, dtype="float32"))
    assert all(np.isnan(choice.mcc))
    assert (choice.C, choice.selection) == (1.0, "default")


def test_every_setting_changes_the_digest() -> None:
    specs = [
        HeldOutC(),
        HeldOutC(LogisticSpec(balanced=True)),
        HeldOutC(LogisticSpec(C=2.0)),
        HeldOutC(grid=(1.0, 2.0)),
        HeldOutC(share=0.25),
        HeldOutC(key=1),
        HeldOutC(RidgeSpec()),
        HeldOutC(SvmSpec()),
    ]
    assert len({spec.digest for spec in specs} | {LogisticSpec().digest}) == len(specs) + 1
    assert HeldOutC(grid=(2.0, 1.0)).digest == HeldOutC(grid=(1.0, 2.0)).digest


@pytest.mark.parametrize("settings", [{"grid": ()}, {"grid": (1.0, 1.0)}, {"grid": (0.0,)}, {"share": 1.0}], ids=str)
def test_impossible_settings_are_refused(settings: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ProbeError):
        HeldOutC(**settings)  # type: ignore[arg-type]
