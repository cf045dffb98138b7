"""The multilayer perceptron: one hidden layer in Flax, trained by Optax, over many draws, seeds and learning rates.

An accelerator trains the lanes that have the same number of rows in one vmapped program; a CPU runs one program a lane
and one a core, because a core's cache holds the weights and moments of one lane only, and because lanes that have
stopped early would go on costing time in a common program.

Every random number (weights, held-out rows, the order of rows in an epoch) is that of scikit-learn's
``MLPClassifier(random_state=seed)``, so a fit is the same fit, up to the rounding of the training's arithmetic.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]
from flax import linen

from geneb_jax.axes import Array, Bool, Float, Int, NumpyBool, NumpyFloat, NumpyInt
from geneb_jax.probes.heads.specs import MlpSpec
from geneb_jax.probes.spec import Dtype

LANE_BYTES = 512 * 2**20
"""About how much the weights of lanes that are trained together may take."""

ORDER_NUMBERS = 1 << 20
"""Row numbers of the epochs that are handed to the device at a time."""

EPOCHS = 20
"""Most epochs at a time."""

Params = Any


class Network(linen.Module):
    """Dense, ReLU, dense; one output for two classes."""

    hidden: int
    outputs: int

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Outputs (…, o) of rows (…, d)."""
        x = linen.relu(linen.Dense(self.hidden, param_dtype=x.dtype, precision="highest", name="first")(x))
        return jnp.asarray(linen.Dense(self.outputs, param_dtype=x.dtype, precision="highest", name="second")(x))


class Trained(NamedTuple):
    """One fit on the test rows: class numbers (m,), which tie (m,), epochs, whether it stopped by itself, last loss."""

    predicted: NumpyInt
    tied: NumpyBool
    epochs: int
    stopped: bool
    loss: float


class Training(NamedTuple):
    """One fit: rows of X that it may use, the seed of everything random, its specification."""

    rows: NumpyInt
    seed: int
    spec: MlpSpec


class Draw(NamedTuple):
    """What is random in a fit: the generator after its first uses, weights, rows to train on and rows held out."""

    state: np.random.RandomState
    params: Params
    fit: NumpyInt
    held: NumpyInt


def adam(rate: Float[Array, ""]) -> optax.GradientTransformation:
    """Adam as scikit-learn writes it: epsilon 1e-8 beside the root of the moment before its bias is corrected."""

    def init(params: Params) -> tuple[Any, Params, Params]:
        return jnp.zeros((), jnp.int32), optax.tree.zeros_like(params), optax.tree.zeros_like(params)

    def update(grads: Params, state: tuple[Any, Params, Params], params: Params = None) -> tuple[Params, Any]:
        count, first, second = state[0] + 1, *state[1:]
        first = optax.tree.update_moment(grads, first, 0.9, 1)
        second = optax.tree.update_moment(grads, second, 0.999, 2)
        t = count.astype(rate.dtype)
        step = rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return jax.tree.map(lambda m, v: -step * m / (jnp.sqrt(v) + 1e-8), first, second), (count, first, second)

    return optax.GradientTransformation(init, update)


def batch_loss(network: Network, params: Params, x: Array, y: Array, weight: Array, alpha: float) -> Float[Array, ""]:
    """Mean log loss of a batch, rows of weight 0 left out, with ½·alpha·‖W‖² / rows for the two kernels."""
    z = jnp.asarray(network.apply({"params": params}, x))
    if network.outputs == 1:
        loss = optax.losses.sigmoid_binary_cross_entropy(z[:, 0], y.astype(z.dtype))
    else:
        loss = optax.losses.softmax_cross_entropy_with_integer_labels(z, y)
    squares = sum(jnp.sum(layer["kernel"] ** 2) for layer in params.values())
    return jnp.asarray((jnp.sum(loss * weight) + 0.5 * alpha * squares) / jnp.sum(weight))


