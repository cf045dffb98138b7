"""All probe types on one (encoder, task) by GENEB's protocol, against the same loop over scikit-learn."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.checks import check_lanes, lane_rows
from benchmarks.record import Check, Rival, Row
from benchmarks.rows.base import Bench, Context, finish
from benchmarks.timing import time_call
from benchmarks.workloads import Problem, Size, geneb_lanes
from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.probes import Lane, LaneResult, LogisticSpec, fit_task
from geneb_jax.probes.heads.fit import fit_heads
from geneb_jax.probes.heads.harness import sklearn_model
from geneb_jax.probes.heads.specs import HEADS, SvmSpec, parse_head

MLP_DIFFERENCE = 0.1
"""Largest difference of the MLP's mean MCC on the whole split: in float32 training amplifies rounding."""


def head_lanes(size: Size) -> list[Lane[Any]]:
    """Every type with its defaults, five seeds by three regimes; at toy size an MLP of few epochs."""
    specs = [parse_head(f"{head}:max_epochs=5" if head == "mlp" and size == "toy" else head) for head in HEADS]
    return [*geneb_lanes(), *(Lane(lane.regime, lane.seed, spec) for spec in specs for lane in geneb_lanes())]


def _ours(problem: Problem, lanes: Sequence[Lane[Any]]) -> list[LaneResult]:
    arrays = problem.X_train, problem.y_train, problem.X_test, problem.y_test
    logistic = [lane for lane in lanes if isinstance(lane.spec, LogisticSpec)]
    return [*fit_task(*arrays, logistic), *fit_heads(*arrays, lanes[len(logistic) :])]


def _name(lane: Lane[Any]) -> str:
    return str(lane.spec.head)


def _theirs(problem: Problem, lane: Lane[Any], dtype: str) -> tuple[float, NumpyInt | None, Any]:
    """Seconds, predictions and model of one fit of the loop; none where scikit-learn refuses."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    X_train, X_test = problem.X_train.astype(dtype, copy=False), problem.X_test.astype(dtype, copy=False)
    began = time.perf_counter()
    rows = lane_rows(problem, lane)
    y = problem.y_train[rows]
    if _name(lane) == "logistic":
        model = LogisticRegression(C=lane.spec.C, max_iter=1000, random_state=lane.seed)
    else:
        index = np.unique(y, return_inverse=True)[1]
        model = sklearn_model(lane.spec, lane.seed, index, few=lane.regime.shots is not None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fits that hit max_iter, classes that are never predicted
        try:
            predicted = model.fit(X_train[rows], y).predict(X_test)
        except ValueError:
            return time.perf_counter() - began, None, model
        matthews_corrcoef(problem.y_test, predicted)
        accuracy_score(problem.y_test, predicted)
        f1_score(problem.y_test, predicted, average="macro")
    return time.perf_counter() - began, predicted, model


def _squared_hinge(problem: Problem, coef: NumpyFloat, intercept: NumpyFloat, C: float) -> float:
    """LinearSVC's objective on the whole split, all outputs together."""
    classes = np.unique(problem.y_train)
    sign = 2.0 * (problem.y_train[:, None] == (classes[1:] if coef.shape[1] == 1 else classes)) - 1
    loss = np.maximum(0, 1 - sign * (problem.X_train.astype(np.float64) @ coef + intercept)) ** 2
    return float(0.5 * (np.sum(coef**2) + np.sum(intercept**2)) + C * loss.sum())


