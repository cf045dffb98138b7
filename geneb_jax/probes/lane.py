"""What goes into a fit and what comes out: one lane per (regime, seed, specification)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic

import numpy as np
from typing_extensions import TypeVar

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.probes.regime import Regime
from geneb_jax.probes.spec import LogisticSpec
from geneb_jax.status import Status

Spec = TypeVar("Spec", default=LogisticSpec)


@dataclass(frozen=True)
class Lane(Generic[Spec]):
    """One probe to fit on one task: which rows it sees and what it is.

    The specification is a `LogisticSpec` where nothing else is said; `geneb_jax.probes.heads` has the other types.
    """

    regime: Regime
    seed: int
    spec: Spec


@dataclass(frozen=True)
class LaneResult:
    """One fitted and scored lane.

    ``coef`` (d, o) and ``intercept`` (o,) are in the units of the raw features, o = 1 for two classes (the second
    class is the positive one) and k beyond; both are None where ``status.has_score`` is false, and for a probe that
    is not linear.
    ``classes`` (k,) are the sorted training labels, the meaning of the columns.
    ``predictions`` (m,) are labels of the test rows, in test order.
    ``labels`` (K,) are the sorted labels of training and test rows together, the meaning of the table's axes;
    ``confusion`` (K, K) counts rows by (true, predicted).
    ``objective`` is C·Σ w·loss + ½‖W‖² at the returned coefficients; ``relative_gap`` bounds or estimates
    (objective - optimum)/objective; ``grad_norm`` is the Euclidean norm of the gradient.
    ``num_ties`` counts test rows whose two best classes are closer than the arithmetic resolves; a tie goes to
    the first class. ``solver_reason`` is the cost model's account of why ``solver`` was taken, where it was asked.
    """

    lane: Lane[Any]
    status: Status
    classes: NumpyInt
    labels: NumpyInt
    n_train: int
    coef: NumpyFloat | None = None
    intercept: NumpyFloat | None = None
    predictions: NumpyInt | None = None
    confusion: NumpyInt | None = None
    mcc: float = float("nan")
    accuracy: float = float("nan")
    macro_f1: float = float("nan")
    objective: float = float("nan")
    relative_gap: float = float("nan")
    grad_norm: float = float("nan")
    num_steps: int = 0
    num_ties: int = 0
    solver: str = ""
    solver_reason: str = field(default="", compare=False)
    seconds: float = field(default=0.0, compare=False)


def empty_result(lane: Lane[Any], status: Status, y_train: NumpyInt, y_test: NumpyInt) -> LaneResult:
    """The result of a lane that could not be fitted, carrying the reason."""
    return LaneResult(
        lane=lane,
        status=status,
        classes=np.unique(y_train),
        labels=np.union1d(y_train, y_test),
        n_train=len(y_train),
    )
