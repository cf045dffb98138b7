"""Fit and score probes of any type beside the logistic one: `fit_heads`, the counterpart of `probes.fit.fit_task`.

What the lanes of a task have in common is computed once: the moments of the whole split serve ridge, LDA, centroids,
naive Bayes and the SVM's preconditioner; all heads that are linear in some features are scored in one product.
Everything but the SVM and the MLP on a whole split, and the first look of the nearest neighbours, is in float64
whatever precision is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.axes import NumpyFloat, NumpyInt
from geneb_jax.backend import devices
from geneb_jax.probes.heads import draws, full
from geneb_jax.probes.heads.moments import Moments, class_moments
from geneb_jax.probes.heads.neighbours import neighbours, neighbours_of_draws
from geneb_jax.probes.heads.results import Key, Solved, Test, decide, lane_results
from geneb_jax.probes.heads.specs import (
    AnyHead,
    CentroidSpec,
    GnbSpec,
    KnnSpec,
    LdaSpec,
    MlpSpec,
    RidgeSpec,
    SvmSpec,
)
from geneb_jax.probes.lane import Lane, LaneResult, empty_result
from geneb_jax.probes.regime import draw_many
from geneb_jax.probes.results import check_task
from geneb_jax.probes.spec import Dtype
from geneb_jax.probes.threads import one_blas_thread
from geneb_jax.status import Status

DRAW_BYTES = 128 * 2**20
"""Most memory for the rows of draws that are fitted together, and for their scores on the test rows."""

_Spec = TypeVar("_Spec", bound=AnyHead)


class _Task(NamedTuple):
    """One task: rows, their classes 0 … k-1 (n,), the mean of the training rows, shifted test rows, precision."""

    X_train: NumpyFloat
    X_test: NumpyFloat
    classes: NumpyInt
    k: int
    origin: NumpyFloat
    test: Test
    dtype: Dtype


class _Linear(NamedTuple):
    """A fitted head that waits to be scored: W (d, o), b (o,) in shifted coordinates, of (x², x) where squared."""

    key: Key
    W: NumpyFloat
    b: NumpyFloat
    squared: bool
    rest: dict[str, Any]


def fit_heads(
    X_train: NumpyFloat,
    y_train: NumpyInt,
    X_test: NumpyFloat,
    y_test: NumpyInt,
    lanes: Sequence[Lane[AnyHead]],
    *,
    dtype: Dtype = "float32",
) -> list[LaneResult]:
    """Fit and score all lanes on embeddings X_train (n, d), X_test (m, d) with integer labels (n,), (m,).

    Results in the order of `lanes`; what cannot be fitted carries a status instead of a score. ``coef`` and
    ``intercept`` are None for probes that are not linear. Raises ProbeError on arrays that do not fit together,
    never on their values.
    """
    check_task(np.shape(X_train), y_train, np.shape(X_test), y_test)
    y_train, y_test = np.asarray(y_train, np.int64), np.asarray(y_test, np.int64)
    if not (np.isfinite(X_train).all() and np.isfinite(X_test).all()):
        return [empty_result(lane, Status.BAD_EMBEDDING, y_train, y_test) for lane in lanes]
    if y_train.min() == y_train.max():
        return [empty_result(lane, Status.ONE_CLASS_TRAIN, y_train, y_test) for lane in lanes]
    if not lanes:
        return []
    classes, index = np.unique(y_train, return_inverse=True)
    solved: dict[Key, Solved] = {}
    devices()
    with (
        np.errstate(all="ignore"),  # what overflows ends as a status
        jax.enable_x64(True),
        one_blas_thread(X_train.shape[1]),
    ):
        origin = np.asarray(np.mean(X_train, axis=0, dtype=np.float64))
        test = Test.of(X_test - origin)
        task = _Task(X_train, X_test, index, len(classes), origin, test, dtype)
        keys = list(dict.fromkeys(Key.of(lane) for lane in lanes))
        linear: list[_Linear] = []
        _fit_full(task, [key for key in keys if key.shots is None], linear, solved)
        by_shots: dict[int, list[Key]] = {}
        for key in keys:
            if key.shots is not None:
                by_shots.setdefault(key.shots, []).append(key)
        for shots, few in by_shots.items():
            _fit_draws(task, shots, few, linear, solved)
        _fit_mlp(task, [key for key in keys if isinstance(key.spec, MlpSpec)], solved)
        _score(task, linear, solved)
        ordered = {key: solved[key] for key in keys}
        return lane_results(lanes, ordered, classes, y_train, y_test)


def _of(keys: Sequence[Key], kind: type[_Spec]) -> tuple[list[Key], list[_Spec]]:
    """The keys of a type, and their specifications."""
    found = [(key, key.spec) for key in keys if isinstance(key.spec, kind)]
    return [key for key, _ in found], [spec for _, spec in found]


def _fit_full(task: _Task, keys: list[Key], linear: list[_Linear], solved: dict[Key, Solved]) -> None:
    """Problems on the whole split: fewer rows than columns are one large draw, else everything comes from moments."""
    if not keys:
        return
    n, d = task.X_train.shape
    knn, knn_specs = _of(keys, KnnSpec)
    plain = [place for place, spec in enumerate(knn_specs) if not spec.standardize]
    others = [key for key in keys if not isinstance(key.spec, KnnSpec | MlpSpec)]
    if n < d and others:
        _fit_rows(task, [np.arange(n)], [[key] for key in others], linear, solved)
        others = []
    m = _moments(task, others or knn) if others or len(plain) < len(knn) else None
    if others:
        assert m is not None
        _fit_moments(task, m, others, linear)
    for standardize in (False, True):
        places = [place for place, spec in enumerate(knn_specs) if spec.standardize == standardize]
        for metric in ("euclidean", "cosine"):
            some = [place for place in places if knn_specs[place].metric == metric]
            if not some:
                continue
            began = time.perf_counter()
            # the cosine is that of the rows as they are, or of standardised ones, whose origin is their mean
            origin = np.zeros(d) if metric == "cosine" and not standardize else task.origin
            scale = m.scale if standardize and m is not None else np.ones(d)
            train, test = (task.X_train - origin) / scale, (task.X_test - origin) / scale
            answers = neighbours(train, task.classes, test, task.k, [knn_specs[place] for place in some], task.dtype)
            seconds = (time.perf_counter() - began) / len(some)
            for place, (predicted, tied) in zip(some, answers, strict=True):
                solved[knn[place]] = Solved(predicted, int(tied.sum()), n, "exact", seconds=seconds)


def _moments(task: _Task, keys: Sequence[Key]) -> Moments:
    fixed = any(isinstance(key.spec, LdaSpec) and key.spec.shrinkage != "auto" for key in keys)
    within = fixed or any(isinstance(key.spec, RidgeSpec | SvmSpec) for key in keys)
    shrunk = any(isinstance(key.spec, LdaSpec) and key.spec.shrinkage == "auto" for key in keys)
    return class_moments(task.X_train, task.classes, task.k, within=within, shrunk=shrunk)


def _fit_moments(task: _Task, m: Moments, keys: list[Key], linear: list[_Linear]) -> None:
    """Ridge, LDA, centroids, naive Bayes and SVM of a whole split with at least as many rows as columns."""
    n = m.rows

    def add(keys: list[Key], heads: Sequence[full.Head], **figures: Any) -> None:
        rest = {"n_train": n, "solver": "exact", **figures}
        squared = isinstance(keys[0].spec, GnbSpec)
        linear.extend(_Linear(key, W, b, squared, rest) for key, (W, b) in zip(keys, heads, strict=True))

    exact: tuple[tuple[type[Any], Callable[[Moments, Any], Sequence[full.Head]]], ...] = (
        (RidgeSpec, full.ridge),
        (LdaSpec, full.lda),
        (CentroidSpec, lambda m, specs: [full.centroid(m, spec.standardize) for spec in specs]),
        (GnbSpec, full.bayes),
    )
    for kind, fit in exact:
        began = time.perf_counter()
        some, specs = _of(keys, kind)
        if some:
            heads = fit(m, specs)
            add(some, heads, seconds=(time.perf_counter() - began) / len(some))
    began = time.perf_counter()
    svm_keys, svm_specs = _of(keys, SvmSpec)
    if svm_keys:
        from geneb_jax.probes.heads.svm import fit_svm
        from geneb_jax.probes.heads.svm_host import fit_svm_host

        host = jax.default_backend() == "cpu"
        fits = (
            fit_svm_host(task.X_train, task.classes, m, svm_specs)
            if host
            else fit_svm(task.X_train, task.classes, m, svm_specs, task.dtype)
        )
        seconds = (time.perf_counter() - began) / len(fits)
        for key, one in zip(svm_keys, fits, strict=True):
            status = Status.CONVERGED if one.converged else Status.MAX_STEPS
            solver = "newton" if host else "newton-cg"
            figures = {"steps": one.steps, "objective": one.objective, "gap": one.gap, "solver": solver}
            add([key], [one.head], seconds=seconds, status=status, **figures)


def _fit_draws(task: _Task, shots: int, keys: list[Key], linear: list[_Linear], solved: dict[Key, Solved]) -> None:
    """Few-shot problems with the same number of rows, in blocks of draws that fit memory."""
    keys = [key for key in keys if not isinstance(key.spec, MlpSpec)]
    if not keys:
        return
    seeds = list(dict.fromkeys(key.seed for key in keys))
    rows = draw_many(task.classes, [(shots, seed) for seed in seeds])
    of_seed: dict[int, dict[AnyHead, Key]] = {}
    for key in keys:
        of_seed.setdefault(key.seed, {})[key.spec] = key
    each = 8 * len(rows[0]) * max(4 * task.X_train.shape[1], task.test.X.shape[0])
    most = max(1, DRAW_BYTES // each)
    size = -(-len(seeds) // -(-len(seeds) // most))  # blocks of like size: a new size is a compilation
    specs = list(dict.fromkeys(key.spec for key in keys))
    for start in range(0, len(seeds), size):
        block = seeds[start : start + size]
        wanted = [[of_seed[seed][spec] for seed in block if spec in of_seed[seed]] for spec in specs]
        _fit_rows(task, rows[start : start + size], wanted, linear, solved, block)


def _fit_rows(
    task: _Task,
    rows: list[NumpyInt],
    wanted: list[list[Key]],
    linear: list[_Linear],
    solved: dict[Key, Solved],
    seeds: Sequence[int] = (0,),
) -> None:
    """Fit every specification, each with the keys of the draws that want it, on every draw."""
    X = jnp.asarray(np.stack([task.X_train[own] - task.origin for own in rows]))
    index, origin = jnp.asarray(task.classes[rows[0]]), jnp.asarray(task.origin)
    place = {seed: i for i, seed in enumerate(seeds)}
    for standardize in (False, True):
        groups = {keys[0].spec: keys for keys in wanted if keys and keys[0].spec.standardize == standardize}
        if not groups:
            continue
        ready = draws.prepare(X, index, task.k, origin, standardize)
        _fit_prepared(task, ready, groups, place, linear, solved)


def _fit_prepared(
    task: _Task,
    ready: draws.Rows,
    groups: dict[AnyHead, list[Key]],
    place: dict[int, int],
    linear: list[_Linear],
    solved: dict[Key, Solved],
) -> None:
    """Fit draws as the specifications see them; `place` is where a seed's draw lies among the rows."""
    count, n = ready.X.shape[:2]

    def add(
        specs: Sequence[AnyHead],
        heads: draws.Heads,
        began: float,
        rest: Sequence[Sequence[dict[str, Any]]] | None = None,
    ) -> None:
        W, b = (np.asarray(part) for part in heads)
        seconds = (time.perf_counter() - began) / (len(W) * len(specs))
        for c, spec in enumerate(specs):
            for key in groups[spec]:
                i = place[key.seed]
                more = {"n_train": n, "solver": "exact, dual", "seconds": seconds, **(rest[i][c] if rest else {})}
                linear.append(_Linear(key, W[i, c], b[i, c], isinstance(spec, GnbSpec), more))

    keys = [own[0] for own in groups.values()]
    began = time.perf_counter()
    if ridge := _of(keys, RidgeSpec)[1]:
        add(ridge, draws.ridge(ready, jnp.asarray([spec.alpha for spec in ridge])), began)
    began = time.perf_counter()
    if lda := _of(keys, LdaSpec)[1]:
        shrinkage = [-1.0 if spec.shrinkage == "auto" else float(spec.shrinkage) for spec in lda]
        add(lda, draws.lda(ready, jnp.asarray(shrinkage)), began)
    began = time.perf_counter()
    if centroid := _of(keys, CentroidSpec)[1]:
        add(centroid, draws.centroid(ready), began)
    began = time.perf_counter()
    if bayes := _of(keys, GnbSpec)[1]:
        add(bayes, draws.bayes(ready, jnp.asarray([spec.var_smoothing for spec in bayes])), began)
    machines = _of(keys, SvmSpec)[1]
    for most in dict.fromkeys(spec.max_steps for spec in machines):
        began = time.perf_counter()
        some = [spec for spec in machines if spec.max_steps == most]
        fitted = draws.svm(ready, jnp.asarray([spec.C for spec in some]), most)
        steps, done, value, gap = (np.asarray(a) for a in fitted[1:])
        figures = [
            [
                {
                    "status": Status.CONVERGED if done[i, c] else Status.MAX_STEPS,
                    "steps": int(steps[i, c]),
                    "objective": float(value[i, c]),
                    "gap": float(gap[i, c]),
                    "solver": "newton, dual",
                }
                for c in range(len(some))
            ]
            for i in range(count)
        ]
        add(some, fitted.heads, began, rest=figures)
    began = time.perf_counter()
    if knn := _of(keys, KnnSpec)[1]:
        answers = neighbours_of_draws(ready, task.test.X[:, :-1], knn, int(np.asarray(ready.H).sum(axis=0).max()))
        seconds = (time.perf_counter() - began) / (len(knn) * count)
        for spec, (predicted, tied) in zip(knn, answers, strict=True):
            for key in groups[spec]:
                i, m = place[key.seed], task.test.rows
                solved[key] = Solved(predicted[i, :m], int(tied[i, :m].sum()), n, "exact", seconds=seconds)


