"""Lanes of several probe types: each goes to the code that fits its type, and the results come back in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.probes.heads.specs import HeadSpec
from geneb_jax.probes.lane import Lane, LaneResult
from geneb_jax.probes.spec import Dtype, HeldOutC, ProbeSpec

if TYPE_CHECKING:
    from geneb_jax.probes.fit import TaskArrays

Fit = Callable[[list[Lane[Any]]], list[LaneResult]]
_Asked = TypeVar("_Asked", bound=Lane[Any])


def is_head(spec: ProbeSpec) -> bool:
    """Whether it is another probe than the logistic one."""
    return isinstance(spec.base if isinstance(spec, HeldOutC) else spec, HeadSpec)


def fit_mixed(lanes: Sequence[Lane[Any]], logistic: Fit, heads: Fit) -> list[LaneResult]:
    """Results in the order of `lanes`: one call for logistic probes and one for the others, where there are any."""
    results: dict[int, LaneResult] = {}
    for fit, wanted in ((logistic, False), (heads, True)):
        places = [place for place, lane in enumerate(lanes) if is_head(lane.spec) == wanted]
        if places:
            results.update(zip(places, fit([lanes[place] for place in places]), strict=True))
    return [results[place] for place in range(len(lanes))]


def heads_of(task: TaskArrays, dtype: Dtype) -> Fit:
    """`fit_heads` on one task."""
    from geneb_jax.probes.heads.fit import fit_heads

    return partial(fit_heads, *task, dtype=dtype)


def fit_sklearn(
    X_train: NumpyFloat,
    y_train: NumpyInt,
    X_test: NumpyFloat,
    y_test: NumpyInt,
    lanes: Sequence[Lane[Any]],
    *,
    stock: bool,
    cast: bool,
) -> list[LaneResult]:
    """Every lane by scikit-learn, one after the other; `cast` to float64, else on the vectors as they are."""
    from geneb_jax.probes.harness import fit_task_sklearn
    from geneb_jax.probes.heads.harness import fit_heads_sklearn

    task = X_train, y_train, X_test, y_test
    return fit_mixed(
        lanes,
        partial(fit_task_sklearn, *task, stock=stock, cast=cast),
        partial(fit_heads_sklearn, *task, stock=stock, cast=cast),
    )
