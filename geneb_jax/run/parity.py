"""How far the batched engine is from scikit-learn on a store's own tasks, and the limits it must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.metric.reference import reference_scores
from geneb_jax.probes.harness import decision_margins, fit_task_sklearn, objective_value
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.regime import GENEB_REGIMES, GENEB_SEEDS, Regime, draw_rows
from geneb_jax.probes.spec import Dtype, LogisticSpec
from geneb_jax.store import EmbeddingStore


@dataclass(frozen=True)
class Limits:
    """How far our fits may be from scikit-learn's optimum, on the rows that scikit-learn itself decides.

    gap: largest (ours - theirs) / theirs of the objective. equal_share: smallest share of equal predictions.
    mcc, mean_mcc: largest |ΔMCC| of one probe, and of the mean of |ΔMCC| over a regime.
    """

    gap: float
    equal_share: float
    mcc: float
    mean_mcc: float


LIMITS: Final[Mapping[Dtype, Limits]] = {
    # float64 leaves only ties to disagree about
    "float64": Limits(gap=1e-9, equal_share=1.0, mcc=0.002, mean_mcc=0.0005),
    # float32 resolves 6e-8 per operation; a decision value near 0 may fall on either side
    "float32": Limits(gap=1e-5, equal_share=0.999, mcc=0.002, mean_mcc=0.0005),
}

TIE_MARGIN: Final = 1e-6
"""A row whose margin at scikit-learn's optimum is smaller is a tie: rounding chose its class, there as here.

With integer or equal-length features a draw of one sequence per class puts many test rows exactly on the boundary
(up to 9 % of a task's rows with k-mers), and scikit-learn's own class there depends on the last bit of its sum.
"""


@dataclass(frozen=True)
class LaneParity:
    """One probe fitted by both engines.

    `coef` is max |ΔW| / max |W|. `num_different` counts all rows whose predictions differ and `margin` is the largest
    margin among them; `num_decided_different` counts those that are no tie for scikit-learn (see `TIE_MARGIN`), and
    `decided_mcc` is our MCC with scikit-learn's class on the ties. `num_ties` counts scikit-learn's ties.
    """

    task: str
    regime: str
    seed: int
    gap: float
    coef: float
    num_test: int
    num_different: int
    num_decided_different: int
    margin: float
    num_ties: int
    mcc: float
    decided_mcc: float
    reference_mcc: float
    status: str
    reference_status: str

    @property
    def delta_mcc(self) -> float:
        """Our MCC minus scikit-learn's."""
        return self.mcc - self.reference_mcc

    @property
    def decided_delta_mcc(self) -> float:
        """The same where ties are given scikit-learn's class."""
        return self.decided_mcc - self.reference_mcc

    def faults(self, limits: Limits) -> list[str]:
        """What exceeds the limits, in words."""
        found = []
        if not self.gap <= limits.gap:
            found.append(f"objective gap {self.gap:.1e} > {limits.gap:.0e}")
        if 1 - self.num_decided_different / self.num_test < limits.equal_share:
            found.append(f"{self.num_decided_different} of {self.num_test} predictions differ that are no ties")
        if not abs(self.decided_delta_mcc) <= limits.mcc:
            found.append(f"|ΔMCC| {abs(self.decided_delta_mcc):.4f} > {limits.mcc}, ties set aside")
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
        """Test rows that scikit-learn's optimum does not decide, over all lanes."""
        return sum(lane.num_ties for lane in self.lanes)

    @property
    def delta_mcc(self) -> float:
        """The largest |ΔMCC|, ties as they fell."""
        return max(abs(lane.delta_mcc) for lane in self.lanes)

    @property
    def decided_delta_mcc(self) -> float:
        """The largest |ΔMCC|, ties set aside."""
        return max(abs(lane.decided_delta_mcc) for lane in self.lanes)


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
    """Fit every lane of every task with both engines; one row per task and regime as they are done.

    stock: against GENEB's script as it stands (engine "sklearn-stock"), not the optimum in float64.
    """
    from geneb_jax.probes.fit import fit_task

    spec = spec or LogisticSpec()
    lanes = [Lane(Regime.parse(r), seed, spec) for r in regimes for seed in seeds]
    for task in tasks:
        if started:
            started(task)
        train, test = element.split(task, "train"), element.split(task, "test")
        arrays = (element.read(train.rows), train.labels, element.read(test.rows), test.labels)
        ours = fit_task(*arrays, lanes, dtype=dtype)
        theirs = fit_task_sklearn(*arrays, lanes, stock=stock, cast=not stock)
        pairs = [lane_parity(task, *arrays, a, b) for a, b in zip(ours, theirs, strict=True)]
        for regime in dict.fromkeys(p.regime for p in pairs):
            yield ParityRow(task, regime, tuple(p for p in pairs if p.regime == regime))


def lane_parity(
    task: str,
    X_train: NumpyFloat,
    y_train: NumpyInt,
    X_test: NumpyFloat,
    y_test: NumpyInt,
    ours: LaneResult,
    theirs: LaneResult,
) -> LaneParity:
    """Compare two fits of one lane; both objectives are evaluated in float64 on the rows the lane saw."""
    lane = ours.lane
    values = {"gap": np.nan, "coef": np.nan, "margin": 0.0}
    different = decided = ties = 0
    num_test = len(X_test)
    decided_mcc = ours.mcc if ours.status.has_score else 0.0
    if ours.coef is None or theirs.coef is None:
        # neither has a score: nothing to disagree about
        both = ours.coef is None and theirs.coef is None
        values = {
            "gap": 0.0 if both else np.inf,
            "coef": 0.0 if both else np.inf,
            "margin": np.inf * (not both) or 0.0,
        }
        different = decided = 0 if both else num_test
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
        mine_at, best_at = np.asarray(ours.predictions), np.asarray(theirs.predictions)
        margins = decision_margins(X_test.astype(np.float64) @ theirs.coef + theirs.intercept)
        tie, unequal = margins < TIE_MARGIN, mine_at != best_at
        different, ties = int(unequal.sum()), int(tie.sum())
        decided = int((unequal & ~tie).sum())
        values["margin"] = float(margins[unequal].max(initial=0.0))
        if different > decided:
            decided_mcc = reference_scores(y_test, np.where(tie, best_at, mine_at), ours.labels).mcc
    return LaneParity(
        task=task,
        regime=lane.regime.name,
        seed=lane.seed,
        gap=float(values["gap"]),
        coef=float(values["coef"]),
        num_test=num_test,
        num_different=different,
        num_decided_different=decided,
        margin=float(values["margin"]),
        num_ties=ties,
        mcc=ours.mcc if ours.status.has_score else 0.0,
        decided_mcc=decided_mcc,
        reference_mcc=theirs.mcc if theirs.status.has_score else 0.0,
        status=ours.status.label,
        reference_status=theirs.status.label,
    )


def regime_means(rows: Sequence[ParityRow]) -> dict[str, float]:
    """Mean |ΔMCC| of each regime over all probes of all tasks, ties set aside."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.regime, []).extend(abs(lane.decided_delta_mcc) for lane in row.lanes)
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
