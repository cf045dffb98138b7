"""Whole numbers taken over exactly, or not at all: what casting would round, wrap or guess is refused."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from geneb_jax.errors import DataError, GenebError

_EXACT: Final = 2.0**53  # float64 counts in ones up to here
_LARGEST: Final = 2**63 - 1


def whole_numbers(
    values: Any, *, what: str = "labels", where: str | None = None, error: type[GenebError] = DataError
) -> NDArray[np.int64]:
    """The values as a new int64 array of the same shape.

    Integers of any type and Booleans are taken, and floats that are whole, such as 1.0. Raises `error`, naming the
    first entry and its place, for fractions, NaN, numbers past int64, text and whatever else is no whole number.
    """
    cure = f"give {what} as whole numbers, such as 0, 1, 2"
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError, TypeError) as problem:
        raise error(f"the {what} are no array of numbers: {problem}", where=where, cure=cure) from problem
    if array.dtype.kind in "ib" and array.dtype.itemsize <= 8:
        return array.astype(np.int64)
    if array.dtype.kind == "u":
        bad = array > np.uint64(_LARGEST)
    elif array.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            bad = ~((array == np.floor(array)) & (np.abs(array) <= _EXACT))
    elif array.dtype.kind == "O":
        bad = np.frompyfunc(lambda value: not _is_whole(value), 1, 1)(array).astype(bool)
    else:
        bad = np.ones(array.shape, bool)
    if np.any(bad):
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        entry = array[place]
        entry = entry.item() if isinstance(entry, np.generic) else entry
        raise error(
            f"the {what} are whole numbers, and {_reason(entry)}", where=_joined(where, place), cure=_cure(entry, cure)
        )
    return (
        np.array(array.tolist(), np.int64).reshape(array.shape) if array.dtype.kind == "O" else array.astype(np.int64)
    )


def _is_whole(value: object) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return True
    if isinstance(value, (int, np.integer)):
        return -_LARGEST - 1 <= int(value) <= _LARGEST
    if isinstance(value, (float, np.floating)):
        return abs(float(value)) <= _EXACT and float(value).is_integer()
    return False


def _reason(entry: object) -> str:
    if isinstance(entry, str):
        return f"{entry[:40]!r} is text"
    if entry is None or entry != entry:
        return f"{entry!r} is a missing value"
    if isinstance(entry, int) or (isinstance(entry, float) and (math.isinf(entry) or entry.is_integer())):
        return f"{str(entry)[:40]} is too large to be kept exactly"
    return f"{str(entry)[:40]} is none: it would be cut to another number"


def _cure(entry: object, cure: str) -> str:
    if isinstance(entry, str):
        return f"{cure}; map names to numbers yourself, once for all splits"
    if entry is None or entry != entry:
        return "fill it in, or remove the row"
    return cure


def _joined(where: str | None, place: tuple[int, ...]) -> str | None:
    if not place:
        return where
    named = f"entry {', '.join(str(i) for i in place)} (from 0)"
    return f"{where}, {named}" if where else named
