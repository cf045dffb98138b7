"""How far the batched engine is from scikit-learn on a store's own tasks, and the limits it must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.probe.harness import decision_margins, fit_task_sklearn, objective_value
from geneb_jax.probe.lane import Lane, LaneResult
from geneb_jax.probe.regime import GENEB_REGIMES, GENEB_SEEDS, Regime, draw_rows
from geneb_jax.probe.spec import Dtype, LogisticSpec
from geneb_jax.store import EmbeddingStore


@dataclass(frozen=True)
class Limits:
    """What must hold against scikit-learn at its optimum (tol 1e-12, float64).

    gap: largest (our objective - its objective) / its objective, both in float64 at the returned
    coefficients. equal_share: smallest share of test rows with the same prediction. margin: rows whose
    decision value is nearer to another class than this may differ; None allows no such excuse. mcc, mean_mcc:
    largest |ΔMCC| of one probe, and of the mean of |ΔMCC| over a regime.
    """

    gap: float
    equal_share: float
    margin: float | None
    mcc: float
    mean_mcc: float


LIMITS: Final[Mapping[Dtype, Limits]] = {
    # float64 leaves only ties to disagree about
    "float64": Limits(gap=1e-9, equal_share=1.0, margin=1e-6, mcc=0.002, mean_mcc=0.0005),
    # float32 resolves 6e-8 per operation; a decision value near 0 may fall on either side
    "float32": Limits(gap=1e-5, equal_share=0.999, margin=None, mcc=0.002, mean_mcc=0.0005),
}


@dataclass(frozen=True)
class LaneParity:
    """One probe fitted by both engines.

    `coef` is max |ΔW| / max |W|; `margin` is the largest decision margin among the rows that differ.
    """

    task: str
    regime: str
    seed: int
    gap: float
    coef: float
    num_test: int
    num_different: int
    margin: float
    num_ties: int
    mcc: float
    reference_mcc: float
    status: str
    reference_status: str

    @property
    def delta_mcc(self) -> float:
        """Our MCC minus scikit-learn's."""
        return self.mcc - self.reference_mcc

    def faults(self, limits: Limits) -> list[str]:
        """What exceeds the limits, in words."""
        found = []
        if not self.gap <= limits.gap:
            found.append(f"objective gap {self.gap:.1e} > {limits.gap:.0e}")
        excused = limits.margin is not None and self.margin < limits.margin
        equal = 1 - self.num_different / self.num_test
        if equal < limits.equal_share and not excused:
            found.append(f"{self.num_different} of {self.num_test} predictions differ")
        if not abs(self.delta_mcc) <= limits.mcc and not (excused and equal < 1):
            found.append(f"|ΔMCC| {abs(self.delta_mcc):.4f} > {limits.mcc}")
        return found


@dataclass(frozen=True)
class ParityRow:
    """All lanes of one task in one regime, each figure at its worst."""

    task: str
    regime: str
    lanes: tuple[LaneParity, ...]

    @property
    def gap(self) -> float:
        """The largest objective gap; negative when scikit-learn itself is the farther one everywhere."""
        return max(lane.gap for lane in self.lanes)

    @property
    def coef(self) -> float:
        """The largest relative difference of a coefficient."""
        return max(lane.coef for lane in self.lanes)

    @property
    def equal(self) -> float:
        """Share of predictions that are the same, over all lanes."""
        return 1 - sum(x.num_different for x in self.lanes) / sum(x.num_test for x in self.lanes)

    @property
    def num_ties(self) -> int:
        """Test rows whose best classes our arithmetic cannot tell apart, over all lanes."""
        return sum(lane.num_ties for lane in self.lanes)

    @property
    def delta_mcc(self) -> float:
        """The largest |ΔMCC|."""
        return max(abs(lane.delta_mcc) for lane in self.lanes)


