"""Batches of probes: the lanes, their state before the first step, and what is kept of them afterwards."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import jax
import numpy as np

from geneb_jax.axes import Array, Float, Int, NumpyFloat, NumpyInt
from geneb_jax.probes.programs import program
from geneb_jax.solve.newton_cg import Problem, State
from geneb_jax.status import Status

T = TypeVar("T")

COMPACT_FROM = 32
"""Fewest lanes a round is compacted to: a new lane count costs a compilation of a second or two."""


class Lanes(NamedTuple):
    """p problems. X and Y are each shared (n, …) or one per lane (p, n, …); the rest has a leading lane axis.

    C (p,), weights (p, n) before C and penalty (p, q) stay on the host until `problem` puts them on the device.
    """

    X: Float[Array, "*p n q"]
    Y: Float[Array, "*r n o"]
    C: NumpyFloat
    weights: NumpyFloat
    penalty: NumpyFloat

    @property
    def shared(self) -> bool:
        """Whether all lanes read the same X."""
        return self.X.ndim == 2

    def problem(self) -> Problem:
        """The lanes as the solvers take them, on the device."""
        with np.errstate(all="ignore"):  # what overflows ends as a status
            weights = np.asarray(self.C)[:, None] * np.asarray(self.weights)
        return Problem(*jax.device_put((self.X, self.Y, weights, self.penalty)))


class Fitted(NamedTuple):
    """What is kept of every lane, on the host: W (p, q, o) and one number per lane for the rest, as in `State`."""

    W: NumpyFloat
    status: NumpyInt
    value: NumpyFloat
    gap: NumpyFloat
    grad_norm: NumpyFloat
    num_steps: NumpyInt


def lane_axes(problem: Problem) -> Problem:
    """The lane axes of a batch of problems, for vmap."""
    X = None if problem.X.ndim == 2 else 0
    Y = None if problem.Y.ndim == 2 else 0
    return Problem(X=X, Y=Y, weights=0, penalty=0)  # type: ignore[arg-type]


def zero_state(lanes: Lanes) -> State:
    """Every lane at W = 0, where the logits are zero and F is the weighted log of the number of classes."""
    p, q, n, o = lanes.C.shape[0], lanes.X.shape[-1], lanes.X.shape[-2], lanes.Y.shape[-1]
    dtype = np.dtype(lanes.X.dtype)
    total = np.asarray(lanes.C) * np.asarray(lanes.weights).sum(axis=1)
    infinite = np.full(p, np.inf, dtype)
    zero = np.zeros(p, np.int32)
    state = {
        "W": np.zeros((p, q, o), dtype),
        "Z": np.zeros((p, n, o), dtype),
        "value": (total * np.log(max(o, 2))).astype(dtype),
        "gap": infinite,
        "best_gap": infinite,
        "gain": np.zeros(p, dtype),
        "grad_norm": infinite,
        "num_steps": zero,
        "num_products": zero,
        "num_bad": zero,
        "running": zero + 1,
        "status": np.full(p, int(Status.MAX_STEPS), np.int32),
    }
    return State(**jax.device_put(state))


def take_lanes(problem: Problem, state: State, rows: NumpyInt) -> tuple[Problem, State]:
    """Some lanes of a batch; shared arrays stay as they are."""
    own = {name: A for name, A in problem._asdict().items() if name not in ("X", "Y") or A.ndim == 3}
    own, state = picked((own, state), jax.device_put(rows))
    return problem._replace(**own), state


@program
def picked(tree: T, rows: Int[Array, " r"]) -> T:
    """Some entries of arrays with a leading lane axis, all of them in one program."""
    return jax.tree.map(lambda A: A[rows], tree)


def compact_size(running: int, lanes: int, unit: int = 1) -> int:
    """The lane count to continue with: a power of two, or all while a smaller count is not worth its compilation.

    Rounded up to a multiple of `unit`.
    """
    size = -(-max(COMPACT_FROM, 1 << (running - 1).bit_length()) // unit) * unit
    return size if 2 * size <= lanes else lanes


def continued(on: NumpyInt, lanes: int, unit: int = 1) -> NumpyInt | None:
    """Which of so many lanes go on when those in `on` have to, or None for all.

    Filled up with finished lanes: they cost a slot, and repeat their own values. Dealt out so that each of `unit`
    devices gets its share of those that run.
    """
    size = compact_size(len(on), lanes, unit)
    if size == lanes:
        return None
    on = np.concatenate([on, np.setdiff1d(np.arange(lanes), on)[: size - len(on)]])
    return on.reshape(-1, unit).T.ravel()


def updated(fitted: Fitted | None, state: State, alive: NumpyInt, max_steps: int) -> tuple[Fitted, NumpyInt]:
    """What is known of all lanes after a round of the `alive` ones, and which of these (as positions) run on."""
    part = Fitted(*(np.array(getattr(state, name)) for name in Fitted._fields))
    on = np.flatnonzero((np.asarray(state.running) == 1) & (part.num_steps < max_steps))
    return placed(fitted, part, alive, len(alive)), on


def part_of(fitted: Fitted, count: int) -> Fitted:
    """The first `count` lanes."""
    return Fitted(*(values[:count] for values in fitted))


def placed(fitted: Fitted | None, part: Fitted, lanes: NumpyInt, count: int) -> Fitted:
    """`fitted`, of `count` lanes, with the values of some of its lanes replaced; None has no values yet."""
    if len(lanes) == count and fitted is None:
        return part
    if fitted is None:
        fitted = Fitted(*(np.zeros((count, *new.shape[1:]), new.dtype) for new in part))
    for whole, new in zip(fitted, part, strict=True):
        whole[lanes] = new
    return fitted
