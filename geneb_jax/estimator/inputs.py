"""What users pass to the estimator, checked and brought into the engine's terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_array, column_or_1d

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.errors import ProbeError


class EstimatorError(ProbeError, ValueError):
    """A parameter or an array the estimator cannot use; a ValueError as well, as scikit-learn's callers expect."""


@dataclass(frozen=True, eq=False)
class Coded:
    """One target: its sorted classes (k,) and the index (n,) of each row's class."""

    classes: NumpyInt
    index: NumpyInt


def code(y: Any, *, which: str = "") -> Coded:
    """Classes of one target (n,). Raises EstimatorError where it has one class, ValueError where it is no class."""
    check_classification_targets(y)
    classes, index = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise EstimatorError(
            f"{which}a probe needs samples of at least 2 classes in the data, but the data contains only one class: "
            f"{classes.tolist()[0]!r}"
        )
    return Coded(classes, index.astype(np.int64))


def code_columns(Y: Any, n: int) -> list[Coded]:
    """Targets (n,), or (n, t) with one in each column; labels of different columns may be of different kinds."""
    if np.ndim(Y) != 2:
        return [code(column_or_1d(_of_length(Y, n)))]
    # a table of several kinds of labels is an object array, whose columns are of one kind again
    columns = [np.asarray(y.tolist()) if y.dtype == object else y for y in np.asarray(Y).T]
    if not columns:
        raise EstimatorError("the targets (n, t) hold no column")
    return [code(column_or_1d(_of_length(y, n)), which=f"target {i}: ") for i, y in enumerate(columns)]


def _of_length(y: Any, n: int) -> Any:
    if np.shape(y)[:1] != (n,):
        raise EstimatorError(f"X has {n} rows, the targets have the shape {np.shape(y)}", cure="pass (n,) or (n, t)")
    return y


def row_weights(sample_weight: Any, X: NumpyFloat) -> NumpyFloat | None:
    """Row weights (n,) in float64, finite and not negative."""
    if sample_weight is None:
        return None
    return np.asarray(_check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True))


def weight_rows(sample_weights: Any, X: NumpyFloat) -> list[NumpyFloat | None]:
    """Weightings (t, n), or one (n,), as a list; [None] for none."""
    if sample_weights is None or np.ndim(sample_weights) < 2:
        return [row_weights(sample_weights, X)]
    table = check_array(sample_weights, dtype=np.float64, ensure_min_features=0, input_name="sample_weights")
    if table.shape[1] != len(X):
        raise EstimatorError(
            f"X has {len(X)} rows, the weightings have the shape {table.shape}",
            cure="pass (t, n): one weighting in each row",
        )
    return [row_weights(row, X) for row in table]


def apply_class_weight(
    weights: NumpyFloat | None, target: Coded, class_weight: Mapping[Any, float] | str | None
) -> NumpyFloat | None:
    """Row weights times those of a class-weight dictionary, whose missing classes weigh 1; the rest is the engine's."""
    if not isinstance(class_weight, Mapping) or not class_weight:
        return weights
    labels = target.classes.tolist()
    unknown = [label for label in class_weight if label not in labels]
    if unknown:
        raise EstimatorError(f"class_weight names classes that the target does not hold: {unknown}")
    factor = np.array([float(class_weight.get(label, 1)) for label in labels])
    if not np.isfinite(factor).all() or factor.min() < 0:
        raise EstimatorError("class weights must be finite and not negative")
    return np.asarray(factor[target.index] if weights is None else weights * factor[target.index])


def check_weighted_classes(weights: NumpyFloat | None, target: Coded, *, which: str = "") -> None:
    """Raises EstimatorError where fewer than two classes have a row of positive weight."""
    if weights is None:
        return
    held = np.unique(target.index[weights > 0])
    if len(held) < 2:
        what = f"only one class: {target.classes.tolist()[held[0]]!r}" if len(held) else "no class at all"
        raise EstimatorError(
            f"{which}a probe needs samples of at least 2 classes, but the rows of positive weight contain {what}"
        )
