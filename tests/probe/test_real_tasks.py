"""Two real tasks, every GENEB lane, against scikit-learn at tol 1e-12: the promises of the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geneb_jax.encoder.load import load_encoder
from geneb_jax.metric.reference import reference_scores
from geneb_jax.probes.fit import fit_task
from geneb_jax.probes.harness import fit_task_sklearn
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.regime import GENEB_REGIMES, GENEB_SEEDS, Regime, draw_rows
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.status import Status
from geneb_jax.task import load_suite
from tests.problems import Optimum, Task, assert_reaches, optimum
from tests.tolerances import limit

TASKS = {
    "UCI_promoters": ("more", "kmer:5"),  # 85 rows of 1,024 words: fewer rows than columns
    "iDNA_ABF_5mC": ("geneb", "kmer:4,counts=true"),  # whole numbers: ties in the 1-shot draws
}


def embedded(folder: Path, name: str) -> Task:
    part, spec = TASKS[name]
    task = load_suite(folder / part).load(name)
    encoder = load_encoder(spec)
    X, X_test = (encoder.encode(task.splits[split].sequences) for split in ("train", "test"))
    return X, task.splits["train"].labels, X_test, task.splits["test"].labels


def best_of(task: Task, lane: Lane) -> Optimum:
    X, y, _, _ = task
    rows = np.arange(len(y)) if lane.regime.shots is None else draw_rows(y, lane.regime.shots, lane.seed)
    return optimum(X[rows], y[rows], lane.spec, newton=False)


@pytest.mark.parametrize("name", TASKS)
def test_every_lane_of_the_protocol(name: str, shared_data: Path) -> None:
    task = embedded(shared_data, name)
    X_test, y_test = task[2:]
    asked = [Lane(Regime.parse(r), seed, LogisticSpec()) for r in GENEB_REGIMES for seed in GENEB_SEEDS]
    best = [best_of(task, lane) for lane in asked if lane.regime.shots is not None or lane.seed == GENEB_SEEDS[0]]
    best = [best[0]] * (len(GENEB_SEEDS) - 1) + best
    for dtype in ("float64", "float32"):
        results = fit_task(*task, asked, dtype=dtype)  # type: ignore[arg-type]
        differences: dict[str, list[float]] = {}
        for result, reference in zip(results, best, strict=True):
            assert result.status in (Status.CONVERGED, Status.ONE_CLASS_PREDICTED)
            assert_reaches(result, reference, X_test, dtype)
            difference = abs(result.mcc - expected_mcc(result, reference, X_test, y_test, dtype))
            assert difference <= limit(dtype, "mcc") + 1e-12
            differences.setdefault(result.lane.regime.name, []).append(difference)
        for regime, values in differences.items():
            assert np.mean(values) <= limit(dtype, "mean_mcc") + 1e-12, regime


def expected_mcc(result: LaneResult, best: Optimum, X_test: np.ndarray, y_test: np.ndarray, dtype: str) -> float:
    """The reference's MCC; rows that it does not decide count as we predicted them."""
    predicted, sure = best.predict(X_test, dtype)
    return reference_scores(y_test, np.where(sure, predicted, result.predictions), result.labels).mcc


def test_the_audit_engine_agrees(shared_data: Path) -> None:
    """`fit_task_sklearn` at the optimum is what users audit with: its records are the same ones."""
    task = embedded(shared_data, "UCI_promoters")
    asked = [Lane(Regime.parse(r), seed, LogisticSpec()) for r in GENEB_REGIMES for seed in GENEB_SEEDS]
    ours = fit_task(*task, asked, dtype="float64")
    for result, theirs in zip(ours, fit_task_sklearn(*task, asked, stock=False, threads=1), strict=True):
        assert result.objective == pytest.approx(theirs.objective, rel=limit("float64", "same_problem"))
        assert result.n_train == theirs.n_train
        assert result.labels.tolist() == theirs.labels.tolist()
        assert (result.predictions != theirs.predictions).sum() <= result.num_ties  # type: ignore[operator]
