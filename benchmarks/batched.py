"""torch's side of the grid: L-BFGS for a batch of probes of one shape, on torch's GPU where it has one.

Everything is in its favour: columns are centred, rows lie on the device before the clock starts, and the line search
works on the logits, so that an iteration takes two passes over the rows however often it looks along its direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.checks import lane_rows
from benchmarks.racers import Fit, torch_device
from benchmarks.workloads import Problem
from geneb_jax.axes import NumpyFloat
from geneb_jax.probes import Lane

if TYPE_CHECKING:
    from torch import Tensor

MEMORY = 10
LOOKS = 8
"""Newton steps along a direction, held between points where the slope is known to fall and to rise."""
TINY = 1e-30


def lbfgs_batch(problem: Problem, lanes: Sequence[Lane], dtype: str) -> Fit:
    """Lanes of one regime at once: iterations to coefficients (lanes, d, o) and intercepts (lanes, o)."""
    import torch

    where, kind = torch_device(), getattr(torch, dtype)
    rows = [lane_rows(problem, lane) for lane in lanes]
    _, index = np.unique(problem.y_train, return_inverse=True)
    targets = index[:, None] if problem.outputs == 1 else np.eye(problem.outputs)[index]
    X = torch.from_numpy(np.stack([problem.X_train[some] for some in rows])).to(where, kind)
    Y = torch.from_numpy(np.stack([targets[some] for some in rows])).to(where, kind)
    means = X.mean(1, keepdim=True)
    X = torch.cat([X - means, torch.ones_like(X[:, :, :1])], 2)  # the last row of theta is the intercept
    penalty = torch.ones((problem.d + 1, 1), dtype=kind, device=where)
    penalty[-1] = 0
    C = lanes[0].spec.C

    def gradient(theta: Tensor, Z: Tensor) -> Tensor:
        return C * X.mT @ (_probabilities(Z) - Y) + penalty * theta

    def step_length(theta: Tensor, Z: Tensor, along: Tensor, D: Tensor) -> Tensor:
        slope, bend = _dot(penalty * theta, along), _dot(penalty * along, along)
        t = torch.zeros_like(slope)
        falls, rises = t, torch.full_like(t, torch.inf)
        for _ in range(LOOKS):
            P = _probabilities(Z + t * D)
            first = slope + t * bend + C * _dot(P - Y, D)
            second = bend + C * _curvature(P, D)
            falls, rises = torch.where(first <= 0, t, falls), torch.where(first > 0, t, rises)
            t = t - first / second.clamp(min=TINY)
            t = torch.where((t < falls) | (t > rises), (falls + rises) / 2, t)
        return t

    def fit(limit: int) -> tuple[NumpyFloat, NumpyFloat]:
        theta, Z = torch.zeros_like(X[:, 0, :, None] * Y[:, :1]), torch.zeros_like(Y)
        at, pairs = gradient(theta, Z), []
        for _ in range(limit):
            along = -_times_inverse_hessian(at, pairs)
            D = X @ along
            t = step_length(theta, Z, along, D)
            theta, Z = theta + t * along, Z + t * D
            after = gradient(theta, Z)
            pairs = [*pairs, (t * along, after - at)][-MEMORY:]
            at = after
        coef, intercept = theta[:, :-1], theta[:, -1] - (means @ theta[:, :-1])[:, 0]
        return coef.cpu().numpy(), intercept.cpu().numpy()

    return fit


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each lane's two arrays, (lanes, 1, 1)."""
    return (a * b).sum((1, 2), keepdim=True)


def _probabilities(Z: Tensor) -> Tensor:
    return Z.sigmoid() if Z.shape[2] == 1 else Z.softmax(2)


def _curvature(P: Tensor, D: Tensor) -> Tensor:
    """Second derivative of the summed loss along logits that move by D, (lanes, 1, 1)."""
    if P.shape[2] == 1:
        return _dot(P * (1 - P), D * D)
    return _dot(P, D * D) - ((P * D).sum(2) ** 2).sum(1)[:, None, None]


def _times_inverse_hessian(gradient: Tensor, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The two loops of L-BFGS; a lane's pair without curvature, at the end of its precision, counts for nothing."""
    found, weights = gradient, []
    for step, change in reversed(pairs):
        curvature = _dot(step, change)
        share = (curvature > 0) / curvature.clamp(min=TINY)
        weights.append((share, share * _dot(step, found)))
        found = found - weights[-1][1] * change
    if pairs:
        step, change = pairs[-1]
        curvature = _dot(step, change)
        found = found * (curvature / _dot(change, change).clamp(min=TINY)).where(curvature > 0, 1.0)
    for (step, change), (share, weight) in zip(pairs, reversed(weights), strict=True):
        found = found + (weight - share * _dot(change, found)) * step
    return found
