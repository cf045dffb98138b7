"""From fitted probes of any type to the results of the lanes that asked for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import Array, Bool, Float, Int, NumpyFloat, NumpyInt
from geneb_jax.metric import scores
from geneb_jax.probes.design import pad, padded_rows
from geneb_jax.probes.heads.specs import AnyHead
from geneb_jax.probes.lane import Lane, LaneResult, empty_result
from geneb_jax.probes.score import score_lanes
from geneb_jax.status import Status
from geneb_kernels.confusion import confusion_counts

SCORE_BYTES = 256 * 2**20
"""Most memory for the decision values of heads that are scored together."""


class Key(NamedTuple):
    """What makes two lanes the same problem: the full regime has a seed only where the probe itself is random."""

    shots: int | None
    seed: int
    spec: AnyHead

    @classmethod
    def of(cls, lane: Lane[AnyHead]) -> Key:
        """The problem that a lane asks for."""
        shots = lane.regime.shots
        return cls(shots, lane.seed if shots is not None or lane.spec.seeded else 0, lane.spec)


class Solved(NamedTuple):
    """One problem after its fit: class numbers (m,) of the test rows, how many tie, and what is known of the fit."""

    predicted: NumpyInt
    ties: int
    n_train: int
    solver: str
    status: Status = Status.CONVERGED
    coef: NumpyFloat | None = None
    intercept: NumpyFloat | None = None
    steps: int = 0
    objective: float = float("nan")
    gap: float = float("nan")
    seconds: float = 0.0


class Test(NamedTuple):
    """Test rows in shifted coordinates with a column of ones, padded: X (m', d + 1) in float64; real rows m."""

    X: Float[Array, "m q"]
    rows: int

    @classmethod
    def of(cls, X: NumpyFloat) -> Test:
        """From shifted rows (m, d)."""
        ones = np.ones((len(X), 1))
        return cls(jnp.asarray(pad(np.concatenate([X, ones], axis=1), padded_rows(len(X)))), len(X))

    def squared(self) -> Test:
        """Features (x², x, 1)."""
        return Test(_squared(self.X), self.rows)


@jax.jit
def _squared(X: Float[Array, "m q"]) -> Float[Array, "m e"]:
    return jnp.concatenate([X[:, :-1] ** 2, X], axis=1)


def decide(test: Test, W: NumpyFloat, b: NumpyFloat, classes: int) -> tuple[NumpyInt, NumpyInt, bool]:
    """Class numbers (p, m) and ties (p,) of heads W (p, d, o), b (p, o), and whether all is finite; under x64."""
    heads = np.concatenate([W, b[:, None, :]], axis=1)
    if not np.isfinite(heads).all():
        heads = np.where(np.isfinite(heads).all(axis=(1, 2), keepdims=True), heads, 0)
    size = max(1, SCORE_BYTES // (8 * test.X.shape[0] * W.shape[2]))
    keep = jnp.arange(test.X.shape[0]) < test.rows
    truth, columns = jnp.zeros(len(keep), jnp.int32), jnp.arange(classes)
    parts = [
        score_lanes(test.X, jnp.asarray(heads[i : i + size]), truth, keep, columns, classes)
        for i in range(0, len(heads), size)
    ]
    predicted = np.concatenate([np.asarray(part.predicted) for part in parts])[:, : test.rows]
    ties = np.concatenate([np.asarray(part.tied).sum(axis=1) for part in parts])
    return predicted, ties, all(bool(part.finite) for part in parts)


def lane_results(
    lanes: Sequence[Lane[AnyHead]],
    solved: Mapping[Key, Solved],
    classes: NumpyInt,
    y_train: NumpyInt,
    y_test: NumpyInt,
) -> list[LaneResult]:
    """Each lane's result, with confusion tables and scores of all distinct problems computed together."""
    labels = np.union1d(classes, y_test)
    keys = list(solved)
    column = np.searchsorted(labels, classes)
    predicted = column[np.stack([solved[key].predicted for key in keys])]
    confusion = np.asarray(_tables(jnp.asarray(np.searchsorted(labels, y_test)), jnp.asarray(predicted), len(labels)))
    mcc, accuracy, macro_f1 = scores(confusion)
    place = {key: i for i, key in enumerate(keys)}

    def result(lane: Lane[AnyHead]) -> LaneResult:
        key = Key.of(lane)
        s, i = solved[key], place[key]
        if not s.status.has_score:
            return empty_result(lane, s.status, y_train, y_test)
        return LaneResult(
            lane=lane,
            status=final_status(s.status, confusion[i]),
            classes=classes,
            labels=labels,
            n_train=s.n_train,
            coef=s.coef,
            intercept=s.intercept,
            predictions=classes[s.predicted],
            confusion=confusion[i].astype(np.int64),
            mcc=float(mcc[i]),
            accuracy=float(accuracy[i]),
            macro_f1=float(macro_f1[i]),
            objective=s.objective,
            relative_gap=s.gap,
            num_steps=s.steps,
            num_ties=s.ties,
            solver=s.solver,
            seconds=s.seconds,
        )

    return [result(lane) for lane in lanes]


@jax.jit
def _count(truth: Int[Array, " m"], predicted: Int[Array, "p m"], keep: Bool[Array, " m"], eye: Array) -> Array:
    return jax.vmap(lambda row: confusion_counts(truth, row, keep, eye.shape[0]))(predicted)


def _tables(truth: Int[Array, " m"], predicted: Int[Array, "p m"], labels: int) -> Int[Array, "p k k"]:
    return _count(truth, predicted, jnp.ones(len(truth), bool), jnp.zeros(labels))


def final_status(status: Status, confusion: NumpyInt) -> Status:
    """A finished fit's status, given its table: a degenerate score is marked as such."""
    if status is not Status.CONVERGED:
        return status
    if (confusion.sum(axis=1) > 0).sum() == 1:
        return Status.ONE_CLASS_TEST
    return Status.ONE_CLASS_PREDICTED if (confusion.sum(axis=0) > 0).sum() == 1 else status
