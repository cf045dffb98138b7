"""The probe as a scikit-learn estimator."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geneb_jax.estimator.logistic import LogisticProbe as LogisticProbe

# scikit-learn loads with the class that needs it
_HOMES = {"LogisticProbe": "geneb_jax.estimator.logistic"}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
