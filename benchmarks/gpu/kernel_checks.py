"""Every Mosaic GPU kernel against float64 and against XLA's time; on a CPU its XLA reference alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.metrics import matthews_corrcoef

from benchmarks.gpu.steps import FailedCheckError, Figures, Setting, Step
from benchmarks.timing import best_of
from geneb_jax.axes import NumpyFloat
from geneb_jax.linear.reference import losses_and_residuals, one_hot
from geneb_kernels.choice import require_hopper
from geneb_kernels.confusion import confusion_from_logits
from geneb_kernels.gram import weighted_gram
from geneb_kernels.logistic import residuals_and_losses
from geneb_kernels.resample import xla as resample_xla
from geneb_kernels.resample.threefry import weights

Arrays = tuple[Any, ...]

PRODUCT = 64 * float(np.finfo(np.float32).eps)
"""Largest error beside the sum of the summands' sizes: a tf32 product misses it a hundredfold."""
SCORE = 8 * float(np.finfo(np.float32).eps)
"""Largest error of a coefficient."""


@dataclass(frozen=True)
class Shape:
    """n rows, d columns, l lanes, k classes; b resamples."""

    n: int
    d: int
    lanes: int
    k: int
    b: int = 0


@dataclass(frozen=True)
class Operation:
    """An operation: its arguments at a shape, either implementation of it, and its error, in units of the limit."""

    name: str
    arguments: Callable[[Shape], Arrays]
    run: Callable[..., Any]
    mosaic: Callable[..., Any]
    error: Callable[[Arrays, Any], float]
    exact: Shape
    real: Sequence[Shape]


def rows(shape: Shape, rng: np.random.Generator, decades: float = 8) -> NumpyFloat:
    """X (n, d) whose columns differ in size by so many powers of ten."""
    scale = 10.0 ** rng.uniform(-decades / 2, decades / 2, shape.d)
    return ((rng.normal(size=(shape.n, shape.d)) + 1) * scale).astype(np.float32)


def _gram_arguments(shape: Shape) -> Arrays:
    rng = np.random.default_rng(0)
    return rows(shape, rng), rng.uniform(0, 2, (shape.lanes, shape.n)).astype(np.float32)


def _gram_error(arguments: Arrays, found: Any) -> float:
    X, W = (np.asarray(a, np.float64) for a in arguments)
    errors = []
    for G, w in zip(np.asarray(found), W, strict=True):
        norm = np.sqrt(w @ (X * X))
        errors.append(np.max(np.abs(G - (X * w[:, None]).T @ X) / np.outer(norm, norm)))
    return float(max(errors)) / PRODUCT


def _logistic_arguments(shape: Shape) -> Arrays:
    rng = np.random.default_rng(1)
    X = rows(shape, rng)
    outputs = 1 if shape.k == 2 else shape.k
    size = np.sqrt(np.mean(X * X, axis=0))[:, None] * np.sqrt(shape.d)
    V = (3 * rng.normal(size=(shape.lanes, shape.d, outputs)) / size).astype(np.float32)
    W = rng.uniform(0, 2, (shape.lanes, shape.n)).astype(np.float32)
    return X, V, rng.integers(shape.k, size=shape.n).astype(np.int32), W


def _logistic_error(arguments: Arrays, found: Any) -> float:
    X, V, labels, W = arguments
    wide, targets = X.astype(np.float64), one_hot(labels, np.arange(max(V.shape[2], 2)))
    residuals, losses = (np.asarray(part) for part in found)
    worst = 0.0
    for lane, w in enumerate(W):
        loss, residual = losses_and_residuals(wide @ V[lane], targets)
        spread = (np.abs(wide) @ np.abs(V[lane])).max()
        worst = max(worst, np.abs(residuals[:, lane] - w[:, None] * residual).max() / spread)
        worst = max(worst, abs(losses[lane] / (w @ loss) - 1) / spread)
    return float(worst) / PRODUCT


def _confusion_arguments(shape: Shape) -> Arrays:
    rng = np.random.default_rng(2)
    outputs = 1 if shape.k == 2 else shape.k
    Z = rng.normal(size=(shape.lanes, shape.n, outputs)).astype(np.float32)
    truth = rng.integers(shape.k, size=shape.n).astype(np.int32)
    return Z, truth, rng.random((shape.lanes, shape.n)) < 0.7, shape.k


