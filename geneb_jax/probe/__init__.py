"""Probes: specifications, regimes and draws, and fitting them in batches on device."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geneb_jax.probe.fit import TaskArrays as TaskArrays
    from geneb_jax.probe.fit import fit_task as fit_task
    from geneb_jax.probe.fit import fit_tasks as fit_tasks
    from geneb_jax.probe.harness import fit_task_sklearn as fit_task_sklearn
    from geneb_jax.probe.lane import Lane as Lane
    from geneb_jax.probe.lane import LaneResult as LaneResult
    from geneb_jax.probe.regime import GENEB_REGIMES as GENEB_REGIMES
    from geneb_jax.probe.regime import GENEB_SEEDS as GENEB_SEEDS
    from geneb_jax.probe.regime import Regime as Regime
    from geneb_jax.probe.regime import draw_rows as draw_rows
    from geneb_jax.probe.regime import draw_seeds as draw_seeds
    from geneb_jax.probe.spec import HeldOutC as HeldOutC
    from geneb_jax.probe.spec import LogisticSpec as LogisticSpec
    from geneb_jax.probe.streamed import fit_task_streamed as fit_task_streamed
    from geneb_jax.probe.weighted import bootstrap_weights as bootstrap_weights
    from geneb_jax.probe.weighted import fit_weighted as fit_weighted

# JAX and scikit-learn load only with the function that needs them
_HOMES = {
    "fit_task": "geneb_jax.probe.fit",
    "fit_tasks": "geneb_jax.probe.fit",
    "TaskArrays": "geneb_jax.probe.fit",
    "fit_task_sklearn": "geneb_jax.probe.harness",
    "fit_task_streamed": "geneb_jax.probe.streamed",
    "Lane": "geneb_jax.probe.lane",
    "LaneResult": "geneb_jax.probe.lane",
    "GENEB_REGIMES": "geneb_jax.probe.regime",
    "GENEB_SEEDS": "geneb_jax.probe.regime",
    "Regime": "geneb_jax.probe.regime",
    "draw_rows": "geneb_jax.probe.regime",
    "draw_seeds": "geneb_jax.probe.regime",
    "HeldOutC": "geneb_jax.probe.spec",
    "LogisticSpec": "geneb_jax.probe.spec",
    "bootstrap_weights": "geneb_jax.probe.weighted",
    "fit_weighted": "geneb_jax.probe.weighted",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
