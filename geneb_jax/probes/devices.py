"""Several devices on one host: lanes are spread over them, or the rows of one X that few lanes share.

Lanes go under `jax.shard_map`: every device runs the loop of its own lanes and waits for no other, so the programs
hold no communication at all. Rows are left to XLA's partitioner, which adds up products with Xᵀ over the devices.
On one device there is no `Split`, and every program is what it would be without this module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from geneb_jax.axes import Array, Float, NumpyInt
from geneb_jax.backend import devices
from geneb_jax.errors import ProbeError
from geneb_jax.probes.lanes import take_lanes
from geneb_jax.solve.newton_cg import Problem, State
from geneb_jax.solve.precondition import refreshed_factor
from geneb_kernels.gram import weighted_gram

DEVICES_VARIABLE = "GENEB_DEVICES"
"""How many devices a fit may use; all of the default backend's where it is not set."""

AXIS = "devices"

LEAST_SHARE = 2**14
"""Fewest numbers of X per device for which rows are spread: below, devices wait for each other longer than they
work. An estimate, not a measurement on real devices."""

EVERYWHERE = PartitionSpec()  # type: ignore[no-untyped-call]
SPREAD = PartitionSpec(AXIS)  # type: ignore[no-untyped-call]
SPREAD_ROWS = PartitionSpec(None, AXIS)  # type: ignore[no-untyped-call]

_asked: ContextVar[int | None] = ContextVar("geneb_devices", default=None)

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Split(NamedTuple):
    """How a batch of problems lies on the devices of a mesh; hashable, a static argument of jitted functions."""

    mesh: Mesh
    axis: Literal["lanes", "rows"]

    @property
    def lanes(self) -> bool:
        """Whether lanes are spread, not rows."""
        return self.axis == "lanes"


@contextmanager
def use_devices(count: int) -> Iterator[None]:
    """Fit on the first `count` devices inside the block. Raises ProbeError where there are fewer."""
    _devices(count, "use_devices")
    token = _asked.set(count)
    try:
        yield
    finally:
        _asked.reset(token)


def mesh() -> Mesh | None:
    """The devices fits are spread over, or None for one: `use_devices`, else GENEB_DEVICES, else all local ones."""
    count = _asked.get()
    if count is None:
        text = os.environ.get(DEVICES_VARIABLE)
        if text is None:
            # who names a device wants that one
            return None if jax.config.values["jax_default_device"] is not None else _mesh(tuple(devices()))
        if not text.strip().isdecimal():
            raise ProbeError(
                f"{text!r} is no number of devices",
                where=f"environment variable {DEVICES_VARIABLE}",
                cure=f"set it to a number from 1 to {len(devices())}, or unset it to use all",
            )
        count = int(text)
    return _mesh(tuple(_devices(count, DEVICES_VARIABLE)))


def _devices(count: int, where: str) -> list[jax.Device]:
    present = devices()
    if not 1 <= count <= len(present):
        raise ProbeError(
            f"asked for {count} devices, but this host has {len(present)} ({present[0].platform})",
            where=where,
            cure=f"ask for 1 to {len(present)}",
        )
    return present[:count]


@cache
def _mesh(devices: tuple[jax.Device, ...]) -> Mesh | None:
    return Mesh(np.array(devices), (AXIS,)) if len(devices) > 1 else None


def split_for(problem: Problem) -> Split | None:
    """How to spread a batch: by lanes where each device gets one or no X is shared, else by rows of an X worth it."""
    devices = mesh()
    lanes = problem.weights.shape[0]
    if devices is None:
        return None
    n, q = problem.X.shape[-2:]
    if problem.X.ndim == 2 and n >= q and lanes < devices.size:
        return Split(devices, "rows") if n * q >= LEAST_SHARE * devices.size else None
    return Split(devices, "lanes") if lanes > 1 else None


def problem_specs(problem: Problem, split: Split) -> Problem:
    """Where each array of a batch of problems lies."""
    if not split.lanes:
        Y = SPREAD if problem.Y.ndim == 2 else SPREAD_ROWS
        return Problem(X=SPREAD, Y=Y, weights=SPREAD_ROWS, penalty=EVERYWHERE)  # type: ignore[arg-type]
    X, Y = (EVERYWHERE if A.ndim == 2 else SPREAD for A in (problem.X, problem.Y))
    return Problem(X=X, Y=Y, weights=SPREAD, penalty=SPREAD)  # type: ignore[arg-type]


def state_specs(split: Split) -> State:
    """Where each array of the lanes' state lies."""
    if split.lanes:
        return State(*[SPREAD] * len(State._fields))  # type: ignore[arg-type]
    return State(*[EVERYWHERE] * len(State._fields))._replace(Z=SPREAD_ROWS)  # type: ignore[arg-type]


