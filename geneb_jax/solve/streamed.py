"""Newton-CG for one probe whose rows are somewhere else: the caller multiplies, this decides.

The same method, stop rule and slope test as `geneb_jax.solve.newton_cg`, turned inside out. A `Descent` says what it
wants from the next pass over the rows (`want`, `direction`), and the caller hands back what the pass summed up. So
lanes at different stages share one pass, each for its own purpose, and a task takes as many passes as its slowest lane.

Everything of the size of the coefficients is float64 on the host, because it is summed over blocks; only the pass
itself runs in the asked precision.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import numpy as np

from geneb_jax.axes import NumpyFloat
from geneb_jax.solve.host_factor import HostFactor
from geneb_jax.solve.newton_cg import GAIN_FACTOR, ROUNDING_UNITS
from geneb_jax.status import Status

FORCING = 0.05
"""Conjugate gradients stop when the preconditioned residual has fallen by this."""


class Want(Enum):
    """What a lane needs from the next pass."""

    GRADIENT = "gradient at the present logits"
    PRODUCT = "curvature times the direction"
    TRIAL = "gradient at the logits moved by the whole direction"
    SHORTER = "slopes along the direction: no pass over the rows"
    FACTOR = "a new preconditioner at the present logits"
    NOTHING = "finished"


class Descent:
    """One lane on its way from W = 0.

    W (q, o) in solver coordinates; `penalty` π (q,); `value` starts as F at W = 0, which needs no pass. `resolution`
    is the relative spacing of the precision the passes run in. `patience` is how many passes a preconditioner may
    serve before it is rebuilt; it grows from one to the next, as in `geneb_jax.probes.rounds`.
    """

    def __init__(
        self,
        factor: HostFactor,
        penalty: NumpyFloat,
        columns: int,
        value: float,
        *,
        tolerance: float,
        max_steps: int,
        max_inner: int,
        resolution: float,
        patience: int,
    ) -> None:
        self.factor, self.penalty = factor, penalty[:, None]
        self.tolerance, self.max_steps, self.max_inner = tolerance, max_steps, max_inner
        self.resolution, self.patience = resolution, patience
        self.W = np.zeros((len(penalty), columns))
        self.value = value
        self.gap = self.best_gap = self.grad_norm = np.inf
        self.gain = 0.0
        self.num_steps = self.num_bad = self.passes = 0
        self.status = Status.MAX_STEPS
        self.want = Want.GRADIENT
        self.direction = self.delta = np.zeros_like(self.W)
        self._length = 0.0  # of the step whose gradient comes next
        self._decrement = 0.0
        self._served = 0

    def receive(self, data: NumpyFloat, loss: float) -> bool:
        """Take a pass's sums: X̃ᵀT (q, o), and C·Σ w·loss where a gradient was asked for.

        Returns whether the lane has moved by its whole direction, so that its logits must follow.
        """
        self.passes += 1
        self._served += 1
        if self.want is Want.PRODUCT:
            self._inner_step(data)
        elif self.want is Want.GRADIENT:
            self._arrive(data, loss)
        elif self.want is Want.TRIAL:
            return self._judge(data, loss)
        return False

    def shorten(self, data_slope: Callable[[float], float]) -> float:
        """Halve the step until the slope along it has not turned steeply upwards; `data_slope` is the data's part."""
        slope0, curve = self._penalty_slopes()
        t = 0.5
        while data_slope(t) + slope0 + t * curve > 0.1 * self._decrement and t > 1e-6:
            t *= 0.5
        self._length = t
        self.direction = np.zeros_like(self.W)
        self.want = Want.GRADIENT
        return t

    def renew(self, factor: HostFactor) -> None:
        """Go on with a preconditioner made at the present logits."""
        self.factor = factor
        self.patience = self.patience * 3 // 2
        self._served = 0
        self.passes += 1
        self._begin_direction()

    def release(self) -> None:
        """Let go of the preconditioner's memory; `renew` brings a new one."""
        self.factor = HostFactor(None, np.ones(len(self.W)))

    def _penalty_slopes(self) -> tuple[float, float]:
        weighted = self.penalty * self.delta
        return float(np.sum(weighted * self.W)), float(np.sum(weighted * self.delta))

    def _judge(self, data: NumpyFloat, loss: float) -> bool:
        """Accept the whole step unless the slope at its end is steep; slopes that are only rounding pass."""
        slope0, curve = self._penalty_slopes()
        slope = float(np.sum(data * self.delta)) + slope0 + curve
        resolved = self._decrement > 100 * self.resolution * self.value
        if resolved and slope > 0.1 * self._decrement:
            self.want = Want.SHORTER
            return False
        self._length = 1.0
        self._arrive(data, loss)
        return True

    def _arrive(self, data: NumpyFloat, loss: float) -> None:
        """The gradient at the end of a step, or at the start of all: is there anything left to do?"""
        t, decrement = self._length, self._decrement
        W = self.W + t * self.delta
        gradient = data + self.penalty * W
        value = loss + 0.5 * float(np.sum(self.penalty * W * W))
        grad_norm = float(np.linalg.norm(gradient))
        if not (np.isfinite(value) and np.isfinite(grad_norm)):
            self._finish(Status.NON_FINITE)
            return
        fell = self.value - value > 8 * self.resolution * self.value
        self.W, self.value, self.grad_norm = W, value, grad_norm
        self._gradient = gradient
        if t > 0:
            self.num_steps += 1
            self.gain += t * (1 - 0.5 * t) * decrement
            self.num_bad = 0 if fell or self.gap < 0.5 * self.best_gap else self.num_bad + 1
            self.best_gap = min(self.gap, self.best_gap)
            small = 0.5 * decrement <= self.tolerance * GAIN_FACTOR * self.gain
            small |= self.gap <= (ROUNDING_UNITS * self.resolution) ** 2
            if self.gap <= self.tolerance and small:
                self._finish(Status.CONVERGED)
                return
            if self.num_bad >= 5:
                self._finish(Status.STALLED)
                return
            if self.num_steps >= self.max_steps:
                self._finish(Status.MAX_STEPS)
                return
            if self._served >= self.patience and self.factor.renewable:
                self.want, self.direction = Want.FACTOR, np.zeros_like(W)
                return
        self._begin_direction()

    def _begin_direction(self) -> None:
        self._residual = -self._gradient
        z = self.factor.solve(self._residual)
        self._rho0 = self._rho = float(np.sum(self._residual * z))
        self._inner = 0
        self.delta = np.zeros_like(self.W)
        self.want, self.direction = Want.PRODUCT, z
        if not self._rho0 > np.finfo(np.float64).tiny:
            self._end_direction()

    def _inner_step(self, data: NumpyFloat) -> None:
        """One step of conjugate gradients, from the data's part of H p."""
        tiny = np.finfo(np.float64).tiny
        p = self.direction
        Hp = data + self.penalty * p
        curvature = float(np.sum(p * Hp))
        self._inner += 1
        # a direction without curvature has converged, or is the softmax's free constant
        if not (np.isfinite(curvature) and curvature > tiny):
            self._end_direction()
            return
        alpha = self._rho / curvature
        self.delta = self.delta + alpha * p
        self._residual = self._residual - alpha * Hp
        z = self.factor.solve(self._residual)
        rho = float(np.sum(self._residual * z))
        go = rho > FORCING**2 * self._rho0 and self._inner < self.max_inner and rho > tiny
        self.direction = z + (rho / self._rho) * p
        self._rho = rho
        if not go:
            self._end_direction()

    def _end_direction(self) -> None:
        """The direction is as good as asked: half its slope estimates the distance from the optimum."""
        self._decrement = -float(np.sum(self._gradient * self.delta))
        # rows of weight zero alone make F = 0: nothing is left to gain
        self.gap = 0.5 * self._decrement / max(self.value, float(np.finfo(np.float64).tiny))
        if not (np.isfinite(self._decrement) and np.isfinite(self._rho)):
            self._finish(Status.NON_FINITE)
            return
        self.want, self.direction = Want.TRIAL, self.delta

    def _finish(self, status: Status) -> None:
        self.status = status
        self.want, self.direction = Want.NOTHING, np.zeros_like(self.W)
