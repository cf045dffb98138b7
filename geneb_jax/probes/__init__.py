"""Probes: specifications, regimes and draws, and fitting them in batches on device."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geneb_jax.probes.fit import TaskArrays as TaskArrays
    from geneb_jax.probes.fit import fit_task as fit_task
    from geneb_jax.probes.fit import fit_tasks as fit_tasks
    from geneb_jax.probes.harness import fit_task_sklearn as fit_task_sklearn
    from geneb_jax.probes.lane import Lane as Lane
    from geneb_jax.probes.lane import LaneResult as LaneResult
    from geneb_jax.probes.regime import GENEB_REGIMES as GENEB_REGIMES
    from geneb_jax.probes.regime import GENEB_SEEDS as GENEB_SEEDS
    from geneb_jax.probes.regime import Regime as Regime
    from geneb_jax.probes.regime import draw_rows as draw_rows
    from geneb_jax.probes.regime import draw_seeds as draw_seeds
    from geneb_jax.probes.spec import HeldOutC as HeldOutC
    from geneb_jax.probes.spec import LogisticSpec as LogisticSpec
    from geneb_jax.probes.streamed import fit_task_streamed as fit_task_streamed
    from geneb_jax.probes.weighted import bootstrap_weights as bootstrap_weights
    from geneb_jax.probes.weighted import fit_weighted as fit_weighted

# JAX and scikit-learn load only with the function that needs them
_HOMES = {
    "fit_task": "geneb_jax.probes.fit",
    "fit_tasks": "geneb_jax.probes.fit",
    "TaskArrays": "geneb_jax.probes.fit",
    "fit_task_sklearn": "geneb_jax.probes.harness",
    "fit_task_streamed": "geneb_jax.probes.streamed",
    "Lane": "geneb_jax.probes.lane",
    "LaneResult": "geneb_jax.probes.lane",
    "GENEB_REGIMES": "geneb_jax.probes.regime",
    "GENEB_SEEDS": "geneb_jax.probes.regime",
    "Regime": "geneb_jax.probes.regime",
    "draw_rows": "geneb_jax.probes.regime",
    "draw_seeds": "geneb_jax.probes.regime",
    "HeldOutC": "geneb_jax.probes.spec",
    "LogisticSpec": "geneb_jax.probes.spec",
    "bootstrap_weights": "geneb_jax.probes.weighted",
    "fit_weighted": "geneb_jax.probes.weighted",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