def all_types(context: Context, bench: Bench) -> Row:
    """Eight types × five seeds × three regimes; the loop's full-data fits are timed on one seed each and scaled."""
    load = machine.load_average()
    problem, lanes = bench.problem(context), head_lanes(context.size)
    context.say(f"our fit of {len(lanes)} probes on {problem.n:,} × {problem.d:,}")
    timed = time_call(lambda: _ours(problem, lanes), repeats=context.repeats, clear=context.clear)
    context.say("scikit-learn, type by type")
    _theirs(problem, next(lane for lane in lanes if lane.regime.shots == 1), "float32")  # imports, pages
    first = lanes[0].seed
    seconds: dict[str, float] = {}
    trouble: list[str] = []
    compared = different = tied = 0
    mlp: list[float] = []
    for lane, result in zip(lanes, timed.value, strict=True):
        full = lane.regime.shots is None
        if full and lane.seed != first:
            continue
        name = f"{_name(lane)}, {lane.regime.name}, seed {lane.seed}"
        elapsed, _, _ = _theirs(problem, lane, "float32")
        seconds[_name(lane)] = seconds.get(_name(lane), 0.0) + elapsed * (len({x.seed for x in lanes}) if full else 1)
        if _name(lane) == "logistic" or (full and isinstance(lane.spec, SvmSpec)):
            continue
        _, right, model = _theirs(problem, lane, "float64")
        if right is None or (isinstance(lane.spec, SvmSpec) and np.max(model.n_iter_) >= model.max_iter):
            continue  # refused, or stopped before its optimum
        if result.predictions is None:
            trouble.append(f"{name}: no fit ({result.status.label})")
        elif _name(lane) == "mlp":
            if full:
                mlp.append(result.mcc)
                mlp.append(float(np.corrcoef(right, problem.y_test)[0, 1]))
        else:
            apart = int(np.sum(result.predictions != right))
            compared, tied, different = compared + len(right), tied + result.num_ties, different + apart
            # LinearSVC stops at its tolerance, and the nearest row decides
            allowed = result.num_ties + (0.02 if isinstance(lane.spec, SvmSpec) else 0.002) * len(right)
            if apart > allowed:
                trouble.append(f"{name}: {apart} rows differ, {result.num_ties} tie")
    if problem.classes == 2 and mlp and abs(mlp[0] - mlp[1]) > MLP_DIFFERENCE:
        trouble.append(f"mlp: MCC {mlp[0]:.3f}, scikit-learn's {mlp[1]:.3f}")
    svm = next(r for r in timed.value if isinstance(r.lane.spec, SvmSpec) and r.lane.regime.shots is None)
    model = _theirs(problem, svm.lane, "float64")[2]
    gap = float("inf")
    if svm.coef is not None and svm.intercept is not None:
        stock = _squared_hinge(problem, model.coef_.T, model.intercept_, svm.lane.spec.C)
        gap = _squared_hinge(problem, svm.coef, svm.intercept, svm.lane.spec.C) / stock - 1
    if gap > 1e-5:
        trouble.append(f"svm: objective {gap:.1e} above LinearSVC's")
    context.say("correctness of the logistic probe")
    plain = check_lanes(problem, [r for r in timed.value if _name(r.lane) == "logistic"])
    check = Check(
        ok=plain.ok and not trouble,
        reference=f"{plain.reference}; scikit-learn in float64, type by type",
        reference_bound=plain.reference_bound,
        gap=max(plain.gap, gap),
        rows_compared=plain.rows_compared + compared,
        rows_tied=plain.rows_tied + tied,
        rows_different=plain.rows_different + different,
        mcc_difference=plain.mcc_difference,
        trouble=[*plain.trouble, *trouble],
    )
    total = sum(seconds.values())
    rival = Rival(
        name="scikit-learn loop over all types, float32 embeddings",
        dtype="float32",
        seconds={"as shipped": total},
        as_shipped=total,
        best=total,
        scaled="full-data fits timed on one of five seeds and scaled",
        note=None,
    )
    measures = {f"sklearn_{name}_s": value for name, value in seconds.items()}
    for name in seconds:
        own = [lane for lane in lanes if _name(lane) == name]
        took = time_call(lambda own=own: _ours(problem, own), repeats=1, clear=False).median  # type: ignore[misc]
        measures[f"ours_{name}_s"] = took
        measures[f"ratio_{name}"] = seconds[name] / took
    rest = [lane for lane in lanes if _name(lane) != "mlp"]
    took = time_call(lambda: _ours(problem, rest), repeats=context.repeats, clear=False).median
    measures["ratio_without_mlp"] = (total - seconds["mlp"]) / took
    context = replace(context, memory=False)
    return finish(
        context, bench, problem, lanes, timed, check, rivals=[rival], measures=measures, ceilings=False, load=load
    )