def filled(lanes: NumpyInt, split: Split | None) -> NumpyInt:
    """`lanes` and repeats of the first, up to a multiple of the devices that they are spread over."""
    if split is None or not split.lanes:
        return lanes
    return np.append(lanes, np.full(-len(lanes) % split.mesh.size, lanes[0]))


def lane_unit(split: Split | None) -> int:
    """What lane counts are multiples of."""
    return 1 if split is None or not split.lanes else split.mesh.size


def spread(problem: Problem, state: State, split: Split | None) -> tuple[Problem, State]:
    """A batch on the devices of a split; without one, as it is.

    Filled up with lanes that do not run, to a multiple of the devices, or with rows of weight zero.
    """
    if split is None:
        return problem, state
    if split.lanes:
        count = problem.weights.shape[0]
        lanes = filled(np.arange(count), split)
        if len(lanes) > count:
            return take(problem, state, lanes, split, running=count)
    else:
        more = -problem.X.shape[0] % split.mesh.size
        if more:
            rows = partial(_more, more=more)
            problem = problem._replace(X=rows(problem.X), Y=rows(problem.Y), weights=rows(problem.weights, axis=1))
            state = state._replace(Z=rows(state.Z))
    return _on_devices(problem, state, split)


def take(
    problem: Problem, state: State, lanes: NumpyInt, split: Split | None, *, running: int | None = None
) -> tuple[Problem, State]:
    """Some lanes of a batch, where their split has them; only the first `running` may run on."""
    problem, state = take_lanes(problem, state, lanes)
    if running is not None and running < len(lanes):
        state = state._replace(running=state.running * (np.arange(len(lanes), dtype=np.int32) < running))
    return _on_devices(problem, state, split)


def put_lanes(tree: T, split: Split | None) -> T:
    """Arrays with a leading lane axis, each device with its lanes."""
    return tree if split is None else jax.device_put(tree, NamedSharding(split.mesh, SPREAD))


def _on_devices(problem: Problem, state: State, split: Split | None) -> tuple[Problem, State]:
    if split is None:
        return problem, state
    return _put(problem, problem_specs(problem, split), split), _put(state, state_specs(split), split)


def _more(A: Array, more: int, axis: int = -2) -> Array:
    widths = [(0, 0)] * A.ndim
    widths[axis] = (0, more)
    return jnp.pad(A, widths)


def _put(tree: T, specs: T, split: Split) -> T:
    return jax.tree.map(lambda A, spec: jax.device_put(A, NamedSharding(split.mesh, spec)), tree, specs)


def over_lanes(function: F, split: Split | None, in_specs: tuple[Any, ...] | None) -> F:
    """`function`, each device with its own lanes; as it is where lanes are not spread. All it returns has lanes."""
    if split is None or not split.lanes:
        return function
    # check_vma: loops start from constants, which are the same on all devices, and go on with what is not
    return jax.shard_map(function, mesh=split.mesh, in_specs=in_specs, out_specs=SPREAD, check_vma=False)


def kept(state: State, split: Split | None) -> State:
    """The state where `spread` put it, so that a next round finds the program of the last."""
    if split is None or split.lanes:
        return state
    where = jax.tree.map(lambda spec: NamedSharding(split.mesh, spec), state_specs(split))
    return jax.lax.with_sharding_constraint(state, where)  # type: ignore[no-untyped-call,no-any-return,unused-ignore]


def _total(A: Array) -> Array:
    """The sum over the devices."""
    return jax.lax.psum(A, AXIS)  # type: ignore[no-untyped-call]


def gram_over_rows(X: Float[Array, "n d"], weights: Float[Array, " n"], split: Split) -> Float[Array, "d d"]:
    """Xᵀ diag(w) X, (d, d) on every device, each having added up its own rows, whichever way the lanes are spread."""

    def local(X: Array, weights: Array) -> Array:
        return _total(weighted_gram(X, weights))

    if X.shape[0] % split.mesh.size:
        return weighted_gram(X, weights)
    both = (SPREAD, SPREAD)
    return jax.shard_map(local, mesh=split.mesh, in_specs=both, out_specs=EVERYWHERE, check_vma=False)(X, weights)


def refreshed_over_rows(
    X: Float[Array, "n d"],
    curvatures: Float[Array, "c n"],
    penalty: Float[Array, " d"],
    G: Float[Array, "d d"],
    rows: int,
    split: Split,
) -> Float[Array, "c d d"]:
    """`refreshed_factor` of rows that are spread: every device gives the rows that have most curvature of its own."""
    own = min(-(-rows // split.mesh.size), X.shape[0] // split.mesh.size)

    return jax.shard_map(
        partial(refreshed_factor, rows=own, total=_total),
        mesh=split.mesh,
        in_specs=(SPREAD, SPREAD_ROWS, EVERYWHERE, EVERYWHERE),
        out_specs=EVERYWHERE,
        check_vma=False,
    )(X, curvatures, penalty, G)
