"""Names of array axes and the typed-array aliases every signature uses.

Axes, always in this order: ``p`` lanes, ``c`` penalties, ``b`` resamples, ``n`` examples, ``d`` width,
``k`` classes. ``o`` is the number of output columns of a head: 1 for two classes, else ``k``.
``m`` counts test rows where train and test rows meet in one signature.

The annotations cost nothing in production; the tests switch on a checker for them with an import hook.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Array, Bool, Float, Int

__all__ = ["Array", "Bool", "Float", "Int", "NumpyBool", "NumpyFloat", "NumpyInt"]

NumpyFloat: TypeAlias = np.ndarray
NumpyInt: TypeAlias = np.ndarray
NumpyBool: TypeAlias = np.ndarray
