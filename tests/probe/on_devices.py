"""Fits for test_devices.py, run as a script in a process of their own that simulates several devices."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

NUM_DEVICES = 8
COMPILED = "/jax/core/compile/backend_compile_duration"
COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")


class Case(NamedTuple):
    """What one case fits: penalties on the full data, and draws of each few-shot size, their C from `low` to `high`."""

    k: int
    dtype: str
    penalties: int
    draws: int = 0
    shots: tuple[int, ...] = (10,)
    low: float = 1.0
    high: float = 1.0
    devices: int = NUM_DEVICES


CASES: dict[str, Case] = {
    "rows and lanes, three classes": Case(3, "float64", penalties=2, draws=5),
    "a grid of more penalties than devices": Case(2, "float32", penalties=9),
    "rows no multiple of the devices": Case(2, "float32", penalties=2, devices=3),
    "rounds of ever fewer lanes": Case(2, "float64", penalties=0, draws=70, low=1e-3, high=1e3),
    "directions in two precisions": Case(2, "float32", penalties=0, draws=21, shots=(50,), low=1e-3, high=1e5),
}
SEEDS = (1, 2)
"""Of the two tasks of each case: the second has the shapes of the first."""


def fit_case(name: str, seed: int) -> list[dict[str, Any]]:
    """Objective, predictions and status of every lane of one task."""
    from geneb_jax.probes.fit import fit_task
    from geneb_jax.probes.lane import Lane
    from geneb_jax.probes.regime import Regime, draw_seeds
    from geneb_jax.probes.spec import LogisticSpec
    from tests.problems import FULL, make_task

    case = CASES[name]
    few = np.geomspace(case.low, case.high, case.draws)
    asked = [Lane(FULL, 13, LogisticSpec(C=float(C))) for C in np.geomspace(0.1, 10, case.penalties)]
    asked += [
        Lane(Regime(shots), s, LogisticSpec(C=float(C)))
        for shots in case.shots
        for s, C in zip(draw_seeds(case.draws) if case.draws else (), few, strict=True)
    ]
    results = fit_task(*make_task(seed, case.k, n=2000, d=64), asked, dtype=case.dtype)  # type: ignore[arg-type]
    return [
        {"objective": r.objective, "predictions": np.asarray(r.predictions).tolist(), "status": r.status.name}
        for r in results
    ]


@contextmanager
def watched(known: set[tuple[str, str]]) -> Iterator[list[dict[str, Any]]]:
    """What every round of a solver ran on, and what its program says to other devices: of each kind not `known`."""
    from geneb_jax.probes import dual_rounds, rounds

    seen: list[dict[str, Any]] = []

    def watch(name: str, real: Any) -> Callable[..., Any]:
        def call(problem: Any, factor: Any, state: Any, *rest: Any, **options: Any) -> Any:
            out = real(problem, factor, state, *rest, **options)
            split = options["split"]
            entry = {
                "solver": name,
                "axis": split and split.axis,
                "single": bool(options.get("mixed", False)),
                "lanes": problem.weights.shape[0],
                "devices": {part: len(getattr(out, part).sharding.device_set) for part in ("W", "Z")},
                "X": problem.X.shape,
                "X_shard": problem.X.addressable_shards[0].data.shape,
                "W_shard": out.W.addressable_shards[0].data.shape,
                "Z_shard": out.Z.addressable_shards[0].data.shape,
            }
            if (name, split and split.axis) not in known and split is not None:
                known.add((name, split.axis))
                text = real.lower(problem, factor, state, *rest, **options).compile().as_text()
                entry["says"] = [word for word in COLLECTIVES if f" {word}(" in text or f" {word}-start(" in text]
            seen.append(entry)
            return out

        return call

    before = rounds._round, dual_rounds._round, dual_rounds.FIRST_STEPS
    rounds._round, dual_rounds._round = (watch("rounds", before[0]), watch("dual_rounds", before[1]))
    # looks after few steps, at which some lanes still run and some do not
    dual_rounds.FIRST_STEPS = 4
    try:
        yield seen
    finally:
        rounds._round, dual_rounds._round, dual_rounds.FIRST_STEPS = before


def main(out: Path) -> None:
    import jax

    from geneb_jax.probes.devices import use_devices

    compiled: list[float] = []

    def listen(event: str, duration: float, **_: object) -> None:
        if event == COMPILED:
            compiled.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    known: set[tuple[str, str]] = set()
    report: dict[str, Any] = {"devices": len(jax.local_devices()), "cases": {}}
    for name, case in CASES.items():
        tasks = []
        with watched(known) as seen, use_devices(case.devices):
            for seed in SEEDS:
                before = len(compiled)
                fits = fit_case(name, seed)
                tasks.append({"fits": fits, "compiled": len(compiled) - before})
        report["cases"][name] = {"tasks": tasks, "rounds": seen}
    out.write_text(json.dumps(report))


if __name__ == "__main__":
    os.environ["JAX_PLATFORMS"] = "cpu"
    import tests.conftest  # noqa: F401  the check of array types and the quick compilation, as in every test

    os.environ["XLA_FLAGS"] += f" --xla_force_host_platform_device_count={NUM_DEVICES}"
    os.environ.pop("GENEB_DEVICES", None)
    main(Path(sys.argv[1]))