def draw_random(index: NumpyInt, d: int, k: int, lane: Training, dtype: Dtype) -> Draw:
    """The random numbers of one fit, in scikit-learn's order: both layers' weights, then the held-out rows.

    Nothing is held out of too few rows (`MlpSpec.holds_out`). Two classes are stratified, more are not: so it does.
    """
    from sklearn.model_selection import train_test_split

    state, o = np.random.RandomState(lane.seed), 1 if k == 2 else k
    params = {}
    for name, (inputs, outputs) in {"first": (d, lane.spec.hidden), "second": (lane.spec.hidden, o)}.items():
        bound = np.sqrt(6.0 / (inputs + outputs))
        kernel = state.uniform(-bound, bound, (inputs, outputs)).astype(dtype)
        params[name] = {"kernel": kernel, "bias": state.uniform(-bound, bound, outputs).astype(dtype)}
    own = index[lane.rows]
    if not lane.spec.holds_out(np.bincount(own).tolist()):
        return Draw(state, params, lane.rows, lane.rows[:0])
    strata = own if k == 2 else None
    fit, out = train_test_split(np.arange(len(own)), random_state=state, test_size=lane.spec.held_out, stratify=strata)
    return Draw(state, params, lane.rows[fit], lane.rows[out])


class _Progress(NamedTuple):
    """A lane in training. best: accuracy on held-out rows, or minus the loss."""

    params: Params
    optimizer: Any
    kept: Params
    best: Float[Array, "*p"]
    without_gain: Int[Array, "*p"]
    epochs: Int[Array, "*p"]
    loss: Float[Array, "*p"]
    done: Bool[Array, "*p"]


class _Lane(NamedTuple):
    """What a lane is trained on: held-out rows, learning rate, and where it standardises, mean and spread."""

    held: Int[Array, "*p h"]
    rate: Float[Array, "*p"]
    shift: Float[Array, "*p d"] | None
    scale: Float[Array, "*p d"] | None


def train(
    X: NumpyFloat, index: NumpyInt, k: int, test: NumpyFloat, lanes: Sequence[Training], dtype: Dtype
) -> list[Trained]:
    """Train every lane on rows of X (n, d) with class numbers index (n,), and predict test rows (m, d)."""
    found: dict[int, Trained] = {}
    draws: dict[tuple[bytes, int, int], Draw] = {}
    groups: dict[object, list[int]] = {}
    used: list[Draw] = []
    for i, lane in enumerate(lanes):
        key = (lane.rows.tobytes(), lane.seed, lane.spec.hidden)
        # a lane of its own order: the generator goes on with every epoch
        draw = draws.get(key) or draw_random(index, X.shape[1], k, lane, dtype)
        draws[key] = draw
        used.append(draw)
        alike = dataclasses.replace(lane.spec, learning_rate=1.0)
        groups.setdefault((alike, len(draw.fit), len(draw.held)), []).append(i)
    device, labels, tests = jnp.asarray(X, dtype), jnp.asarray(index), jnp.asarray(test, dtype)
    cuts: list[list[int]] = []
    for places in groups.values():
        size = _together(lanes[places[0]].spec, X.shape[1], k, dtype)
        cuts += [places[i : i + size] for i in range(0, len(places), size)]

    def run(cut: list[int]) -> list[Trained]:
        with jax.enable_x64(dtype == "float64"):  # which is each thread's own
            return _train_alike(device, labels, k, tests, [lanes[i] for i in cut], [used[i] for i in cut], dtype)

    with ThreadPoolExecutor(_workers()) as pool:
        for cut, answers in zip(cuts, pool.map(run, cuts), strict=True):
            found |= dict(zip(cut, answers, strict=True))
    return [found[i] for i in range(len(lanes))]