def _fit_mlp(task: _Task, keys: list[Key], solved: dict[Key, Solved]) -> None:
    """Every MLP of the task, whatever its rows: what is alike is trained together."""
    if not keys:
        return
    from geneb_jax.probes.heads.mlp import Training, train

    began = time.perf_counter()
    few = list(dict.fromkeys((key.shots, key.seed) for key in keys if key.shots is not None))
    drawn = draw_many(task.classes, few)
    rows = dict(zip(few, drawn, strict=True))
    whole = np.arange(len(task.classes))
    lanes = [
        Training(whole if key.shots is None else rows[key.shots, key.seed], key.seed, key.spec)
        for key in keys
        if isinstance(key.spec, MlpSpec)
    ]
    with jax.enable_x64(task.dtype == "float64"):
        found = train(task.X_train, task.classes, task.k, task.X_test, lanes, task.dtype)
    seconds = (time.perf_counter() - began) / len(keys)
    for key, lane, one in zip(keys, lanes, found, strict=True):
        status = Status.CONVERGED if one.stopped else Status.MAX_STEPS
        status = status if np.isfinite(one.loss) else Status.NON_FINITE
        solved[key] = Solved(
            one.predicted, int(one.tied.sum()), len(lane.rows), "adam", status, steps=one.epochs, objective=one.loss,
            seconds=seconds,
        )  # fmt: skip


def _score(task: _Task, linear: list[_Linear], solved: dict[Key, Solved]) -> None:
    """Predict with all heads that are linear in the same features, in one product."""
    for squared in (False, True):
        some = [one for one in linear if one.squared == squared]
        if not some:
            continue
        test = task.test.squared() if squared else task.test
        W, b = np.stack([one.W for one in some]), np.stack([one.b for one in some])
        predicted, ties, finite = decide(test, W, b, task.k)
        for i, one in enumerate(some):
            rest = dict(one.rest)
            if not (finite and np.isfinite(W[i]).all() and np.isfinite(b[i]).all()):
                rest["status"] = Status.NON_FINITE
            if not squared:
                rest |= {"coef": one.W, "intercept": one.b - task.origin @ one.W}
            solved[one.key] = Solved(predicted[i], int(ties[i]), **rest)
