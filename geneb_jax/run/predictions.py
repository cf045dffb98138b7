"""The predictions of a run: the class that every probe gave to every test row.

::

    predictions.zarr/   Zarr v3 group, geneb_type "predictions", geneb_version 1
      truth/TASK              (test rows,) indices of the true classes; attributes: labels, test_digest
      classes/ELEMENT/TASK    (records, test rows) indices of the predicted ones; attribute: record_ids

Indices count into ``labels``, the task's sorted class labels, and are uint8 (uint16 beyond 254 classes); the highest
value means that there is no prediction. Any metric of any record can be computed from the two arrays again. Rows
behind the last of ``record_ids`` belong to a part that was never committed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from geneb_jax.axes import NumpyInt
from geneb_jax.errors import RunError
from geneb_jax.paths import short, why_not, why_not_one
from geneb_jax.run.meta import TaskMeta
from geneb_jax.whole import whole_numbers

PREDICTIONS: Final = "predictions.zarr"
PREDICTIONS_VERSION: Final = 1
_CURE: Final = "remove the run directory and run the probe again"
_RECORDS_PER_CHUNK: Final = 64


@dataclass(frozen=True)
class Predictions:
    """The test rows of one record: `true` and `predicted` `(m,)`; `labels` `(K,)` are all of the task."""

    true: NumpyInt
    predicted: NumpyInt
    labels: NumpyInt


@dataclass(frozen=True)
class PairPredictions:
    """All records of an (element, task) pair: `true` (m,) and `predicted` (records, m) as indices into `labels`."""

    true: NumpyInt
    predicted: NumpyInt
    labels: NumpyInt
    record_ids: tuple[str, ...]


def read_pair(path: Path, element: str, task: str) -> PairPredictions:
    """The predictions of an (element, task) pair; of a record without a score every entry is the type's highest.

    Raises:
        RunError: they are missing or damaged.
    """
    with _opened(path, element, task) as (true, labels, classes, ids):
        return PairPredictions(true, np.asarray(classes[: len(ids)]), labels, ids)


def read_predictions(path: Path, element: str, task: str, record_id: str) -> Predictions:
    """The predictions of one record of an (element, task) pair.

    Raises:
        RunError: they are missing or damaged.
    """
    with _opened(path, element, task) as (true, labels, classes, ids):
        if record_id not in ids:
            raise KeyError(record_id)
        return Predictions(labels[true], labels[np.asarray(classes[ids.index(record_id)])], labels)


@contextmanager
def _opened(path: Path, element: str, task: str) -> Iterator[tuple[NumpyInt, NumpyInt, Any, tuple[str, ...]]]:
    """Truth (m,), labels, the array of predictions and its record ids; what cannot be read raises RunError."""
    import zarr

    _require_inside(path, element, task)
    try:
        root = zarr.open_group(path, mode="r")
        truth, classes = _array(root, f"truth/{task}"), _array(root, f"classes/{element}/{task}")
        labels = whole_numbers(truth.attrs["labels"], where="predictions.zarr", error=RunError)
        yield np.asarray(truth[:]), labels, classes, tuple(classes.attrs["record_ids"])
    except (KeyError, ValueError, OSError) as error:
        raise RunError(
            f"the predictions cannot be read: {error}", where=f"{path.name}/classes/{element}/{task}", cure=_CURE
        ) from error


def write_predictions(
    path: Path,
    element: str,
    task: str,
    meta: TaskMeta,
    predicted: Mapping[str, NumpyInt | None],
    true: NumpyInt,
    held: Collection[str],
) -> None:
    """Write the predictions of an (element, task) pair, behind those of the records in `held`, which stay.

    `predicted` maps record ids to labels `(m,)`, None where there is no score; `true` `(m,)` are the true labels.

    Raises:
        RunError: the predictions of the held records are not the first ones.
    """
    import zarr

    _require_inside(path, element, task)
    labels = np.asarray(meta.labels, dtype=np.int64)
    kind = np.uint8 if len(labels) < np.iinfo(np.uint8).max else np.uint16
    missing = np.iinfo(kind).max
    codes = np.full((len(predicted), len(true)), missing, kind)
    counted = np.array_equal(labels, np.arange(len(labels)))  # then a label is its own index
    for line, row in zip(codes, predicted.values(), strict=True):
        if row is not None:
            line[:] = row if counted else np.searchsorted(labels, row)
    root = zarr.open_group(path, mode="a")
    root.attrs.update({"geneb_type": "predictions", "geneb_version": PREDICTIONS_VERSION})
    name = f"classes/{element}/{task}"
    if held and name in root:
        array = _array(root, name)
        before = [record_id for record_id in array.attrs["record_ids"] if record_id in held]
        if before != array.attrs["record_ids"][: len(before)]:
            raise RunError(
                "the predictions of this pair are not in the order in which they were written",
                where=f"{path.name}/{name}",
                cure=_CURE,
            )
        if before:
            array.resize((len(before), len(true)))
            array.append(codes)
            array.attrs["record_ids"] = before + list(predicted)
            return
    root.create_array(
        f"truth/{task}",
        data=np.searchsorted(labels, true).astype(kind),
        chunks=(max(len(true), 1),),
        attributes={"labels": labels.tolist(), "test_digest": meta.test_digest},
        overwrite=True,
    )
    root.create_array(
        name,
        data=codes,
        # whole draws together: the five full-data seeds are one fit, and equal rows compress to nothing
        chunks=(_RECORDS_PER_CHUNK, max(len(true), 1)),
        attributes={"record_ids": list(predicted)},
        fill_value=missing,
        overwrite=True,
    )


def _require_inside(path: Path, element: str, task: str) -> None:
    """Raise RunError for an element or a task, as a run or a store calls it, that leads out of the predictions."""
    for name, problem in ((element, why_not_one(element)), (task, why_not(task))):
        if problem:
            raise RunError(
                f"this name cannot be that of predictions: it {problem}: {short(name)}",
                where=path.name,
                cure="get the run or the store from where you trust it",
            )


def _array(root: Any, name: str) -> Any:
    import zarr

    node = root[name]
    if not isinstance(node, zarr.Array):
        raise KeyError(name)
    return node
