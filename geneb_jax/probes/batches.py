"""The distinct problems of one or more tasks: those on all rows of a task, and batches of draws across tasks.

Problems on all rows share their task's products. Draws, and tasks of few rows in their span, are gathered; those of all
tasks that agree in width, classes, padded rows and specification but for C are solved in one call.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.probes.cost import Choice
from geneb_jax.probes.design import Design
from geneb_jax.probes.dual_rounds import SINGLE_LIMIT
from geneb_jax.probes.lanes import Fitted
from geneb_jax.probes.memory import own_rows_bytes
from geneb_jax.probes.problems import Draws, Targets, solve_all_rows, solve_draws
from geneb_jax.probes.regime import draw_many
from geneb_jax.probes.results import Key, Solved, solved_from
from geneb_jax.probes.select import select_solver
from geneb_jax.probes.solvers import SolverChoice
from geneb_jax.probes.spec import Dtype, LogisticSpec

SMALL_DRAW = 64
"""Draws of up to this many rows are padded to one size and solved together: one compilation, little waste."""

FEW_ROWS = 256
"""Up to this many rows, where they are fewer than the columns, a fit goes to their span in float64."""

BATCH_BYTES = 256 * 2**20
"""Most memory for the draws of several tasks in one call; a single task's may take more."""


class Part(NamedTuple):
    """One task in one design's coordinates, and where its answers go."""

    X: NumpyFloat
    design: Design
    targets: Targets
    keys: list[Key]
    solved: dict[Key, Solved]


class Own(NamedTuple):
    """Problems of one task on rows of their own: draws, each with the keys of its penalties (the last repeated)."""

    part: Part
    draws: Draws
    keys: list[list[Key]]
    spec: LogisticSpec
    choice: Choice

    @property
    def alike(self) -> tuple[object, ...]:
        """Own rows that agree in this are solved together."""
        draws = self.draws
        types = str(draws.X.dtype), str(draws.design.X.dtype)
        shape = draws.rows, draws.X.shape[1], draws.targets.k, draws.penalties.shape[1]
        return (*shape, *types, self.spec, self.choice.solver)


def solve_part(part: Part, dtype: Dtype, asked: SolverChoice) -> list[Own]:
    """Solve what shares all rows of a task; what is left is returned, to be solved together with other tasks'."""
    own: list[Own] = []
    everything = np.arange(part.design.rows)
    full: dict[tuple[int, float | None], list[Key]] = {}
    few: dict[tuple[int, LogisticSpec], list[Key]] = {}
    for key in part.keys:
        if key.shots is None:
            full.setdefault((key.spec.max_steps, key.spec.tolerance), []).append(key)
        else:
            # small draws of different sizes share one padded batch, and one compilation
            size = 0 if key.shots * part.targets.k <= SMALL_DRAW else key.shots
            few.setdefault((size, _but_C(key.spec)), []).append(key)
    for keys in full.values():
        specs = [key.spec for key in keys]
        n, d = len(part.X), part.X.shape[1]
        if n >= d or (dtype == "float32" and _many_tame_rows(part.X, part.design, specs)):
            _solve_full(part, keys, dtype, asked)
            continue
        spans: dict[LogisticSpec, list[Key]] = {}
        for key in keys:
            spans.setdefault(_but_C(key.spec), []).append(key)
        own += [_own(part, spec, [everything], [alike], asked) for spec, alike in spans.items()]
    for (_, spec), keys in few.items():
        draws: dict[tuple[int, int], list[Key]] = {}
        for key in keys:
            draws.setdefault((key.shots or 0, key.seed), []).append(key)
        rows = draw_many(part.targets.index, list(draws))
        own.append(_own(part, spec, rows, list(draws.values()), asked))
    return own


def _but_C(spec: LogisticSpec) -> LogisticSpec:
    return replace(spec, C=1.0)