def compare(
    element: EmbeddingStore,
    tasks: Sequence[str],
    *,
    dtype: Dtype = "float32",
    stock: bool = False,
    regimes: Sequence[str] = GENEB_REGIMES,
    seeds: Sequence[int] = GENEB_SEEDS,
    spec: LogisticSpec | None = None,
    started: Callable[[str], None] | None = None,
) -> Iterator[ParityRow]:
    """Fit every lane of every task with both engines; one row per task and regime as they are done."""
    from geneb_jax.probe.fit import fit_task

    spec = spec or LogisticSpec()
    lanes = [Lane(Regime.parse(r), seed, spec) for r in regimes for seed in seeds]
    for task in tasks:
        if started:
            started(task)
        train, test = element.split(task, "train"), element.split(task, "test")
        arrays = (element.read(train.rows), train.labels, element.read(test.rows), test.labels)
        ours = fit_task(*arrays, lanes, dtype=dtype)
        theirs = fit_task_sklearn(*arrays, lanes, stock=stock)
        pairs = [lane_parity(task, *arrays[:3], a, b) for a, b in zip(ours, theirs, strict=True)]
        for regime in dict.fromkeys(p.regime for p in pairs):
            yield ParityRow(task, regime, tuple(p for p in pairs if p.regime == regime))


def lane_parity(
    task: str,
    X_train: NumpyFloat,
    y_train: NumpyInt,
    X_test: NumpyFloat,
    ours: LaneResult,
    theirs: LaneResult,
) -> LaneParity:
    """Compare two fits of one lane; both objectives are evaluated in float64 on the rows the lane saw."""
    lane = ours.lane
    values = {"gap": np.nan, "coef": np.nan, "margin": 0.0}
    different = 0
    num_test = len(X_test)
    if ours.coef is None or theirs.coef is None:
        # neither has a score: nothing to disagree about
        both = ours.coef is None and theirs.coef is None
        values = {
            "gap": 0.0 if both else np.inf,
            "coef": 0.0 if both else np.inf,
            "margin": np.inf * (not both) or 0.0,
        }
        different = 0 if both else num_test
    else:
        assert ours.intercept is not None
        assert theirs.intercept is not None
        shots = lane.regime.shots
        rows = slice(None) if shots is None else draw_rows(y_train, shots, lane.seed)
        mine, _ = objective_value(X_train[rows], y_train[rows], lane.spec, ours.coef, ours.intercept)
        best, _ = objective_value(X_train[rows], y_train[rows], lane.spec, theirs.coef, theirs.intercept)
        values["gap"] = (mine - best) / best
        top = float(np.abs(theirs.coef).max())
        values["coef"] = float(np.abs(ours.coef - theirs.coef).max()) / (top or 1.0)
        unequal = np.flatnonzero(np.asarray(ours.predictions) != np.asarray(theirs.predictions))
        different = len(unequal)
        if different:
            scores = X_test[unequal].astype(np.float64) @ theirs.coef + theirs.intercept
            values["margin"] = float(decision_margins(scores).max())
    return LaneParity(
        task=task,
        regime=lane.regime.name,
        seed=lane.seed,
        gap=float(values["gap"]),
        coef=float(values["coef"]),
        num_test=num_test,
        num_different=different,
        margin=float(values["margin"]),
        num_ties=ours.num_ties,
        mcc=ours.mcc if ours.status.has_score else 0.0,
        reference_mcc=theirs.mcc if theirs.status.has_score else 0.0,
        status=ours.status.label,
        reference_status=theirs.status.label,
    )


def regime_means(rows: Sequence[ParityRow]) -> dict[str, float]:
    """Mean |ΔMCC| of each regime over all probes of all tasks."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.regime, []).extend(abs(lane.delta_mcc) for lane in row.lanes)
    return {regime: float(np.mean(values)) for regime, values in found.items()}


def all_faults(rows: Sequence[ParityRow], dtype: Dtype) -> list[str]:
    """Every limit that is exceeded, with its task, regime and seed."""
    limits = LIMITS[dtype]
    found = [
        f"{row.task}, {row.regime}, seed {lane.seed}: {fault}"
        for row in rows
        for lane in row.lanes
        for fault in lane.faults(limits)
    ]
    found += [
        f"{regime}: mean |ΔMCC| {value:.5f} > {limits.mean_mcc}"
        for regime, value in regime_means(rows).items()
        if value > limits.mean_mcc
    ]
    return list(dict.fromkeys(found))