def _confusion_error(arguments: Arrays, found: Any) -> float:
    Z, truth, keep, _ = arguments
    predicted = (Z[..., 0] > 0).astype(int) if Z.shape[2] == 1 else Z.argmax(axis=2)
    exact = [matthews_corrcoef(truth[kept], p[kept]) for p, kept in zip(predicted, keep, strict=True)]
    return float(np.abs(np.asarray(found[1]) - exact).max()) / SCORE


def _resample_arguments(shape: Shape) -> Arrays:
    rng = np.random.default_rng(3)
    truth = rng.integers(shape.k, size=shape.n).astype(np.int32)
    right = rng.random((shape.lanes, shape.n)) < 0.7
    predicted = np.where(right, truth, rng.integers(shape.k, size=right.shape)).astype(np.int32)
    return np.array([7, 9], np.uint32), truth, predicted, shape.k, shape.b


def _resample_error(arguments: Arrays, found: Any) -> float:
    key, truth, predicted, _, b = arguments
    drawn = np.asarray(weights(jnp.asarray(key), b, len(truth)), np.float64)
    exact = [[matthews_corrcoef(truth, p, sample_weight=w) for p in predicted] for w in drawn]
    return float(np.abs(np.asarray(found) - exact).max()) / SCORE


def _mosaic(module: str, function: str) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        from importlib import import_module

        return getattr(import_module(f"geneb_kernels.{module}.mosaic_gpu"), function)(*arguments)

    return run


OPERATIONS = [
    Operation(
        "gram",
        _gram_arguments,
        weighted_gram,
        _mosaic("gram", "weighted_grams"),
        _gram_error,
        Shape(301, 131, 2, 2),
        [Shape(32_378, 256, 5, 2), Shape(8_267, 1_024, 5, 2), Shape(20_000, 4_096, 2, 2)],
    ),
    Operation(
        "logistic",
        _logistic_arguments,
        residuals_and_losses,
        _mosaic("logistic", "residuals_and_losses"),
        _logistic_error,
        Shape(301, 131, 3, 5),
        [Shape(32_378, 256, 64, 2), Shape(8_267, 1_024, 15, 14), Shape(20_000, 4_096, 8, 2)],
    ),
    Operation(
        "confusion",
        _confusion_arguments,
        confusion_from_logits,
        _mosaic("confusion", "confusion_from_logits"),
        _confusion_error,
        Shape(301, 0, 3, 5),
        [Shape(8_000, 0, 1_000, 2), Shape(8_000, 0, 200, 25)],
    ),
    Operation(
        "bootstrap",
        _resample_arguments,
        resample_xla.resampled_mcc,
        _mosaic("resample", "resampled_mcc"),
        _resample_error,
        Shape(301, 0, 3, 5, b=5),
        [Shape(8_000, 0, 440, 2, b=10_000), Shape(2_000, 0, 440, 25, b=10_000)],
    ),
]


def check(operation: Operation, setting: Setting) -> Figures:
    """Errors in units of the limit at an odd size, XLA's and the kernel's; on a GPU their times at real shapes."""
    figures: dict[str, Any] = {}
    implementations: dict[str, Callable[..., Any]] = {"xla": operation.run}
    try:
        require_hopper()
        implementations["mosaic"] = operation.mosaic
    except NotImplementedError as reason:
        figures["kernel"] = f"skipped: {reason}; tests/kernels simulates it"
    for name, run in implementations.items():
        arguments = operation.arguments(operation.exact)
        figures[f"{name}_error_over_limit"] = operation.error(arguments, _compiled(run, arguments)())
    if setting.gpu:
        for shape in operation.real if setting.size == "real" else ():
            arguments = operation.arguments(shape)
            for name, run in implementations.items():
                call = _compiled(run, arguments)
                figures[f"{name}_ms {shape}"] = 1e3 * best_of(lambda call=call: jax.block_until_ready(call()), 5)  # type: ignore[misc, no-untyped-call]
    wrong = [name for name in implementations if not figures[f"{name}_error_over_limit"] <= 1]
    if wrong:
        raise FailedCheckError(f"beyond the limit: {', '.join(wrong)}", figures)
    return figures


def _compiled(run: Callable[..., Any], arguments: Arrays) -> Callable[[], Any]:
    """The call with its arrays on the device and its numbers known to the compiler."""
    arrays = [jax.device_put(a) for a in arguments if isinstance(a, np.ndarray)]
    rest = tuple(a for a in arguments if not isinstance(a, np.ndarray))
    return partial(jax.jit(lambda *a: run(*a, *rest)), *arrays)


WHAT = "against float64 on a badly scaled problem, and against XLA's time"

STEPS = [Step(f"kernel {operation.name}", WHAT, partial(check, operation)) for operation in OPERATIONS]