def _together(spec: MlpSpec, d: int, k: int, dtype: Dtype) -> int:
    """Lanes of one program."""
    per_lane = 6 * spec.hidden * (d + k) * np.dtype(dtype).itemsize
    return 1 if jax.default_backend() == "cpu" else max(1, LANE_BYTES // per_lane)


def _workers() -> int:
    """Programs that run at the same time."""
    return os.cpu_count() or 1 if jax.default_backend() == "cpu" else 1


def _train_alike(
    X: Array, labels: Array, k: int, test: Array, lanes: list[Training], draws: list[Draw], dtype: Dtype
) -> list[Trained]:
    spec = dataclasses.replace(lanes[0].spec, learning_rate=1.0)
    network = Network(spec.hidden, 1 if k == 2 else k)
    n = len(draws[0].fit)
    batch = min(spec.batch, n)
    number = -(-n // batch)
    rates = jnp.asarray([lane.spec.learning_rate for lane in lanes], dtype)
    held = jnp.asarray(np.stack([draw.held for draw in draws]))
    own = _Lane(held, rates, *_scales(X, [lane.rows for lane in lanes], spec.standardize))
    progress = _begin(jax.tree.map(lambda *leaves: np.stack(leaves), *[draw.params for draw in draws]))
    # lanes with the same draw share its generator, which must go on once an epoch
    streams = {id(draw): _Order(draw, number * batch) for draw in draws}
    each = int(np.clip(ORDER_NUMBERS // (number * batch * len(streams)), 1, EPOCHS))
    weight = jnp.asarray((np.arange(number * batch) < n).astype(dtype).reshape(number, batch))
    for start in range(0, spec.max_epochs, each):
        count = min(each, spec.max_epochs - start)
        orders = {key: stream.epochs(count, each) for key, stream in streams.items()}
        order = np.stack([orders[id(draw)] for draw in draws]).reshape(len(draws), each, number, batch)
        progress = _epochs(network, spec, X, labels, weight, jnp.asarray(count), own, order, progress)
        if bool(progress.done.all()):
            break
    final = progress.kept if held.shape[1] else progress.params
    best, tied = _predict(network, final, test, own.shift, own.scale)
    parts = (best, tied, progress.epochs, progress.done, progress.loss)
    return [Trained(a, b, int(c), bool(e), float(f)) for a, b, c, e, f in zip(*map(np.asarray, parts), strict=True)]


class _Order:
    """The order of rows in each epoch: what scikit-learn's `shuffle` makes of the last epoch's order."""

    def __init__(self, draw: Draw, length: int) -> None:
        self.draw, self.length, self.state = draw, length, np.random.RandomState()
        # training the same draw again, with other settings, begins again
        self.state.set_state(draw.state.get_state())
        self.last = np.arange(len(draw.fit))

    def epochs(self, count: int, room: int) -> NumpyInt:
        """The next `count` epochs, rows of X (room, length), with zeros behind."""
        table = np.zeros((room, self.length), np.int32)
        for i in range(count):
            places = np.arange(len(self.last))
            self.state.shuffle(places)
            self.last = self.last[places]
            table[i, : len(self.last)] = self.draw.fit[self.last]
        return table


def _scales(X: Array, rows: Sequence[NumpyInt], standardize: bool) -> tuple[Array | None, Array | None]:
    """Mean and spread (p, d) of each lane's rows, where it standardises."""
    if not standardize:
        return None, None
    from geneb_jax.probes.heads.moments import scale_of

    known: dict[bytes, tuple[NumpyFloat, NumpyFloat]] = {}
    for own in rows:
        if own.tobytes() not in known:
            part = np.asarray(X[jnp.asarray(own)], np.float64)
            mean = part.mean(axis=0)
            known[own.tobytes()] = mean, scale_of(part.var(axis=0), mean, len(part))
    found = [known[own.tobytes()] for own in rows]
    return jnp.asarray(np.stack([a for a, _ in found]), X.dtype), jnp.asarray(np.stack([b for _, b in found]), X.dtype)


def _scaled(x: Array, shift: Array | None, scale: Array | None) -> Array:
    return x if shift is None or scale is None else (x - shift) / scale


@jax.jit
def _begin(params: Params) -> _Progress:
    """Lanes before their first epoch, from their weights (p, …)."""

    def one(params: Params) -> _Progress:
        dtype = params["first"]["bias"].dtype
        none, zero = jnp.zeros((), jnp.int32), jnp.zeros((), dtype)
        optimizer, kept = adam(zero).init(params), jax.tree.map(jnp.copy, params)
        return _Progress(params, optimizer, kept, jnp.asarray(-jnp.inf, dtype), none, none, zero, jnp.zeros((), bool))

    return jax.vmap(one)(params)


@partial(jax.jit, static_argnames=("network", "spec"), donate_argnames="progress")
def _epochs(
    network: Network,
    spec: MlpSpec,
    X: Float[Array, "n d"],
    labels: Int[Array, " n"],
    weight: Float[Array, "s b"],
    count: Int[Array, ""],
    lanes: _Lane,
    order: Int[Array, "p e s b"],
    progress: _Progress,
) -> _Progress:
    """Up to `count` epochs of every lane that is not done, in batches of `order` with rows of weight 1 or 0."""

    def train_lane(own: tuple[_Lane, Array, _Progress]) -> _Progress:
        lane, order, progress = own
        optimizer = adam(lane.rate)

        def rows(index: Array) -> Array:
            return _scaled(X[index], lane.shift, lane.scale)

        def step(batch: tuple[Array, Array], state: tuple[Params, Any, Array]) -> tuple[Params, Any, Array]:
            (index, weight), (params, moments, total) = batch, state
            loss, grads = jax.value_and_grad(partial(batch_loss, network))(
                params, rows(index), labels[index], weight, spec.alpha
            )
            updates, moments = optimizer.update(grads, moments)
            return optax.apply_updates(params, updates), moments, total + loss * jnp.sum(weight)

        def epoch(state: tuple[Array, _Progress]) -> tuple[Array, _Progress]:
            i, old = state
            start = (old.params, old.optimizer, jnp.zeros_like(old.loss))
            params, moments, total = jax.lax.fori_loop(
                0, len(weight), lambda j, state: step((order[i, j], weight[j]), state), start
            )
            loss = total / jnp.sum(weight)
            if len(lane.held):
                z = jnp.asarray(network.apply({"params": params}, rows(lane.held)))
                score = jnp.mean(_classes(z)[0] == labels[lane.held], dtype=X.dtype)
                gained = score >= old.best + spec.tol
            else:  # the loss must fall by tol
                score, gained = -loss, loss <= -old.best - spec.tol
            without = jnp.where(gained, 0, old.without_gain + 1)
            better = score > old.best
            kept = jax.tree.map(partial(jnp.where, better), params, old.kept)
            best = jnp.where(better, score, old.best)
            done = without > spec.patience
            return i + 1, _Progress(params, moments, kept, best, without, old.epochs + 1, loss, done)

        def go(state: tuple[Array, _Progress]) -> Array:
            return (state[0] < count) & ~state[1].done

        return jax.lax.while_loop(go, epoch, (jnp.zeros((), count.dtype), progress))[1]

    every = (lanes, order, progress)
    # alone, without a batch axis, a lane needs no selects between what it was and what it becomes
    return jax.lax.map(train_lane, every) if len(order) == 1 else jax.vmap(train_lane)(every)


def _classes(z: Array) -> tuple[Array, Array]:
    """Class numbers of outputs (m, o), and which rows tie exactly."""
    if z.shape[-1] == 1:
        return (z[..., 0] > 0).astype(jnp.int32), z[..., 0] == 0
    best = jnp.max(z, axis=-1, keepdims=True)
    return jnp.argmax(z, axis=-1), jnp.sum(z == best, axis=-1) > 1


@partial(jax.jit, static_argnames="network")
def _predict(
    network: Network, params: Params, test: Array, shift: Array | None, scale: Array | None
) -> tuple[Array, Array]:
    def one(params: Params, shift: Array | None, scale: Array | None) -> tuple[Array, Array]:
        return _classes(jnp.asarray(network.apply({"params": params}, _scaled(test, shift, scale))))

    return jax.vmap(one)(params, shift, scale)