def _own(part: Part, spec: LogisticSpec, rows: list[NumpyInt], keys: list[list[Key]], asked: SolverChoice) -> Own:
    most = max(len(row) for row in keys)
    # a draw with fewer penalties than another, as where some are chosen, repeats its last one
    penalties = np.asarray([[row[min(i, len(row) - 1)].spec.C for i in range(most)] for row in keys])
    draws = Draws(part.X, part.design, part.targets, rows, penalties)
    size = max(len(selected) for selected in rows)
    choice = select_solver(asked, size, part.X.shape[1], part.targets.k, penalties.size, shared_X=False, itemsize=8)
    return Own(part, draws, keys, spec, choice)


def _solve_full(part: Part, keys: list[Key], dtype: Dtype, asked: SolverChoice) -> None:
    began = time.perf_counter()
    spec, (n, d) = keys[0].spec, part.X.shape
    choice = select_solver(asked, n, d, part.targets.k, len(keys), shared_X=True, itemsize=np.dtype(dtype).itemsize)
    fitted = solve_all_rows(
        part.design,
        part.targets,
        [key.spec for key in keys],
        tolerance=spec.resolved_tolerance(dtype),
        max_steps=spec.max_steps,
        solver=choice.solver,
    )
    seconds = (time.perf_counter() - began) / len(keys)
    name = choice.solver if n >= d else f"{choice.solver}, dual"
    for i, key in enumerate(keys):
        part.solved[key] = solved_from(fitted, i, n, name, choice.reason, seconds)


def solve_own(own: Sequence[Own]) -> None:
    """Solve draws of one or more tasks, alike ones in one call, and hand each task its answers."""
    batches: dict[tuple[object, ...], list[Own]] = {}
    for one in own:
        batches.setdefault(one.alike, []).append(one)
    for alike in batches.values():
        for batch in _cut(alike):
            began = time.perf_counter()
            first = batch[0]
            found = solve_draws([one.draws for one in batch], first.spec, first.choice.solver)
            count = sum(len(row) for one in batch for row in one.keys)
            seconds = (time.perf_counter() - began) / count
            for one, fitted in zip(batch, found, strict=True):
                _hand_out(one, fitted, seconds)


def _hand_out(one: Own, fitted: Fitted, seconds: float) -> None:
    sizes = [len(rows) for rows in one.draws.selections]
    name = f"{one.choice.solver} in the rows' span" if max(sizes) < one.draws.X.shape[1] else one.choice.solver
    c = one.draws.penalties.shape[1]
    for i, (row, size) in enumerate(zip(one.keys, sizes, strict=True)):
        for j, key in enumerate(row):
            one.part.solved[key] = solved_from(fitted, i * c + j, size, name, one.choice.reason, seconds)


def _cut(alike: list[Own]) -> Iterator[list[Own]]:
    """Batches of tasks whose draws together stay within `BATCH_BYTES`."""
    batch: list[Own] = []
    held = 0
    for one in alike:
        draws = one.draws
        outputs = draws.penalties.shape[1] * (1 if draws.targets.k == 2 else draws.targets.k)
        needed = own_rows_bytes(draws.rows, draws.X.shape[1], outputs, len(draws.selections))
        if batch and held + needed > BATCH_BYTES:
            yield batch
            batch, held = [], 0
        batch.append(one)
        held += needed
    yield batch


def _many_tame_rows(X: NumpyFloat, design: Design, specs: Sequence[LogisticSpec]) -> bool:
    """Whether full-data rows fewer than their columns are solved in float32: too many to go to their span in float64
    at little cost, and of norms that float32's dual can take."""
    if len(X) <= FEW_ROWS or any(spec.standardize or spec.balanced for spec in specs):
        return False
    shift = np.asarray(design.shift)  # the mean, or zero where there is no intercept
    largest = 0.0
    for start in range(0, len(X), FEW_ROWS):
        R = X[start : start + FEW_ROWS] - shift
        largest = np.maximum(largest, np.einsum("nd,nd->n", R, R).max())  # a NaN stays
    return bool(0.25 * max(spec.C for spec in specs) * largest <= SINGLE_LIMIT)
