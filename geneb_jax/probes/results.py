"""From distinct problems to the results of the lanes that asked for them, whether X is whole in memory or streamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from geneb_jax.axes import NumpyBool, NumpyFloat, NumpyInt
from geneb_jax.errors import ProbeError
from geneb_jax.metric import scores
from geneb_jax.probes.design import Design, raw_coefficients
from geneb_jax.probes.lane import Lane, LaneResult, empty_result
from geneb_jax.probes.lanes import Fitted
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.status import Status
from geneb_jax.whole import whole_numbers


class Key(NamedTuple):
    """What makes two lanes the same problem: the full regime has no seed."""

    shots: int | None
    seed: int
    spec: LogisticSpec

    @classmethod
    def of(cls, lane: Lane) -> Key:
        """The problem that a lane asks for."""
        return cls(lane.regime.shots, lane.seed if lane.regime.shots is not None else 0, lane.spec)


class Solved(NamedTuple):
    """One distinct problem after its fit; W (q, o) in the design's coordinates.

    W is float64 where the problem was solved in it, whatever the design's precision.
    """

    W: NumpyFloat
    status: Status
    objective: float
    relative_gap: float
    grad_norm: float
    num_steps: int
    n_train: int
    solver: str
    why: str = ""
    seconds: float = 0.0


class Scoring(NamedTuple):
    """Distinct problems on the test rows: predicted column (p, m), confusion (p, K, K), which rows tie (p, m).

    `classes` (k,) are the columns' labels, `labels` (K,) those of the tables; `finite` whether all rows' norms are.
    """

    classes: NumpyInt
    labels: NumpyInt
    predicted: NumpyInt
    confusion: NumpyInt
    tied: NumpyBool
    finite: bool


def check_task(train: tuple[int, ...], y_train: NumpyInt, test: tuple[int, ...], y_test: NumpyInt) -> None:
    """Raise ProbeError where embeddings of the shapes `train` and `test` and their labels do not fit together."""
    for name, shape, y in (("train", train, y_train), ("test", test, y_test)):
        if len(shape) != 2 or np.ndim(y) != 1 or shape[0] != len(y) or not len(y):
            raise ProbeError(
                f"the {name} embeddings must be (n, width) with one label per row, "
                f"not {shape} with {np.shape(y)} labels"
            )
        if not np.issubdtype(np.asarray(y).dtype, np.integer):
            raise ProbeError(f"the {name} labels must be integers, not {np.asarray(y).dtype}")
        whole_numbers(y, what=f"{name} labels", error=ProbeError)
    if train[1] != test[1]:
        raise ProbeError(f"train and test embeddings differ in width: {train[1]} and {test[1]}")


def solved_from(fitted: Fitted, i: int, n_train: int, solver: str, why: str = "", seconds: float = 0.0) -> Solved:
    """Lane i of a batch."""
    return Solved(
        W=fitted.W[i],
        status=Status(int(fitted.status[i])),
        objective=float(fitted.value[i]),
        relative_gap=float(fitted.gap[i]),
        grad_norm=float(fitted.grad_norm[i]),
        num_steps=int(fitted.num_steps[i]),
        n_train=n_train,
        solver=solver,
        why=why,
        seconds=seconds,
    )


def lane_results(
    lanes: Sequence[Lane],
    problems: Sequence[Key],
    solved: Mapping[Key, Solved],
    scoring: Scoring,
    design: Design,
    y_train: NumpyInt,
    y_test: NumpyInt,
) -> list[LaneResult]:
    """Each lane's result, from the distinct `problems` of one design in the order in which they were scored."""
    shift, scale = np.asarray(design.shift), np.asarray(design.scale)
    # squares of features that overflow would otherwise divide every feature to zero, and look like a fit
    finite = scoring.finite and bool(np.isfinite(scale).all())
    mcc, accuracy, macro_f1 = scores(scoring.confusion)
    ties = scoring.tied.sum(axis=1)
    true, predicted = ((scoring.confusion.sum(axis=axis) > 0).sum(axis=1) for axis in (2, 1))
    place = {key: i for i, key in enumerate(problems)}

    def result(lane: Lane) -> LaneResult:
        key = Key.of(lane)
        s, i = solved[key], place[key]
        status = s.status if finite else Status.NON_FINITE
        if not status.has_score:
            return empty_result(lane, status, y_train, y_test)
        coef, intercept = raw_coefficients(s.W, shift, scale)
        return LaneResult(
            lane=lane,
            status=_scored_status(status, int(true[i]), int(predicted[i])),
            classes=scoring.classes,
            labels=scoring.labels,
            n_train=s.n_train,
            coef=coef,
            intercept=intercept,
            predictions=scoring.classes[scoring.predicted[i]],
            confusion=scoring.confusion[i].astype(np.int64),
            mcc=float(mcc[i]),
            accuracy=float(accuracy[i]),
            macro_f1=float(macro_f1[i]),
            objective=s.objective,
            relative_gap=s.relative_gap,
            grad_norm=s.grad_norm,
            num_steps=s.num_steps,
            num_ties=int(ties[i]),
            solver=s.solver,
            solver_reason=s.why,
            seconds=s.seconds,
        )

    return [result(lane) for lane in lanes]


def _scored_status(status: Status, true: int, predicted: int) -> Status:
    """A finished fit's status, given how many classes its table has: a degenerate score is marked as such."""
    if status is not Status.CONVERGED:
        return status
    if true == 1:
        return Status.ONE_CLASS_TEST
    return Status.ONE_CLASS_PREDICTED if predicted == 1 else status
